"""Keys and the audit log of several processes on one catalog."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tenantry.catalogs import open_catalog
from tenantry.errors import Unauthenticated
from tenantry.model.audit import Deed, Verifier, Wanted
from tenantry.wiring import init_cluster, open_cluster


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/catalog.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


async def test_gateways_that_record_at_once_make_one_chain(url: str) -> None:
    catalogs = [await open_catalog(url) for _ in range(4)]

    async def work(number: int) -> None:
        for i in range(15):
            await catalogs[number].audit.append(Deed(at_us=i, actor=f"gateway:{number}", action="a", result="ok"))

    await asyncio.gather(*(work(number) for number in range(4)))
    chain = await catalogs[0].audit.chain()
    entries = await catalogs[1].audit.list(Wanted(after=0, limit=1_000))
    verifier = Verifier(chain)
    assert [*verifier.look(entries), *verifier.end(chain)] == []
    assert [entry.seq for entry in entries] == list(range(1, 61))
    for number in range(4):
        assert [one.at_us for one in entries if one.actor == f"gateway:{number}"] == list(range(15))
    for catalog in catalogs:
        await catalog.aclose()


async def test_a_revocation_reaches_another_process_within_a_second(postgres_url: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"catalog_url": postgres_url}
    one = await init_cluster(tmp_path / "one", dimension=4, settings=settings)
    two = await open_cluster(tmp_path / "two", **settings)
    async with one, two:
        for cluster in (one, two):  # both serve, so that they tell each other
            await cluster.router.member.join()
        key, secret = await one.keys.create("acme")
        took = []
        for _ in range(2):
            await two.keys.authenticate(secret)
            await one.keys.revoke(key.id)
            began = last = time.monotonic()
            while True:
                asked = time.monotonic()
                try:
                    await two.keys.authenticate(secret)
                except Unauthenticated:
                    break
                last = asked
                await asyncio.sleep(0.005)
            took.append(last - began)  # then the key was let in for the last time
            key, secret = await one.keys.create("acme")
        assert max(took) < 1.0 + 0.5, took
        _, fresh = await one.keys.rotate(key.id, overlap_s=0)
        assert (await two.keys.authenticate(fresh)).tenant == "acme"
