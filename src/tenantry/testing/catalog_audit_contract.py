"""What the audit log of every `Catalog` must do."""

# ruff: noqa: D102, S101  (a test says in its name what holds, and asserts it)

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tenantry.errors import InvalidArgument
from tenantry.model.audit import GENESIS, Chain, Deed, Entry, Verifier, Wanted, hash_of
from tenantry.ports import Catalog


def deed(number: int, **changes: object) -> Deed:
    """Something done, told apart by a number."""
    return msgspec.structs.replace(
        Deed(at_us=number * 1_000_000, actor=f"key:{number % 2}", action="tenant.delete", result="ok", index="docs"),
        **changes,
    )


async def flaws(catalog: Catalog) -> list[str]:
    """What is wrong with the log."""
    chain = await catalog.audit.chain()
    verifier = Verifier(chain)
    entries = await catalog.audit.list(Wanted(after=0, limit=1_000))
    return [flaw.what for flaw in (*verifier.look(entries), *verifier.end(chain))]


class AuditContract:
    """The audit log."""

    async def test_entries_are_numbered_and_chained(self, catalog: Catalog) -> None:
        assert await catalog.audit.chain() == Chain(0, GENESIS, 0, GENESIS)
        first = await catalog.audit.append(
            deed(1, tenant="é'; --", shard="s", subject="k", scope="admin", request_id="r", detail={"n": 1, "s": "é"})
        )
        second = await catalog.audit.append(deed(2))
        assert (first.seq, first.previous, first.detail) == (1, GENESIS, '{"n":1,"s":"é"}')
        assert (second.seq, second.previous) == (2, first.hash)
        assert (first.hash, second.hash) == (hash_of(first), hash_of(second))
        assert await catalog.audit.list(Wanted()) == [second, first]
        assert await catalog.audit.list(Wanted(after=0)) == [first, second]
        assert await catalog.audit.chain() == Chain(0, GENESIS, 2, second.hash)
        assert await flaws(catalog) == []

    async def test_any_number_append_at_once(self, catalog: Catalog) -> None:
        done = await asyncio.gather(*(catalog.audit.append(deed(i)) for i in range(24)))
        assert sorted(entry.seq for entry in done) == list(range(1, 25))
        assert {entry.at_us for entry in done} == {i * 1_000_000 for i in range(24)}
        assert await flaws(catalog) == []

    async def test_one_that_cannot_be_written_keeps_no_other_out(self, catalog: Catalog) -> None:
        wrong = deed(3, detail={"n": object()})
        given = [deed(1), deed(2), wrong, deed(4), deed(5)]
        done = await asyncio.gather(*(catalog.audit.append(one) for one in given), return_exceptions=True)
        assert [isinstance(one, Exception) for one in done] == [one is wrong for one in given]
        assert await flaws(catalog) == []
        assert len(await catalog.audit.list(Wanted())) == 4

    async def test_who_stops_waiting_keeps_no_other_out(self, catalog: Catalog) -> None:
        going = [asyncio.create_task(catalog.audit.append(deed(i))) for i in range(12)]
        await asyncio.sleep(0)
        for one in going[::3]:
            one.cancel()
        done = await asyncio.gather(*going, return_exceptions=True)
        assert [isinstance(one, asyncio.CancelledError) for one in done] == [i % 3 == 0 for i in range(12)]
        assert await flaws(catalog) == []
        assert len(await catalog.audit.list(Wanted())) >= 8

    async def test_entries_are_found_by_what_they_are_about(self, catalog: Catalog) -> None:
        for i in range(1, 7):
            await catalog.audit.append(
                deed(i, tenant="a" if i < 3 else None, action="key.create" if i == 6 else "move.start")
            )

        async def found(**wanted: object) -> list[int]:
            return [entry.seq for entry in await catalog.audit.list(msgspec.structs.replace(Wanted(), **wanted))]

        assert await found(tenant="a") == [2, 1]
        assert await found(index="docs", limit=2) == [6, 5]
        assert await found(index="other") == []
        assert await found(actor="key:0") == [6, 4, 2]
        assert await found(action="key.create") == [6]
        assert await found(before=3) == [2, 1]
        assert await found(after=3, limit=2) == [4, 5]
        assert await found(since_us=2_000_000, until_us=4_000_000) == [3, 2]
        with pytest.raises(InvalidArgument, match="limit"):
            await found(limit=0)

    async def test_what_is_pruned_is_gone_and_the_rest_still_proves_itself(self, catalog: Catalog) -> None:
        made = [await catalog.audit.append(deed(i)) for i in range(1, 6)]
        noted = await catalog.audit.prune(3, deed(9, action="audit.prune"))
        assert msgspec.json.decode(noted.detail) == {"through": 3, "hash": made[2].hash, "entries": 3}
        assert [entry.seq for entry in await catalog.audit.list(Wanted(after=0))] == [4, 5, 6]
        assert await catalog.audit.chain() == Chain(3, made[2].hash, 6, noted.hash)
        assert await flaws(catalog) == []
        for wrong in (0, 3, 7):
            with pytest.raises(InvalidArgument, match=r"through.* 4 to 6"):
                await catalog.audit.prune(wrong, deed(9, action="audit.prune"))
        last = await catalog.audit.prune(6, deed(10, action="audit.prune"))
        assert await catalog.audit.list(Wanted()) == [last]
        assert await flaws(catalog) == []
        await catalog.audit.append(deed(11))
        assert await flaws(catalog) == []

    async def test_text_that_no_database_holds_is_made_harmless(self, catalog: Catalog) -> None:
        entry = await catalog.audit.append(
            deed(1, tenant="a\x00b\ud800", actor="x" * 10_000, detail={"l": "y" * 9_000})
        )
        assert entry.tenant == "a\N{REPLACEMENT CHARACTER}b?"
        assert (len(entry.actor), len(entry.detail) < 4_000) == (600, True)
        stored: list[Entry] = await catalog.audit.list(Wanted())
        assert stored == [entry]
        assert await flaws(catalog) == []
