"""The audit log: what is recorded, what happens when it cannot be, and that every alteration is found and named."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from tenantry.cluster.audit import Audit, Proof
from tenantry.cluster.recording import Deeds
from tenantry.errors import Conflict, InvalidArgument, NotFound, StorageFailed, Unavailable
from tenantry.model.audit import GENESIS, Chain, Deed, Entry, Wanted, hash_of
from tenantry.testing.clock import ManualClock
from tenantry.testing.memory_catalog import MemoryCatalog


class Desk:
    """A log in memory whose catalog can be made to fail."""

    def __init__(self) -> None:
        self.failing: list[str] = []
        self.catalog = MemoryCatalog(self._enter)
        self.clock = ManualClock()
        self.audit = Audit(self.catalog, self.clock)
        self.deeds = Deeds(self.audit, self.clock)

    async def _enter(self, name: str) -> None:
        await asyncio.sleep(0)
        if self.failing and self.failing[0] == name:
            self.failing.pop(0)
            raise StorageFailed("disk full")

    @property
    def rows(self) -> dict[int, Entry]:
        return self.catalog.tables.audit

    async def results(self) -> list[str]:
        return [entry.result for entry in await self.audit.list(Wanted(after=0))]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def deed(action: str = "tenant.delete", **more: Any) -> Deed:
    return Deed(at_us=0, actor="key:k", action=action, result="ok", index="default", tenant="acme", **more)


async def filled(desk: Desk, count: int = 9) -> Proof:
    for number in range(count):
        await desk.audit.record(deed(f"action.{number}", detail={"n": number}))
        desk.clock.advance(10)
    proof = await desk.audit.verify()
    assert (proof.whole, proof.entries, proof.last, proof.pruned) == (True, count, count, 0)
    return proof


OTHER: dict[str, Any] = {
    "at_us": 1,
    "actor": "key:innocent",
    "scope": "reader",
    "action": "tenant.create",
    "index": None,
    "tenant": "acmee",
    "shard": "s",
    "subject": "x",
    "result": "begun",
    "request_id": "r",
    "detail": '{"n": 4}',
    "previous": "f" * 64,
    "hash": "f" * 64,
}


def test_every_field_is_tried() -> None:
    assert set(OTHER) == set(Entry.__struct_fields__) - {"seq"}


@pytest.mark.parametrize("field", OTHER)
async def test_an_altered_field_is_found_and_its_entry_named(desk: Desk, field: str) -> None:
    await filled(desk)
    altered = msgspec.structs.replace(desk.rows[5], **{field: OTHER[field]})
    assert altered != desk.rows[5]
    desk.rows[5] = altered
    proof = await desk.audit.verify()
    assert not proof.whole
    assert proof.flaws[0].seq == 5
    assert "altered" in proof.flaws[0].what


@pytest.mark.parametrize("field", [name for name in OTHER if name not in ("hash", "previous")])
async def test_an_altered_entry_with_a_new_hash_breaks_the_chain_at_the_next(desk: Desk, field: str) -> None:
    await filled(desk)
    altered = msgspec.structs.replace(desk.rows[5], **{field: OTHER[field]})
    desk.rows[5] = msgspec.structs.replace(altered, hash=hash_of(altered))
    proof = await desk.audit.verify()
    assert [flaw.seq for flaw in proof.flaws] == [6]


async def test_removed_entries_are_named(desk: Desk) -> None:
    await filled(desk)
    del desk.rows[4]
    assert [(flaw.seq, flaw.what) for flaw in (await desk.audit.verify()).flaws] == [(4, "entry 4 is missing")]
    del desk.rows[5]
    assert (await desk.audit.verify()).flaws[0].what == "4 to 5 are missing"


@pytest.mark.parametrize("gone", [(1, 2), (9,), (7, 8, 9), tuple(range(1, 10))])
async def test_a_log_cut_at_either_end_is_found(desk: Desk, gone: tuple[int, ...]) -> None:
    await filled(desk)
    for seq in gone:
        del desk.rows[seq]
    proof = await desk.audit.verify()
    assert proof.flaws[0].seq == gone[0]


async def test_a_log_cut_together_with_its_own_record_is_found_by_what_was_noted(desk: Desk) -> None:
    noted = await filled(desk)
    desk.catalog.tables.chain = Chain(0, GENESIS, 6, desk.rows[6].hash)
    for seq in (7, 8, 9):
        del desk.rows[seq]
    assert (await desk.audit.verify()).whole, "nothing in the catalog tells"
    proof = await desk.audit.verify(noted.last, noted.head)
    assert [flaw.seq for flaw in proof.flaws] == [9]
    assert "noted" in proof.flaws[0].what


async def test_a_log_rewritten_from_an_entry_on_is_found_by_what_was_noted(desk: Desk) -> None:
    noted = await filled(desk)
    kept = [msgspec.structs.replace(entry, detail="{}") for entry in desk.rows.values()]
    previous = GENESIS
    for entry in kept:
        entry = msgspec.structs.replace(entry, previous=previous)  # noqa: PLW2901
        previous = hash_of(entry)
        desk.rows[entry.seq] = msgspec.structs.replace(entry, hash=previous)
    desk.catalog.tables.chain = Chain(0, GENESIS, 9, previous)
    assert (await desk.audit.verify()).whole
    assert not (await desk.audit.verify(noted.last, noted.head)).whole


async def test_entries_removed_under_a_false_beginning_are_found(desk: Desk) -> None:
    await filled(desk)
    desk.catalog.tables.chain = Chain(4, desk.rows[4].hash, 9, desk.rows[9].hash)
    for seq in (1, 2, 3, 4):
        del desk.rows[seq]
    proof = await desk.audit.verify()
    assert "no entry says that it was pruned" in proof.flaws[0].what


async def test_a_record_of_the_end_that_is_behind_is_found(desk: Desk) -> None:
    await filled(desk)
    desk.catalog.tables.chain = Chain(0, GENESIS, 6, desk.rows[6].hash)
    assert "its own record ends here" in (await desk.audit.verify()).flaws[0].what


async def test_pruning_keeps_the_rest_provable(desk: Desk) -> None:
    noted = await filled(desk)
    began = desk.clock.now() - 90
    assert await desk.audit.prune(began) is None, "there is nothing so old"
    entry = await desk.audit.prune(began + 35, actor="key:k", scope="admin")
    assert entry is not None
    assert msgspec.json.decode(entry.detail)["entries"] == 4
    proof = await desk.audit.verify()
    assert (proof.whole, proof.first, proof.last, proof.pruned, proof.entries) == (True, 5, 10, 4, 6)
    assert (await desk.audit.verify(noted.last, noted.head)).whole
    assert (await desk.audit.verify(2, "0" * 64)).whole, "of what was pruned nothing can be said"
    desk.clock.advance(1_000)
    await desk.audit.prune(desk.clock.now())
    assert (await desk.audit.verify()).entries == 1
    with pytest.raises(InvalidArgument, match="before"):
        await desk.audit.prune(desk.clock.now() + 1)


async def test_a_verification_while_others_append_and_prune(desk: Desk) -> None:
    await filled(desk)

    async def busy() -> None:
        for number in range(40):
            await desk.audit.record(deed(f"more.{number}"))

    for proof in await asyncio.gather(busy(), *(desk.audit.verify() for _ in range(8))):
        assert proof is None or proof.whole, proof

    now = desk.clock.now()

    async def enter(name: str) -> None:
        await asyncio.sleep(0)
        if name == "audit.list":  # somebody prunes between each two looks
            desk.clock.advance(1)
            await Audit(MemoryCatalog(tables=desk.catalog.tables), desk.clock).prune(min(now, desk.clock.now()))

    racing = Audit(MemoryCatalog(enter, desk.catalog.tables), desk.clock)
    with suppress(Conflict):
        assert (await racing.verify()).whole


async def test_export_goes_through_all_pages(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenantry.cluster.audit.LIST_MOST", 4)
    await filled(desk)
    assert [entry.seq async for entry in desk.audit.export()] == list(range(1, 10))
    assert [entry.seq async for entry in desk.audit.export(Wanted(action="action.3"))] == [4]


# ---------------------------------------------------------------------------- what cannot be recorded


async def test_a_change_is_recorded_before_and_after(desk: Desk) -> None:
    seen: list[list[str]] = []

    async def work() -> str:
        seen.append(await desk.results())
        return "done"

    assert await desk.deeds.change(deed(), work) == "done"
    assert seen == [["begun"]]
    assert await desk.results() == ["begun", "ok"]


async def test_a_change_that_cannot_be_recorded_is_not_made(desk: Desk) -> None:
    desk.failing = ["audit.append"]
    made: list[int] = []

    async def work() -> None:
        made.append(1)

    with pytest.raises(StorageFailed):
        await desk.deeds.change(deed(), work)
    assert made == []


async def test_a_failed_change_is_recorded_with_its_error(desk: Desk) -> None:
    async def missing() -> None:
        raise NotFound("tenant", "acme")

    async def broken() -> None:
        raise RuntimeError("unexpected")

    for work, error in ((missing, NotFound), (broken, RuntimeError)):
        with pytest.raises(error):
            await desk.deeds.change(deed(), work)
    assert await desk.results() == ["begun", "NOT_FOUND", "begun", "INTERNAL"]


async def test_an_outcome_is_tried_again_and_never_lost_without_a_trace(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(times: int) -> None:
        desk.failing = ["audit.append"] * times

    async def in_time(work: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(work)
        while not task.done():
            await asyncio.sleep(0)
            desk.clock.advance(0.1)
        await task

    await in_time(desk.deeds.change(deed(), lambda: fails(2)))
    assert await desk.results() == ["begun", "ok"]
    assert not caplog.messages
    await in_time(desk.deeds.change(deed(request_id="req-7"), lambda: fails(3)))
    assert await desk.results() == ["begun", "ok", "begun"], "what was done is done; it began, for all to see"
    assert "the audit log could not be written" in caplog.text
    assert '"request_id":"req-7"' in caplog.text


async def test_what_is_cut_off_is_recorded_all_the_same(desk: Desk) -> None:
    hanging = asyncio.Event()

    async def forever() -> None:
        hanging.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(desk.deeds.change(deed(), forever))
    await hanging.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await desk.deeds.aclose()
    assert await desk.results() == ["begun", "cancelled"]


async def test_what_is_disclosed_is_recorded_first(desk: Desk) -> None:
    async def found() -> str:
        return "data"

    assert await desk.deeds.disclose(deed("search"), found) == "data"
    desk.failing = ["audit.append"]
    with pytest.raises(StorageFailed):
        await desk.deeds.disclose(deed("search"), found)

    async def away() -> str:
        raise Unavailable("a shard is away")

    with pytest.raises(Unavailable):
        await desk.deeds.disclose(deed("search"), away)
    assert await desk.results() == ["ok", "UNAVAILABLE"]


# -------------------------------------------------------------------------------------- the library


async def test_what_a_program_does_is_recorded(lab: Any) -> None:
    cluster = lab.cluster
    await cluster.tenants.create("acme")
    await cluster.tenant("acme").upsert([("a", [1, 0])])
    key, _ = await cluster.keys.create("acme", scope="tenant-read")
    await cluster.search_all([1, 0], tenants=["acme"], top_k=3)
    with pytest.raises(NotFound):
        await cluster.tenants.suspend("nobody")
    await cluster.tenants.delete("acme")
    entries = await cluster.audit.list(Wanted(after=0))
    told = [(one.action, one.result, one.index, one.tenant, one.subject) for one in entries]
    assert told == [
        ("index.create", "begun", "default", None, None),
        ("index.create", "ok", "default", None, None),
        ("tenant.create", "begun", "default", "acme", None),
        ("tenant.create", "ok", "default", "acme", None),
        ("key.create", "begun", None, "acme", None),
        ("key.create", "ok", "default", "acme", key.id),
        ("search", "ok", "default", None, None),
        ("tenant.suspend", "begun", "default", "nobody", None),
        ("tenant.suspend", "NOT_FOUND", "default", "nobody", None),
        ("tenant.delete", "begun", "default", "acme", None),
        ("tenant.delete", "ok", "default", "acme", None),
    ]
    assert {one.actor for one in entries} == {"library"}
    assert msgspec.json.decode(entries[6].detail) == {"top_k": 3, "tenants": "acme", "tenants_named": 1}
    assert (await cluster.audit.verify()).whole


#: Methods of a cluster's faces that only look, wait, or answer for somebody who is recorded.
LOOKING = frozenset(
    (
        *(
            "aclose",
            "advise",
            "any_exist",
            "authenticate",
            "behind",
            "copies",
            "cost",
            "cost_history",
            "cost_moved",
            "deleted",
            "get",
            "imagine",
        ),
        *("history", "list", "look", "plan", "schedule", "status", "tried", "usage", "verify", "wait"),
    )
)
#: Refused whatever is asked; and one that asks for each key in turn.
OTHERS = frozenset(("rename", "revoke_all"))


def test_no_face_changes_the_cluster_unrecorded(lab: Any) -> None:
    cluster = lab.cluster
    faces = ("indexes", "shards", "tenants", "keys", "moves", "plans", "backups", "adoption", "advice", "autopilot")
    unrecorded = []
    for name, face in ((name, getattr(cluster, name)) for name in faces):
        for method in dir(face):
            found = getattr(type(face), method, None)
            if method.startswith("_") or not inspect.iscoroutinefunction(inspect.unwrap(found) if found else None):
                continue
            if not hasattr(found, "__wrapped__") and method not in LOOKING | OTHERS:
                unrecorded.append(f"{name}.{method}")
            elif hasattr(found, "__wrapped__"):
                assert face._deeds is cluster.deeds, name
    assert unrecorded == []


async def test_adoptions_are_recorded_as_one_deed(lab: Any) -> None:
    await lab.cluster.adoption.adopt("memory", shard="old")
    told = [(one.action, one.result, one.shard) for one in await lab.cluster.audit.list(Wanted(after=0))]
    assert told[-2:] == [("index.adopt", "begun", "old"), ("index.adopt", "ok", "old")]
    assert ("shard.add", "ok", "old") not in told
