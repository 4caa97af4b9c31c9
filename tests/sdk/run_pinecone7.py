"""SDK 7.3, which langchain-pinecone pins, against a gateway, sync and asyncio; run by its own interpreter.

Usage: run_pinecone7.py URL KEY
"""

import asyncio
import sys
from collections.abc import Callable

from pinecone import Pinecone, ServerlessSpec, Vector
from pinecone.exceptions import ForbiddenException, NotFoundException, PineconeApiException, UnauthorizedException


def failure(act: Callable[[], object]) -> Exception | None:
    """What a call raises."""
    try:
        act()
    except Exception as error:
        return error
    return None


url, key = sys.argv[1:]
DIMENSION = 4


def vector(i: int) -> list[float]:
    return [1.0, i / 100, (i % 7) / 10, 0.25]


def control(pc: Pinecone) -> None:
    made = pc.create_index(
        name="seven",
        dimension=DIMENSION,
        metric="cosine",
        spec=ServerlessSpec(cloud="aws", region="us-east-1"),
        deletion_protection="enabled",
        tags={"a": "b"},
    )
    assert (made.name, made.dimension, made.metric, made.vector_type) == ("seven", DIMENSION, "cosine", "dense")
    assert pc.has_index("seven")
    assert dict(pc.describe_index("seven").tags.to_dict()) == {"a": "b"}
    refused = failure(lambda: pc.delete_index("seven"))
    assert isinstance(refused, ForbiddenException), "a protected index was deleted"
    assert "Deletion protection" in refused.body
    pc.configure_index("seven", deletion_protection="disabled", tags={"c": "d"})
    described = pc.describe_index("seven")
    assert described.deletion_protection == "disabled"
    assert dict(described.tags.to_dict()) == {"a": "b", "c": "d"}
    assert "seven" in pc.list_indexes().names()


def data(pc: Pinecone) -> None:
    index = pc.Index("seven")
    batch = [Vector(id=f"v{i:03}", values=vector(i), metadata={"n": i, "odd": bool(i % 2)}) for i in range(120)]
    assert index.upsert(vectors=batch, namespace="n", batch_size=50, show_progress=False).upserted_count == 120
    found = index.query(vector=vector(5), top_k=3, namespace="n", include_metadata=True, include_values=True)
    assert found.matches[0].id == "v005", found
    assert found.matches[0].metadata["n"] == 5
    assert len(found.matches[0].values) == DIMENSION
    odd = index.query(id="v005", top_k=120, namespace="n", filter={"odd": True})
    assert len(odd.matches) == 60
    assert [i for page in index.list(namespace="n", prefix="v00", limit=4) for i in page] == [
        f"v00{i}" for i in range(10)
    ]
    assert set(index.fetch(ids=["v001", "none"], namespace="n").vectors) == {"v001"}
    index.update(id="v001", set_metadata={"x": "y"}, namespace="n")
    assert index.fetch(ids=["v001"], namespace="n").vectors["v001"].metadata["x"] == "y"
    merged = index.query_namespaces(vector=vector(9), namespaces=["n", "none"], metric="cosine", top_k=2)
    assert merged.matches[0].id == "v009", merged
    index.upsert(vectors=[("d", vector(1))])
    stats = index.describe_index_stats()
    assert {name: one.vector_count for name, one in stats.namespaces.items()} == {"__default__": 1, "n": 120}, stats
    described = index.describe_namespace(namespace="n")
    assert (described.name, int(described.record_count)) == ("n", 120)
    assert sorted(one.name for one in index.list_namespaces()) == ["__default__", "n"]
    index.delete(filter={"odd": True}, namespace="n")
    index.delete(ids=["v000"], namespace="n")
    assert index.describe_index_stats().namespaces["n"].vector_count == 59
    refused = failure(lambda: index.upsert(vectors=[("a", [1.0])]))
    assert isinstance(refused, PineconeApiException), "a wrong dimension was taken"
    assert refused.status == 400
    assert "exactly 4" in refused.body
    index.delete_namespace(namespace="n")
    refused = failure(lambda: index.delete(delete_all=True, namespace="n"))
    assert isinstance(refused, NotFoundException), "a delete in an unknown namespace was taken"
    refused = failure(lambda: Pinecone(api_key="wrong", host=url).list_indexes())
    assert isinstance(refused, UnauthorizedException), "a wrong key was taken"


async def asynchronous(pc: Pinecone) -> None:
    async with pc.IndexAsyncio(host=pc.describe_index("seven").host) as index:
        await index.upsert(vectors=[("a", vector(1)), ("b", vector(60))], namespace="async")
        found = await index.query(vector=vector(59), top_k=1, namespace="async")
        assert found.matches[0].id == "b"
        pages = [page async for page in index.list(namespace="async")]
        assert pages == [["a", "b"]], pages
        await index.delete(delete_all=True, namespace="async")


client = Pinecone(api_key=key, host=url)
control(client)
data(client)
asyncio.run(asynchronous(client))
client.delete_index("seven")
print("ok")
