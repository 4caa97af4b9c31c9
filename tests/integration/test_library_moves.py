"""Moves through the library, on the embedded engine."""

import numpy as np

from tenantry.backends.embedded.backend import EmbeddedIndex
from tenantry.model.records import Record
from tenantry.wiring import init_cluster

DIMENSION = 8


async def test_a_move_copies_natively_and_arrives_indexed(tmp_path, monkeypatch):
    asked = []
    really = EmbeddedIndex.copy_page

    async def copy_page(self, source, cursor, limit, spared):
        page = await really(self, source, cursor, limit, spared)
        asked.append(page.records)
        return page

    monkeypatch.setattr(EmbeddedIndex, "copy_page", copy_page)
    async with await init_cluster(tmp_path / "data", dimension=DIMENSION, shards=2) as cluster:
        acme = await cluster.tenants.create("acme")
        made = np.random.default_rng(1).standard_normal((900, DIMENSION)).astype(np.float32)
        await cluster.tenant("acme").upsert([Record(f"r{i:04}", row) for i, row in enumerate(made)])
        here = acme.route.place.shard
        there = next(one.shard.name for one in await cluster.shards.list() if one.shard.name != here)
        move = await cluster.moves.wait((await cluster.moves.start("acme", there, soak_s=0)).id)
        assert (move.phase, move.proof.records, sum(asked)) == ("done", 900, 900)
        assert move.progress.copied_bytes >= 900 * 4 * DIMENSION
        hits = await cluster.tenant("acme").query(made[5], top_k=1)
        assert hits[0].id == "r0005"
