"""The native API's moves, plans and old copies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec

from tenantry.control.runs import Run, StepState
from tenantry.errors import NotFound
from tenantry.gateway.native import wire_moves as wire
from tenantry.gateway.streams import event
from tenantry.gateway.table import Call, Stream
from tenantry.model.leases import Copy
from tenantry.model.moves import Move, Phase
from tenantry.model.plan import Plan, PlanOptions

#: How often the moves of an index are looked at for a stream of all of them, seconds.
LOOK_S = 0.5
OPEN_MOST = 1_000


async def start(call: Call, asked: wire.StartMove) -> wire.Move:
    """Begin to move a tenant."""
    given = msgspec.structs.asdict(asked)
    return await _shown(call, await call.cluster.moves.start(call.path["tenant"], index=call.index, **given))


async def list_moves(call: Call, asked: wire.ListMoves) -> wire.Moves:
    """One page of moves, newest first."""
    await call.cluster.indexes.get(call.index)
    page = await call.cluster.moves.list(
        call.index, open_only=asked.open, tenant=asked.tenant, limit=asked.limit, before=asked.before
    )
    following = page[-1].id if len(page) == asked.limit else None
    return wire.Moves([shown_move(move, None) for move in page], following)


async def get(call: Call, _: None) -> wire.Move:
    """One move."""
    return await _shown(call, await _found(call))


async def pause(call: Call, _: None) -> wire.Move:
    """Stop copying, or prolong the soak."""
    return await _shown(call, await call.cluster.moves.pause((await _found(call)).id))


async def resume(call: Call, _: None) -> wire.Move:
    """Go on."""
    return await _shown(call, await call.cluster.moves.resume((await _found(call)).id))


async def cancel(call: Call, _: None) -> wire.Move:
    """Give it up before its commit."""
    return await _shown(call, await call.cluster.moves.cancel((await _found(call)).id))


async def rollback(call: Call, _: None) -> wire.Move:
    """Take it back after its commit."""
    return await _shown(call, await call.cluster.moves.rollback((await _found(call)).id))


async def finalise(call: Call, _: None) -> wire.Move:
    """End the soak now."""
    return await _shown(call, await call.cluster.moves.finalise((await _found(call)).id))


async def watch(call: Call, _: None) -> Stream:
    """One move, live."""
    move = await _found(call)

    async def events() -> AsyncIterator[bytes]:
        number = 0
        async for state in call.cluster.moves.watch(move.id):
            number += 1
            yield event("move", number, await _shown(call, state))
        yield event("end", number + 1, {})

    return Stream(events())


async def watch_all(call: Call, _: None) -> Stream:
    """All open moves of an index, live; one that ends is told of once more."""
    await call.cluster.indexes.get(call.index)

    async def events() -> AsyncIterator[bytes]:
        number = 0
        known: dict[str, Move] = {}
        while True:
            now = {move.id: move for move in await call.cluster.moves.list(call.index, open_only=True, limit=OPEN_MOST)}
            for id in known.keys() - now.keys():
                now[id] = await call.cluster.moves.get(id)
            for id, move in now.items():
                if known.get(id) != move:
                    number += 1
                    yield event("move", number, await _shown(call, move))
            known = {id: move for id, move in now.items() if not move.ended}
            await asyncio.sleep(LOOK_S)

    return Stream(events())


async def plan(call: Call, asked: wire.MakePlan) -> Plan:
    """Measure and plan; changes nothing."""
    return await call.cluster.plans.plan(call.index, asked.aim, asked.subject, **_options(asked))


async def rebalance(call: Call, asked: wire.Rebalance) -> wire.Run:
    """Measure, plan, and begin to carry it out."""
    plans = call.cluster.plans
    made = await plans.plan(call.index, asked.aim, asked.subject, **_options(asked))
    run = await plans.execute(
        made, asked.subject, soak_s=asked.soak_s, retention_s=asked.retention_s, rate=asked.rate
    )  # fmt: skip
    return shown_run(run)


async def get_run(call: Call, _: None) -> wire.Run:
    """How far a plan is carried out."""
    return shown_run(_run(call))


async def watch_run(call: Call, _: None) -> Stream:
    """A plan that is being carried out, live."""
    run = _run(call)

    async def events() -> AsyncIterator[bytes]:
        number = 0
        async for state in call.cluster.plans.watch(run.id):
            number += 1
            yield event("run", number, shown_run(state))
        yield event("end", number + 1, {})

    return Stream(events())


async def list_copies(call: Call, asked: wire.ListCopies) -> wire.Copies:
    """Old copies that are still kept."""
    found = await call.cluster.moves.copies(call.index, shard=asked.shard, tenant=asked.tenant)
    return wire.Copies([_shown_copy(copy) for copy in found])


async def purge(call: Call, asked: wire.ListCopies) -> wire.Purged:
    """Drop old copies now."""
    gone = await call.cluster.moves.purge(call.index, shard=asked.shard, tenant=asked.tenant)
    return wire.Purged([_shown_copy(copy) for copy in gone])


def shown_move(move: Move, lag: int | None) -> wire.Move:
    """A move as the API shows it."""
    progress = move.progress
    rate = progress.copied / progress.copy_s if progress.copied and progress.copy_s > 0 else None
    copied = move.phase not in (Phase.PREPARE, Phase.CAPTURE, Phase.COPY) and progress.passes > 0
    share = 1.0 if copied else min(1.0, progress.copied / progress.vectors) if progress.vectors else 0.0
    left = max(0, progress.vectors - progress.copied)
    soaking = move.started.get(Phase.SOAK) if move.phase is Phase.SOAK else None
    return wire.Move(
        id=move.id,
        index=move.index,
        tenant=move.tenant,
        source=move.source.shard,
        target=move.target.shard,
        source_namespace=move.source.namespace,
        target_namespace=move.target.namespace,
        phase=str(move.phase),
        wish=str(move.wish),
        outcome=None if move.outcome is None else str(move.outcome),
        why=move.why,
        created_at=move.created_at,
        started=dict(move.started),
        soak_until=None if soaking is None else soaking + move.options.soak_s,
        progress=wire.MoveProgress(
            vectors=progress.vectors,
            bytes=progress.bytes,
            copied=progress.copied,
            copied_bytes=progress.copied_bytes,
            passes=progress.passes,
            share=share,
            rate=rate,
            eta_s=None if rate is None or copied else left / rate,
        ),
        lag=lag,
        flip_ms=move.flip_ms,
        back_ms=move.back_ms,
        error=move.error,
        proof=move.proof,
        options=move.options,
    )


def shown_run(run: Run) -> wire.Run:
    """A run as the API shows it."""
    return wire.Run(
        id=run.id,
        index=run.plan.index,
        aim=str(run.plan.aim),
        subject=run.subject,
        state=str(run.state),
        plan=run.plan,
        moves=[
            wire.RunMove(
                tenant=step.planned.tenant,
                source=step.planned.source,
                target=step.planned.target,
                state=str(step.state),
                move=step.move,
                phase=None if step.phase is None else str(step.phase),
                error=step.error,
            )
            for step in run.steps
        ],
        moved=run.count(StepState.MOVED),
        failed=run.count(StepState.FAILED),
        waiting=run.count(StepState.WAITING),
    )


async def _shown(call: Call, move: Move) -> wire.Move:
    return shown_move(move, await call.cluster.moves.behind(move))


async def _found(call: Call) -> Move:
    move = await call.cluster.moves.get(call.path["id"])
    if move.index != call.index:
        raise NotFound("move", move.id, f"in index {call.index!r}; see `tenantry moves list`")
    return move


def _run(call: Call) -> Run:
    run = call.cluster.plans.run(call.path["id"])
    if run.plan.index != call.index:
        raise NotFound("run", run.id, f"in index {call.index!r}")
    return run


def _options(asked: wire.MakePlan) -> dict[str, int | float | None]:
    return {name: getattr(asked, name) for name in PlanOptions.__struct_fields__}


def _shown_copy(copy: Copy) -> wire.Copy:
    return wire.Copy(copy.tenant, copy.place.shard, copy.place.namespace, copy.move, copy.purge_at)
