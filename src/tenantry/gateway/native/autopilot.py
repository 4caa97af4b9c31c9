"""The native API's auto-pilot."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tenantry.cluster.autopilot import PilotStatus
from tenantry.gateway.native.wire import Body
from tenantry.gateway.table import Call, Endpoint
from tenantry.model.autopilot import PilotEntry


class SetAutopilot(Body):
    """What it may do from now on; fields that are left out stay as they are. ``bytes_per_hour``: null for no limit."""

    stance: str
    windows: list[str] | msgspec.UnsetType = msgspec.UNSET
    moves_per_hour: int | msgspec.UnsetType = msgspec.UNSET
    bytes_per_hour: int | msgspec.UnsetType | None = msgspec.UNSET
    dollars_per_day: float | msgspec.UnsetType = msgspec.UNSET
    tenant_cool_down_s: float | msgspec.UnsetType = msgspec.UNSET
    shard_cool_down_s: float | msgspec.UnsetType = msgspec.UNSET
    periods: int | msgspec.UnsetType = msgspec.UNSET
    errors_more: float | msgspec.UnsetType = msgspec.UNSET
    p95_times: float | msgspec.UnsetType = msgspec.UNSET


class AskHistory(msgspec.Struct, forbid_unknown_fields=True):
    """Query parameters: one page, newest first; go on with ``before`` = the last number."""

    limit: int = 100
    before: int | None = None
    index: str | None = None


class History(msgspec.Struct):
    """Entries of the record, newest first."""

    entries: list[PilotEntry]


async def status(call: Call, _: None) -> PilotStatus:
    """How it stands."""
    return await call.cluster.autopilot.status()


async def set_policy(call: Call, asked: SetAutopilot) -> PilotStatus:
    """Put a policy in force."""
    given = {name: value for name, value in msgspec.structs.asdict(asked).items() if value is not msgspec.UNSET}
    return await call.cluster.autopilot.set(given.pop("stance"), **given)


async def history(call: Call, asked: AskHistory) -> History:
    """What it did or would do."""
    return History(await call.cluster.autopilot.history(**msgspec.structs.asdict(asked)))


def routes(see: Callable[..., Endpoint], control: Callable[..., Endpoint]) -> list[Endpoint]:
    """Its operations; ``see`` and ``control`` make endpoints for who may look, and for operators."""
    return [
        see(
            method="GET",
            path="/v1/autopilot",
            handle=status,
            response=PilotStatus,
            summary="Tell how the auto-pilot stands",
        ),
        control(
            method="PUT",
            path="/v1/autopilot",
            handle=set_policy,
            request=SetAutopilot,
            response=PilotStatus,
            action="autopilot.set",
            summary="Say what the auto-pilot may do",
        ),
        see(
            method="GET",
            path="/v1/autopilot/history",
            handle=history,
            query=AskHistory,
            response=History,
            summary="Tell what the auto-pilot did or would do, and why",
        ),
    ]
