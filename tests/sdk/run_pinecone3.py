"""The first SDK of the new kind (pinecone-client 3.0) against a gateway; run by its own interpreter.

Usage: run_pinecone3.py URL KEY
"""

import sys
from collections.abc import Callable

from pinecone import Pinecone, PodSpec, ServerlessSpec
from pinecone.core.client.exceptions import ForbiddenException, NotFoundException, PineconeApiException


def failure(act: Callable[[], object]) -> Exception | None:
    """What a call raises."""
    try:
        act()
    except Exception as error:
        return error
    return None


url, key = sys.argv[1:]
pc = Pinecone(api_key=key, host=url)
pc.create_index("old", dimension=3, metric="euclidean", spec=ServerlessSpec(cloud="aws", region="us-west-2"))
pc.create_index("pods", dimension=3, spec=PodSpec(environment="us-east1-gcp"))
described = pc.describe_index("old")
assert (described.name, described.dimension, described.metric) == ("old", 3, "euclidean"), described
assert described.status["ready"]
assert described.spec["serverless"]["region"] == "local", described.spec
assert {"old", "pods"} <= set(pc.list_indexes().names())
pc.delete_index("pods")

index = pc.Index("old")
vectors = [("near", [1.0, 0.0, 0.0], {"kind": "a"}), ("mid", [2.0, 0.0, 0.0], {"kind": "b"}), ("far", [0.0, 5.0, 0.0])]
assert index.upsert(vectors=vectors, namespace="n").upserted_count == 3
found = index.query(vector=[0.0, 0.0, 0.0], top_k=3, namespace="n", include_values=True, include_metadata=True)
assert [(m.id, m.score) for m in found.matches] == [("near", 1.0), ("mid", 4.0), ("far", 25.0)], found
assert found.matches[0].values == [1.0, 0.0, 0.0]
assert found.matches[1].metadata == {"kind": "b"}
assert found.namespace == "n"
filtered = index.query(id="near", top_k=3, namespace="n", filter={"kind": {"$in": ["b"]}})
assert [m.id for m in filtered.matches] == ["mid"], filtered
fetched = index.fetch(ids=["near", "none"], namespace="n")
assert set(fetched.vectors) == {"near"}
assert fetched.vectors["near"].values == [1.0, 0.0, 0.0]
index.update(id="near", set_metadata={"seen": True}, namespace="n")
assert index.fetch(ids=["near"], namespace="n").vectors["near"].metadata == {"kind": "a", "seen": True}
index.upsert(vectors=[{"id": "default", "values": [1.0, 1.0, 1.0]}])
stats = index.describe_index_stats()
assert {name: one.vector_count for name, one in stats.namespaces.items()} == {"": 1, "n": 3}, stats
assert stats.total_vector_count == 4
assert index.upsert(vectors=[(f"b{i}", [1.0, 2.0, float(i)]) for i in range(50)], namespace="n", batch_size=20,
                    show_progress=False).upserted_count == 50  # fmt: skip
assert index.upsert(vectors=[("async", [1.0, 1.0, 1.0])], async_req=True).get().upserted_count == 1
index.delete(ids=["near"], namespace="n")
index.delete(filter={"kind": "b"}, namespace="n")
assert index.describe_index_stats().namespaces["n"].vector_count == 51
index.delete(delete_all=True, namespace="n")
assert index.query(vector=[0.0, 0.0, 1.0], top_k=3, namespace="n").matches == []

refused = failure(lambda: index.upsert(vectors=[("a", [1.0])]))
assert isinstance(refused, PineconeApiException), "a wrong dimension was taken"
assert refused.status == 400
assert "exactly 3" in refused.body, refused.body
refused = failure(lambda: pc.describe_index("none"))
assert isinstance(refused, NotFoundException), "an unknown index was described"
refused = failure(lambda: index.delete(ids=["a"], namespace="nowhere"))
assert isinstance(refused, NotFoundException), "a delete in an unknown namespace was taken"
tenant_key = sys.stdin.readline().strip()
theirs = Pinecone(api_key=tenant_key, host=url).Index(host=url)
theirs.upsert(vectors=[("mine", [0.5] * 8)], namespace="own")
refused = failure(lambda: theirs.query(vector=[0.5] * 8, top_k=1, namespace="other"))
assert isinstance(refused, ForbiddenException), "a tenant key reached another namespace"
pc.delete_index("old")
print("ok")
