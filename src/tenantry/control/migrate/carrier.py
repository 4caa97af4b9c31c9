"""Takes a migration a step further: begins moves, follows them, judges at the gates. Everything may be done again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from tenantry.control.measure.readings import Readings
from tenantry.control.migrate.gates import judge, sample_of, together
from tenantry.control.mover.context import Context
from tenantry.control.runs import is_through
from tenantry.control.service import MoveService
from tenantry.errors import (
    AlreadyExists,
    CapacityExceeded,
    Conflict,
    InvalidArgument,
    NotFound,
    Refused,
    TenantryError,
    Unavailable,
)
from tenantry.model import moves
from tenantry.model.migration import (
    SETTLED,
    Item,
    ItemState,
    Migration,
    Sample,
    State,
    Verdict,
    Wave,
    changed,
    in_words,
    paused,
    with_wave,
)
from tenantry.model.moves import Move, Phase, Wish
from tenantry.model.topology import ShardState

#: What was measured is good for so long, seconds.
FRESH_S = 2.0
UNDONE = (Phase.CANCELLED, Phase.FAILED, Phase.ROLLED_BACK)


class Carrier:
    """Of one process. What it remembers between steps only finds out about moves that stand still.

    Args:
        readings: gives what was counted of an index of late.
    """

    def __init__(
        self, context: Context, service: MoveService, readings: Callable[[str], Awaitable[Readings]]
    ) -> None:  # fmt: skip
        self._context = context
        self._service = service
        self._readings = readings
        self._progress: dict[str, tuple[object, float]] = {}
        self._measured: dict[str, tuple[float, Readings]] = {}

    async def step(self, migration: Migration, items: Mapping[str, Item]) -> tuple[Migration, list[Item]]:
        """The migration as it is after one look, and those of its tenants that changed. Raises Unavailable..., and has
        then saved nothing: what has begun is found again."""
        now = dict(items)
        for item in items.values():
            if item.state in (ItemState.MOVING, ItemState.RETURNING):
                now[item.tenant] = await self._followed(item, migration)
        if migration.state is State.RUNNING:
            migration = await self._go_on(migration, now)
        elif migration.state is State.ROLLING_BACK:
            migration = await self._go_back(migration, now)
        return migration, [item for name, item in now.items() if item != items[name]]

    # ------------------------------------------------------------------------------------ onwards

    async def _go_on(self, migration: Migration, items: dict[str, Item]) -> Migration:
        at = self._context.clock.now()
        wave = migration.current()
        if wave is None:
            return changed(migration, at, "every wave is through", state=State.DONE)
        if wave.began_at is None:
            return await self._begun(migration, wave, items, at)  # saved before a move begins
        moved = [each for each in items.values() if migration.waves[each.wave - 1].began_at is not None]
        mine = [each for each in items.values() if each.wave == wave.number]
        verdict = await self._judged(migration, moved, at)
        if verdict.regressions:
            migration = with_wave(migration, msgspec.structs.replace(wave, verdict=verdict))
            return _held(migration, wave, verdict)
        running = sum(each.state is ItemState.MOVING for each in items.values())
        for item in mine:
            if item.state is ItemState.WAITING and running < migration.options.at_once:
                items[item.tenant] = begun_item = await self._start(migration, item, alone=not running)
                running += begun_item.state is ItemState.MOVING
        if any(items[each.tenant].state not in SETTLED for each in mine):
            return migration
        if wave.moved_at is None:
            wave = msgspec.structs.replace(wave, moved_at=at, verdict=verdict)
            return changed(with_wave(migration, wave), at, f"wave {wave.number} is moved; its gate watches")
        if at < max(wave.moved_at + migration.options.soak_s, migration.calm_until):
            return migration
        return await self._passed(migration, wave, items, at)

    async def _begun(self, migration: Migration, wave: Wave, items: Mapping[str, Item], at: float) -> Migration:
        """With the wave begun, if its time has come."""
        if not migration.hurry and at < max(wave.due_at or migration.created_at, migration.calm_until):
            return migration
        await self._set_sources(migration, taking=False)
        readings = await self._measure(migration.index)
        baseline = sample_of(readings, (name for name, each in items.items() if each.wave == wave.number))
        wave = msgspec.structs.replace(wave, began_at=at, baseline=baseline)
        migration = msgspec.structs.replace(with_wave(migration, wave), hurry=False)
        return changed(migration, at, f"wave {wave.number} begins ({in_words(wave.tenants)})")

    async def _judged(self, migration: Migration, moved: list[Item], at: float) -> Verdict:
        switched = [each.tenant for each in moved if each.state is ItemState.MOVED]
        before = together(wave.baseline for wave in migration.waves if wave.began_at is not None)
        now = Sample()
        if at >= migration.calm_until:
            now = sample_of(await self._measure(migration.index), switched)
        verdict = judge(migration.options, before, now, moved, at)
        stalled = [each for each in moved if each.state is ItemState.MOVING and self._stalled(each, migration)]
        if stalled:
            first = stalled[0]
            why = f": {first.error}" if first.error else ""
            reason = f"the move of {first.tenant} made no progress for {migration.options.stall_s:g} s{why}"
            verdict = msgspec.structs.replace(verdict, regressions=[*verdict.regressions, reason])
        return verdict

    async def _passed(self, migration: Migration, wave: Wave, items: dict[str, Item], at: float) -> Migration:
        """The gate opens, unless somebody took a move back by hand meanwhile."""
        for item in [each for each in items.values() if each.wave == wave.number and each.state is ItemState.MOVED]:
            if item.move is not None:
                move = await self._context.catalog.moves.get(item.move)
                if move.outcome is Phase.ROLLED_BACK or move.phase in (Phase.BACK, Phase.BACK_SETTLE):
                    undone = "its move was rolled back by hand"
                    items[item.tenant] = msgspec.structs.replace(item, state=ItemState.FAILED, error=undone)
        found = [each for each in items.values() if migration.waves[each.wave - 1].began_at is not None]
        verdict = await self._judged(migration, found, at)
        wave = msgspec.structs.replace(wave, verdict=verdict)
        if verdict.regressions:
            return _held(with_wave(migration, wave), wave, verdict)
        migration = with_wave(migration, msgspec.structs.replace(wave, passed_at=at))
        following = migration.current()
        if following is not None and following.due_at is None:
            due = max(at, (wave.began_at or at) + migration.options.every_s)
            migration = with_wave(migration, msgspec.structs.replace(following, due_at=due))
        return changed(migration, at, f"the gate of wave {wave.number} opened")

    async def _start(self, migration: Migration, item: Item, *, alone: bool) -> Item:
        """The item with its move begun, or with the reason why it was not."""
        chosen = moves.Options(
            soak_s=migration.options.soak_s, retention_s=migration.options.retention_s, rate=migration.options.rate
        )
        try:
            move = await self._service.start(migration.index, item.tenant, item.target, chosen, migration.why)
        except (AlreadyExists, InvalidArgument) as there:
            mine = await self._begun_before(migration, item)
            if mine is not None:
                return msgspec.structs.replace(item, state=ItemState.MOVING, move=mine.id, error=None)
            if isinstance(there, AlreadyExists):
                return msgspec.structs.replace(item, error=str(there))
            if await self._is_on(migration.index, item.tenant, item.target):
                return msgspec.structs.replace(item, state=ItemState.MOVED, error="it was on its target already")
            return msgspec.structs.replace(item, state=ItemState.FAILED, error=str(there))
        except NotFound as missing:
            state = ItemState.GONE if missing.kind == "tenant" else ItemState.FAILED
            return msgspec.structs.replace(item, state=state, error=str(missing))
        except (CapacityExceeded, Conflict, Unavailable) as later:
            hopeless = alone and isinstance(later, CapacityExceeded)  # nothing runs that could make room
            state = ItemState.FAILED if hopeless else ItemState.WAITING
            return msgspec.structs.replace(item, state=state, error=str(later))
        except TenantryError as refused:
            return msgspec.structs.replace(item, state=ItemState.FAILED, error=str(refused))
        return msgspec.structs.replace(item, state=ItemState.MOVING, move=move.id, error=None)

    async def _begun_before(self, migration: Migration, item: Item) -> Move | None:
        """A move to the item's target that an owner began and could not save any more."""
        found = await self._context.catalog.moves.list(migration.index, tenant=item.tenant, limit=1)
        for move in found:
            if move.why == migration.why and move.target.shard == item.target and move.outcome in (None, Phase.DONE):
                return move
        return None

    # --------------------------------------------------------------------------------------- back

    async def _go_back(self, migration: Migration, items: dict[str, Item]) -> Migration:
        at = self._context.clock.now()
        await self._set_sources(migration, taking=True)
        mine = [each for each in items.values() if each.wave in migration.rolling_back]
        running = sum(each.state is ItemState.RETURNING and each.back is not None for each in mine)
        for item in mine:
            if item.state is ItemState.MOVING:
                await self._wish(item.move or "", Wish.CANCEL)
                continue
            away = item.state is ItemState.MOVED or (item.state is ItemState.RETURNING and item.back is None)
            if away and running < migration.options.at_once:
                items[item.tenant] = await self._take_back(migration, item)
                running += items[item.tenant].back is not None
        busy = (ItemState.MOVING, ItemState.MOVED, ItemState.RETURNING)
        if any(items[each.tenant].state in busy for each in mine) or await self._overlooked(migration, items):
            return migration
        if len(migration.rolling_back) == len(migration.waves):
            return changed(migration, at, "all of it is rolled back", state=State.ROLLED_BACK)
        waves = ", ".join(map(str, migration.rolling_back))
        reason = f"wave {waves} was rolled back; resuming moves it again"
        return changed(migration, at, f"paused: {reason}", state=State.PAUSED, reason=reason)

    async def _overlooked(self, migration: Migration, items: dict[str, Item]) -> bool:
        """Whether there are tenants that an owner began to move and could not save any more; they are on the move
        from now on."""
        found = False
        for item in list(items.values()):
            begun = migration.waves[item.wave - 1].began_at is not None and item.wave in migration.rolling_back
            if begun and item.state in (ItemState.WAITING, ItemState.FAILED):
                move = await self._begun_before(migration, item)
                if move is not None:
                    items[item.tenant] = msgspec.structs.replace(item, state=ItemState.MOVING, move=move.id)
                    found = True
        return found

    async def _take_back(self, migration: Migration, item: Item) -> Item:
        """By its own move as long as that soaks, by another one after that."""
        if item.move is not None:
            move = await self._context.catalog.moves.get(item.move)
            if not move.ended and await self._wish(move.id, Wish.ROLL_BACK):
                return msgspec.structs.replace(item, state=ItemState.RETURNING, back=move.id)
            if not move.ended:
                return item  # it is on its way to an end
        chosen = moves.Options(soak_s=0.0, retention_s=migration.options.retention_s, rate=migration.options.rate)
        try:
            back = await self._service.start(migration.index, item.tenant, item.source, chosen, migration.why)
        except (AlreadyExists, InvalidArgument) as there:
            if await self._is_on(migration.index, item.tenant, item.source):
                return msgspec.structs.replace(item, state=ItemState.RETURNED, error=None)
            backwards = msgspec.structs.replace(item, target=item.source)
            found = await self._begun_before(migration, backwards)
            if found is None:
                return msgspec.structs.replace(item, state=ItemState.RETURNING, error=str(there))
            back = found
        except NotFound as missing:
            if missing.kind == "tenant":
                return msgspec.structs.replace(item, state=ItemState.GONE, error=str(missing))
            return msgspec.structs.replace(item, state=ItemState.RETURNING, error=str(missing))
        except TenantryError as later:  # tried again until it succeeds: nothing else is wanted any more
            return msgspec.structs.replace(item, state=ItemState.RETURNING, error=str(later))
        return msgspec.structs.replace(item, state=ItemState.RETURNING, back=back.id, error=None)

    async def _wish(self, id: str, wish: Wish) -> bool:
        """False when the move is not in a state for it (any more)."""
        try:
            await self._service.wish(id, wish)
        except Refused:
            return False
        return True

    # ----------------------------------------------------------------------------------- following

    async def _followed(self, item: Item, migration: Migration) -> Item:
        """What has become of a tenant on the move."""
        id = item.back if item.state is ItemState.RETURNING else item.move
        if id is None:
            return item
        move = await self._context.catalog.moves.get(id)
        if item.state is ItemState.MOVING:
            return self._followed_there(item, move, migration)
        if id == item.move:  # taken back within its soak
            if move.phase is Phase.ROLLED_BACK:
                return msgspec.structs.replace(item, state=ItemState.RETURNED, back_ms=move.back_ms, error=None)
            if move.ended:  # the soak was over first
                return msgspec.structs.replace(item, back=None)
        elif move.phase in UNDONE:
            return msgspec.structs.replace(item, back=None, error=move.error or f"its way back was {move.phase}")
        elif is_through(move):
            return msgspec.structs.replace(item, state=ItemState.RETURNED, back_ms=move.flip_ms, error=None)
        return item if move.error == item.error else msgspec.structs.replace(item, error=move.error)

    def _followed_there(self, item: Item, move: Move, migration: Migration) -> Item:
        if move.phase in UNDONE:
            self._progress.pop(move.id, None)
            error = move.error or f"its move was {move.phase}"
            return msgspec.structs.replace(item, state=ItemState.FAILED, error=error)
        if not is_through(move):
            self._note_progress(move, migration)
            return item if move.error == item.error else msgspec.structs.replace(item, error=move.error)
        self._progress.pop(move.id, None)
        proof = move.proof
        return msgspec.structs.replace(
            item,
            state=ItemState.MOVED,
            pause_ms=move.flip_ms,
            records=None if proof is None else proof.records,
            healed=0 if proof is None else proof.missing + proof.extra + proof.different,
            overlap=None if proof is None or not proof.samples else proof.overlap,
            error=None,
        )

    def _note_progress(self, move: Move, migration: Migration) -> None:
        # Resuming after a gate held it counts as progress: the time begins anew.
        state = (move.phase, move.progress.copied, move.progress.passes, migration.calm_until)
        known = self._progress.get(move.id)
        if known is None or known[0] != state:
            self._progress[move.id] = (state, self._context.clock.monotonic())

    def _stalled(self, item: Item, migration: Migration) -> bool:
        known = self._progress.get(item.move or "")
        return known is not None and self._context.clock.monotonic() - known[1] > migration.options.stall_s

    async def _measure(self, index: str) -> Readings:
        now = self._context.clock.monotonic()
        known = self._measured.get(index)
        if known is None or now - known[0] > FRESH_S:
            known = self._measured[index] = now, await self._readings(index)
        return known[1]

    async def _is_on(self, index: str, tenant: str, shard: str) -> bool:
        try:
            return (await self._context.catalog.tenants.get(index, tenant)).route.place.shard == shard
        except NotFound:
            return False

    async def _set_sources(self, migration: Migration, *, taking: bool) -> None:
        """While it goes on, its sources take no new tenants; on the way back they must take those that left."""
        known = {each.name: each for each in await self._context.catalog.shards.list(migration.index)}
        for name, before in migration.sources.items():
            wanted = (ShardState.ACTIVE if before is ShardState.DRAINING else before) if taking else ShardState.DRAINING
            if name in known and known[name].state is not wanted:
                await self._context.catalog.shards.set_state(migration.index, name, wanted)
                await self._context.pool.refresh(migration.index)


def _held(migration: Migration, wave: Wave, verdict: Verdict) -> Migration:
    """Paused by a gate."""
    reason = f"gate of wave {wave.number}: {'; '.join(verdict.regressions)}"
    return paused(migration, verdict.at, reason, held=True)
