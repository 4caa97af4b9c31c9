"""The native API's migrations."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from tenantry.control.migrate.report import markdown
from tenantry.gateway.native import wire_migrations as wire
from tenantry.gateway.streams import event
from tenantry.gateway.table import Call, Endpoint, Stream
from tenantry.model.migration import Item, ItemState, Migration, State
from tenantry.model.migration_plan import MigrationPlan, MigrationReport

_MIGRATION = "/v1/migrations/{id}"
_WAITING = (ItemState.WAITING, ItemState.MOVING, ItemState.RETURNING, ItemState.RETURNED)


async def plan(call: Call, asked: wire.MakeMigration) -> MigrationPlan:
    """What a migration would do; changes nothing."""
    given = msgspec.structs.asdict(asked)
    return await call.cluster.migrations.plan(given.pop("index"), **given)


async def start(call: Call, asked: wire.MakeMigration) -> wire.Migration:
    """Begin one."""
    given = msgspec.structs.asdict(asked)
    return await _shown(call, await call.cluster.migrations.start(given.pop("index"), **given))


async def list_migrations(call: Call, asked: wire.ListMigrations) -> wire.Migrations:
    """The newest first."""
    found = await call.cluster.migrations.list(asked.index, open_only=asked.open, limit=asked.limit)
    return wire.Migrations([await _shown(call, one) for one in found])


async def get(call: Call, _: None) -> wire.Migration:
    """One migration."""
    return await _shown(call, await call.cluster.migrations.get(call.path["id"]))


async def items(call: Call, _: None) -> wire.MigrationItems:
    """Its tenants."""
    return wire.MigrationItems(await call.cluster.migrations.items(call.path["id"]))


async def report(call: Call, _: None) -> MigrationReport:
    """What became of it."""
    return await call.cluster.migrations.report(call.path["id"])


async def report_markdown(call: Call, _: None) -> wire.ReportMarkdown:
    """The same for people."""
    return wire.ReportMarkdown(markdown(await call.cluster.migrations.report(call.path["id"])))


async def pause(call: Call, _: None) -> wire.Migration:
    """Begin no more moves."""
    return await _shown(call, await call.cluster.migrations.pause(call.path["id"]))


async def resume(call: Call, asked: wire.ResumeMigration) -> wire.Migration:
    """Go on."""
    return await _shown(call, await call.cluster.migrations.resume(call.path["id"], now=asked.now))


async def rollback(call: Call, asked: wire.RollBackMigration) -> wire.Migration:
    """Take it, or one wave, back."""
    return await _shown(call, await call.cluster.migrations.rollback(call.path["id"], wave=asked.wave))


async def finish(call: Call, asked: wire.FinishMigration) -> wire.Migration:
    """End it for good."""
    return await _shown(call, await call.cluster.migrations.finish(call.path["id"], partial=asked.partial))


async def watch(call: Call, _: None) -> Stream:
    """One migration, live."""
    migration = await call.cluster.migrations.get(call.path["id"])

    async def events() -> AsyncIterator[bytes]:
        number = 0
        async for state in call.cluster.migrations.watch(migration.id):
            number += 1
            yield event("migration", number, await _shown(call, state))
        yield event("end", number + 1, {})

    return Stream(events())


async def _shown(call: Call, migration: Migration) -> wire.Migration:
    items = await call.cluster.migrations.items(migration.id)
    return shown_migration(migration, items, call.cluster.clock.now())


def shown_migration(migration: Migration, items: Sequence[Item], now: float) -> wire.Migration:
    """A migration as the API shows it."""
    counts = Counter(item.state for item in items)
    of_wave = Counter((item.wave, item.state) for item in items)
    current = migration.current()
    moving = [one.tenant for one in items if one.state in (ItemState.MOVING, ItemState.RETURNING)]
    next_at = None
    if migration.state is State.RUNNING and current is not None:
        soaked = (current.moved_at or now) + migration.options.soak_s
        next_at = soaked if current.moved_at is not None else None if current.began_at is not None else current.due_at
        next_at = None if next_at is None else max(next_at, migration.calm_until)
    waiting = migration.state in (State.PAUSED, State.DONE) or migration.ended
    unbegun = current is not None and current.began_at is None and not migration.hurry
    idle = not moving and (waiting or (unbegun and next_at is not None and next_at > now))
    return wire.Migration(
        id=migration.id,
        index=migration.index,
        state=str(migration.state),
        reason=migration.reason,
        held=migration.held,
        created_at=migration.created_at,
        sources=list(migration.sources),
        targets=migration.targets,
        options=migration.options,
        tenants=len(items),
        moved=counts[ItemState.MOVED],
        failed=counts[ItemState.FAILED],
        waiting=sum(counts[state] for state in _WAITING),
        moving=moving,
        next_at=next_at,
        idle=idle,
        rolling_back=migration.rolling_back,
        waves=[
            wire.MigrationWave(
                number=wave.number,
                canary=wave.canary,
                tenants=wave.tenants,
                moved=of_wave[wave.number, ItemState.MOVED],
                failed=of_wave[wave.number, ItemState.FAILED],
                due_at=wave.due_at,
                began_at=wave.began_at,
                moved_at=wave.moved_at,
                passed_at=wave.passed_at,
                gate=wave.verdict,
            )
            for wave in migration.waves
        ],
        before=migration.before,
        after=migration.after,
        events=migration.events,
        revision=migration.revision,
    )


def routes(see: Callable[..., Endpoint], control: Callable[..., Endpoint]) -> list[Endpoint]:
    """The table; ``see`` and ``control`` make endpoints for who may look, and for who may steer."""
    about = {"index": "index"}
    return [
        see(
            method="POST",
            path="/v1/migrations/plan",
            handle=plan,
            request=wire.MakeMigration,
            response=MigrationPlan,
            patient=True,
            summary="Plan a migration in waves; a dry run",
        ),
        control(
            method="POST",
            path="/v1/migrations",
            handle=start,
            request=wire.MakeMigration,
            response=wire.Migration,
            status=202,
            patient=True,
            action="migration.start",
            about=about,
            summary="Begin a migration in waves",
        ),
        see(
            method="GET",
            path="/v1/migrations",
            handle=list_migrations,
            query=wire.ListMigrations,
            response=wire.Migrations,
            summary="List migrations",
        ),
        *_of_one(see),
        *_steering(control),
    ]


def _of_one(see: Callable[..., Endpoint]) -> list[Endpoint]:
    return [
        see(method="GET", path=_MIGRATION, handle=get, response=wire.Migration, summary="Describe a migration"),
        see(
            method="GET",
            path=_MIGRATION + "/tenants",
            handle=items,
            response=wire.MigrationItems,
            summary="List the tenants of a migration",
        ),
        see(
            method="GET",
            path=_MIGRATION + "/report",
            handle=report,
            response=MigrationReport,
            patient=True,
            summary="Report on a migration",
        ),
        see(
            method="GET",
            path=_MIGRATION + "/report/markdown",
            handle=report_markdown,
            response=wire.ReportMarkdown,
            patient=True,
            summary="Report on a migration, as Markdown",
        ),
        see(
            method="GET",
            path=_MIGRATION + "/events",
            handle=watch,
            response=wire.Migration,
            streams=True,
            summary="Watch a migration (server-sent events)",
        ),
    ]


def _steering(control: Callable[..., Endpoint]) -> list[Endpoint]:
    return [
        control(
            method="POST",
            path=_MIGRATION + "/pause",
            handle=pause,
            response=wire.Migration,
            action="migration.pause",
            summary="Pause a migration between moves",
        ),
        control(
            method="POST",
            path=_MIGRATION + "/resume",
            handle=resume,
            request=wire.ResumeMigration,
            response=wire.Migration,
            action="migration.resume",
            summary="Go on with a paused migration",
        ),
        control(
            method="POST",
            path=_MIGRATION + "/rollback",
            handle=rollback,
            request=wire.RollBackMigration,
            response=wire.Migration,
            action="migration.rollback",
            summary="Take a migration, or one wave of it, back",
        ),
        control(
            method="POST",
            path=_MIGRATION + "/finish",
            handle=finish,
            request=wire.FinishMigration,
            response=wire.Migration,
            patient=True,
            action="migration.finish",
            summary="End a migration for good",
        ),
    ]
