"""Migrations: plan, start, watch and steer the way of many tenants to other shards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tenantry.cluster.advice import AdviceAdmin
from tenantry.cluster.recording import note, recorded
from tenantry.control.measure.readings import Readings
from tenantry.control.measure.window import SLICES
from tenantry.control.migrate.checking import options_given
from tenantry.control.migrate.planning import Facts, Wanted, plan_migration
from tenantry.control.migrate.report import report_of
from tenantry.control.migrate.service import MigrationService
from tenantry.control.monitor import Monitor
from tenantry.control.mover.context import Context
from tenantry.control.service import MoveService
from tenantry.errors import AlreadyExists, Refused, TenantryError
from tenantry.model.limits import check_count
from tenantry.model.migration import (
    NEXT,
    Bill,
    Event,
    Item,
    ItemState,
    Migration,
    State,
    Wave,
    afresh,
    changed,
    in_words,
    paused,
    resumed,
    roll_back,
)
from tenantry.model.migration_plan import MigrationPlan, MigrationReport
from tenantry.model.moves import BEFORE_COMMIT, Wish
from tenantry.model.topology import DEFAULT_INDEX, Shard, ShardState
from tenantry.router.listing import every_tenant

LIST_MOST = 1_000
#: How often a watcher looks, seconds.
LOOK_S = 0.5
#: Tenants that a refusal names.
NAMED_MOST = 20
MOST_OPEN_MOVES = 1_000
ANSWER_S = 5.0


@dataclass(frozen=True, kw_only=True)
class MigrationParts:
    """What `MigrationAdmin` works with.

    Attributes:
        readings: gives what was counted of an index of late.
        window_s: over which that is, seconds.
        free_bytes: of a shard's disk; None: its engine does not tell.
    """

    context: Context
    service: MigrationService
    moves: MoveService
    monitor: Monitor
    advice: AdviceAdmin
    readings: Callable[[str], Awaitable[Readings]]
    window_s: float
    token: Callable[[int], str]
    free_bytes: Callable[[Shard], int | None]


class MigrationAdmin:
    """Operations on migrations. What is started here goes on in this process, and when it ends, in another one of the
    fleet, or whichever opens the cluster next. Every operation may be repeated."""

    def __init__(self, parts: MigrationParts) -> None:
        self._parts = parts
        self._service = parts.service
        self._catalog = parts.context.catalog
        self._clock = parts.context.clock

    async def plan(
        self,
        index: str = DEFAULT_INDEX,
        *,
        sources: Sequence[str] = (),
        tenants: Sequence[str] = (),
        targets: Sequence[str] = (),
        **options: Any,
    ) -> MigrationPlan:
        """What a migration would do. Changes nothing.

        Args:
            sources: shards to empty; or else ``tenants``: those to move.
            targets: shards to spread them over, of whatever engine; default: all active shards but the sources.
            options: fields of `tenantry.model.migration.Options`; None is the default.

        Raises:
            NotFound: no such index, shard or tenant.
            InvalidArgument: an option, or a request that contradicts itself.
        """
        chosen = options_given(options, self._parts.context.limits)
        wanted = Wanted(tuple(sources), tuple(tenants), tuple(targets))
        made = plan_migration(await self._facts(index), wanted, chosen)
        going = next(iter(await self._catalog.migrations.list(index, open_only=True, limit=1)), None)
        if going is not None:
            taken = f"migration {going.id} of this index is {going.state}; finish it or roll it back first"
            made = msgspec.structs.replace(made, blockers=[taken, *made.blockers])
        before, after = await self._bills(index, made.items, made.sources)
        return msgspec.structs.replace(made, before=before, after=after)

    @recorded("migration.start", index="index")
    async def start(
        self,
        index: str = DEFAULT_INDEX,
        *,
        sources: Sequence[str] = (),
        tenants: Sequence[str] = (),
        targets: Sequence[str] = (),
        **options: Any,
    ) -> Migration:
        """Begin a migration as `plan` says; returns at once. One of the same shards that has not ended is returned as
        it is. Shards that are emptied take no new tenants from now on.

        Raises:
            as `plan`. AlreadyExists: another migration of the index has not ended. Refused: the plan has blockers.
        """
        options_given(options, self._parts.context.limits)
        going = next(iter(await self._catalog.migrations.list(index, open_only=True, limit=1)), None)
        if going is not None:
            if await self._is_same(going, sources, tenants, targets):
                return going
            raise AlreadyExists("migration of index", index, f"see `tenantry migrate status {going.id}`")
        plan = await self.plan(index, sources=sources, tenants=tenants, targets=targets, **options)
        if plan.blockers:
            raise Refused("the migration cannot begin: " + "; ".join(plan.blockers))
        at = self._clock.now()
        states = {each.name: each.state for each in await self._catalog.shards.list(index)}
        migration = Migration(
            id=self._parts.token(6),
            index=index,
            created_at=at,
            options=plan.options,
            targets=plan.targets,
            waves=[
                Wave(each.number, each.canary, len(each.tenants), at if each.number == 1 else None)
                for each in plan.waves
            ],
            sources={name: states[name] for name in plan.sources},
            before=plan.before,
            events=[Event(at, f"started: {in_words(len(plan.items))} in {in_words(len(plan.waves), 'wave')}")],
        )
        await self._catalog.migrations.begin(migration, plan.items)
        note(subject=migration.id)
        self._service.wake()
        return migration

    async def get(self, id: str) -> Migration:
        """Raises NotFound."""
        return await self._catalog.migrations.get(id)

    async def items(self, id: str) -> list[Item]:
        """Its tenants in the order of their waves. Raises NotFound."""
        await self._catalog.migrations.get(id)
        return await self._catalog.migrations.items(id)

    @recorded("migration.pause", subject="id")
    async def pause(self, id: str) -> Migration:
        """Begin no more moves; those that run come to their end. Raises NotFound, Refused."""
        at = self._clock.now()
        return await self._service.change(id, lambda now, _: (paused(now, at, "as asked"), ()))

    @recorded("migration.resume", subject="id")
    async def resume(self, id: str, *, now: bool = False) -> Migration:
        """Go on; tenants whose moves failed are tried again. ``now``: the next wave does not wait for its time. After a
        pause by a gate, nothing new is judged (and, without ``now``, no wave begins) until what was measured before is
        out of the window. Raises NotFound, Refused."""
        # What is measured leaves the window a slice late, and comes from others a quarter of one late.
        at, calm_s = self._clock.now(), self._parts.window_s * (1 + 2 / SLICES)

        def how(one: Migration, items: Sequence[Item]) -> tuple[Migration, Iterable[Item]]:
            again = afresh(items) if one.state is State.PAUSED else []
            return resumed(one, at, hurry=now, calm_s=calm_s), again

        return await self._service.change(id, how)

    @recorded("migration.rollback", subject="id")
    async def rollback(self, id: str, *, wave: int | None = None) -> Migration:
        """Take every tenant back to where it was, or those of one wave, with everything written since; returns at once.
        A migration of which a wave was taken back is paused then. Raises NotFound, InvalidArgument (wave); Refused when
        it is finished."""
        at = self._clock.now()
        return await self._service.change(id, lambda now, _: (roll_back(now, at, wave), ()))

    @recorded("migration.finish", subject="id")
    async def finish(self, id: str, *, partial: bool = False) -> Migration:
        """End a migration for good: no rollback any more, and shards that it emptied are retired; one that still keeps
        old copies when these are gone (the events say how).

        Args:
            partial: also when tenants remain; shards that still have some take new ones again.

        Raises:
            NotFound. Refused: tenants remain (it says which), or it is running.
        """
        migration = await self._catalog.migrations.get(id)
        if migration.state is State.FINISHED:
            return migration
        remaining = await self._remaining(migration)
        if remaining and not partial:
            shown = ", ".join(remaining[:NAMED_MOST]) + (", ..." if len(remaining) > NAMED_MOST else "")
            raise Refused(
                f"migration {id} is not done: {in_words(len(remaining))} not moved ({shown}); resume it, "
                "or finish it as it is with --partial"
            )
        if State.FINISHED not in NEXT[migration.state]:
            hint = "pause it first, or wait" if migration.state is State.RUNNING else "it can only be looked at"
            raise Refused(f"migration {id} is {migration.state}: {hint}")
        await self._end_soaks(migration)
        said = [await self._retire(migration, name, before) for name, before in migration.sources.items()]
        items = await self._catalog.migrations.items(id)
        _, after = await self._bills(migration.index, [each for each in items if _is_moved(each)], migration.sources)
        at = self._clock.now()

        def how(now: Migration, _: Sequence[Item]) -> tuple[Migration, Iterable[Item]]:
            if now.state is State.FINISHED:
                return now, ()
            ended = changed(now, at, "finished", state=State.FINISHED, after=after, reason=None)
            return msgspec.structs.replace(ended, events=[*ended.events, *(Event(at, each) for each in said)]), ()

        return await self._service.change(id, how)

    async def report(self, id: str) -> MigrationReport:
        """Per wave and tenant what was done, what was compared, how long writes waited, and the bill before and after.
        Raises NotFound."""
        migration = await self._catalog.migrations.get(id)
        items = await self._catalog.migrations.items(id)
        after = migration.after
        if after is None and migration.state is not State.ROLLED_BACK:
            _, after = await self._bills(migration.index, items, migration.sources)
        return report_of(migration, items, after)

    async def watch(self, id: str) -> AsyncIterator[Migration]:
        """The migration as it stands, then after each change, until it has ended. Raises NotFound."""
        last = -1
        while True:
            now = await self._catalog.migrations.get(id)
            if now.revision != last:
                yield now
            last = now.revision
            if now.ended:
                return
            await asyncio.sleep(LOOK_S)

    # ---------------------------------------------------------------------------------------- parts

    async def _facts(self, index: str) -> Facts:
        parts = self._parts
        view = await parts.monitor.view(index)
        readings = await parts.readings(index)
        logical = await self._catalog.indexes.get(index)
        created = {one.name: one.created_at async for one in every_tenant(self._catalog.tenants, index)}
        shards = [each.shard for each in view.cluster.shards]
        answers = await asyncio.gather(*(self._answers(shard) for shard in shards))
        free = {each.name: parts.free_bytes(each) for each in shards}
        moving = parts.context.moving
        return Facts(
            view=view,
            readings=readings,
            dimension=logical.dimension,
            created=created,
            free_bytes={name: bytes for name, bytes in free.items() if bytes is not None},
            unreachable={shard.name: why for shard, why in zip(shards, answers, strict=True) if why is not None},
            parallel=min(moving.at_once, moving.per_shard),
        )

    async def _answers(self, shard: Shard) -> str | None:
        """Why a shard does not answer."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await (await self._parts.context.pool.backend(shard.index, shard.name)).stats()
        except TimeoutError:
            return f"no answer within {ANSWER_S:g} s"
        except TenantryError as error:
            return str(error)
        return None

    async def _bills(
        self, index: str, items: Iterable[Item], sources: Iterable[str]
    ) -> tuple[Bill, Bill]:  # fmt: skip
        """Now, and with these tenants on their targets and the sources gone."""
        homes = {each.tenant: each.target for each in items}
        try:
            now, then = await self._parts.advice.cost_moved(index, homes, set(sources))
        except Refused as unpriced:
            return Bill(None, None, str(unpriced)), Bill(None, None, str(unpriced))
        return Bill(now.monthly, now.per_tenant), Bill(then.monthly, then.per_tenant)

    async def _is_same(
        self, going: Migration, sources: Sequence[str], tenants: Sequence[str], targets: Sequence[str]
    ) -> bool:
        """Whether it is what somebody asks for once more."""
        if set(going.sources) != set(sources) or (targets and set(targets) != set(going.targets)):
            return False
        known = {each.tenant for each in await self._catalog.migrations.items(going.id)}
        return not tenants or set(tenants) == known

    async def _remaining(self, migration: Migration) -> list[str]:
        """Tenants that are not where they should be."""
        items = await self._catalog.migrations.items(migration.id)
        left = [each.tenant for each in items if not _is_moved(each)]
        for shard in migration.sources:
            here = every_tenant(self._catalog.tenants, migration.index)
            left += [each.name async for each in here if each.route.place.shard == shard]
        return sorted(set(left))

    async def _end_soaks(self, migration: Migration) -> None:
        found = await self._catalog.moves.list(migration.index, open_only=True, limit=MOST_OPEN_MOVES)
        for move in found:
            if move.why == migration.why and move.phase not in BEFORE_COMMIT and move.wish is Wish.RUN:
                await self._parts.moves.wish(move.id, Wish.FINALISE)

    async def _retire(self, migration: Migration, shard: str, before: ShardState) -> str:
        """Retire an emptied shard, or say why it is not; one that tenants remain on is as it was."""
        shards = self._catalog.shards
        here = {each.name: each for each in await shards.list(migration.index)}
        if shard not in here:
            return f"shard {shard} is gone already"
        if here[shard].tenants:
            await shards.set_state(migration.index, shard, before)
            return f"shard {shard} keeps {in_words(here[shard].tenants)} and is {before} again"
        try:
            await shards.set_state(migration.index, shard, ShardState.RETIRED)
        except Refused as kept:
            return (
                f"shard {shard} is empty and not retired yet ({kept}); then "
                f"`tenantry shard set {shard} --state retired`"
            )
        finally:
            await self._parts.context.pool.refresh(migration.index)
        return f"shard {shard} is empty and retired"

    async def list(
        self, index: str | None = None, *, open_only: bool = False, limit: int = 100
    ) -> list[Migration]:  # fmt: skip
        """Newest first. Raises InvalidArgument, NotFound (index)."""
        check_count(limit, "limit", 1, LIST_MOST)
        if index is not None:
            await self._catalog.indexes.get(index)
        return await self._catalog.migrations.list(index, open_only=open_only, limit=limit)


def _is_moved(item: Item) -> bool:
    return item.state in (ItemState.MOVED, ItemState.GONE)
