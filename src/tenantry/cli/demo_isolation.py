"""The proof that one tenant cannot reach another: tried for real, through the gateway, with keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tenantry.model.topology import DEFAULT_INDEX

if TYPE_CHECKING:
    import httpx

    from tenantry.cli.corpus import Corpus
    from tenantry.cluster import Cluster

MINE, OTHER = "s3", "dynamodb"
QUESTIONS = 20
TOP_K = 10
RECORDS = 100


class Check(msgspec.Struct, frozen=True):
    """Something that was tried: what was expected, and what came."""

    tried: str
    expected: str
    got: str

    @property
    def holds(self) -> bool:
        """It came as expected."""
        return self.expected == self.got


async def prove(cluster: Cluster, corpus: Corpus) -> list[Check]:
    """Try to reach tenant `OTHER` with the key of tenant `MINE`. The keys are revoked at the end."""
    import httpx

    from tenantry.gateway.app import build_app

    key, secret = await cluster.keys.create(MINE, label="demo")
    try:
        transport = httpx.ASGITransport(app=build_app(cluster))
        headers = {"api-key": secret}
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
            checks = await _with_key(cluster, client)
            checks.append(await _answers_are_mine(client, corpus))
            checks.append(await _namespaces_are_apart(cluster))
            anonymous = await client.post(_path(MINE, "search"), json={"text": "anything"}, headers={"api-key": ""})
            checks.append(_status("no key, own search", 401, anonymous))
            await cluster.keys.revoke(key.id)
            revoked = await client.post(_path(MINE, "search"), json={"text": "anything"})
            checks.append(_status(f"the key of {MINE} once it is revoked", 401, revoked))
    finally:
        await cluster.keys.revoke(key.id)
    return checks


async def _with_key(cluster: Cluster, client: httpx.AsyncClient) -> list[Check]:
    vector = [1.0] * (await cluster.indexes.get(DEFAULT_INDEX)).dimension
    before = (await cluster.tenants.get(OTHER)).vectors
    query: dict[str, Any] = {"vector": vector, "topK": 3}
    upsert: dict[str, Any] = {"vectors": [{"id": "intruder", "values": vector}]}
    search = {"text": "create a table"}
    tries: list[tuple[str, int, str, dict[str, Any]]] = [
        (f"search in {MINE}", 200, _path(MINE, "search"), search),
        (f"Pinecone query, namespace {MINE}", 200, "/query", {**query, "namespace": MINE}),
        (f"search in {OTHER}", 403, _path(OTHER, "search"), search),
        (f"Pinecone query, namespace {OTHER}", 403, "/query", {**query, "namespace": OTHER}),
        (f"Pinecone upsert, namespace {OTHER}", 403, "/vectors/upsert", {**upsert, "namespace": OTHER}),
        ("search across all tenants", 403, f"/v1/indexes/{DEFAULT_INDEX}/search", search),
    ]
    checks = [
        _status(f"key of {MINE}: {tried}", status, await client.post(path, json=body))
        for tried, status, path, body in tries
    ]
    listed = await client.get(f"/v1/indexes/{DEFAULT_INDEX}/tenants")
    checks.append(_status(f"key of {MINE}: list the tenants", 403, listed))
    after = (await cluster.tenants.get(OTHER)).vectors
    checks.append(Check(f"vectors of {OTHER} after that", f"{before:,}", f"{after:,}"))
    return checks


async def _answers_are_mine(client: httpx.AsyncClient, corpus: Corpus) -> Check:
    """Ask tenant `MINE` for the very texts of `OTHER`: whatever comes must be its own."""
    [other] = [service for service in corpus.services if service.name == OTHER]
    foreign = total = 0
    for document in other.documents[:QUESTIONS]:
        answer = await client.post(_path(MINE, "search"), json={"text": document.text[:500], "top_k": TOP_K})
        hits = answer.json()["hits"]
        total += len(hits)
        foreign += sum(hit["metadata"].get("service") != MINE for hit in hits)
    asked = min(QUESTIONS, len(other.documents))
    what = f"key of {MINE}: {asked} texts of {OTHER} as questions, foreign answers"
    return Check(what, f"0 of {asked * TOP_K}", f"{foreign} of {total}")


async def _namespaces_are_apart(cluster: Cluster) -> Check:
    """Even inside the process, without any key: the records of one namespace are not in the other."""
    ids = (await cluster.tenant(OTHER).list_ids(limit=RECORDS)).ids
    found = await cluster.tenant(MINE).fetch(ids)
    what = f"library: fetch {len(ids)} record ids of {OTHER} in {MINE}, records found"
    return Check(what, "0", str(len(found)))


def _status(tried: str, status: int, answer: httpx.Response) -> Check:
    return Check(tried, str(status), str(answer.status_code))


def _path(tenant: str, action: str) -> str:
    return f"/v1/indexes/{DEFAULT_INDEX}/tenants/{tenant}/{action}"
