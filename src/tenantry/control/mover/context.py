"""What every part of the mover needs of the process that it runs in."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from tenantry.model.limits import Limits
from tenantry.ports import Catalog, Clock, Faults, Tracer
from tenantry.router.inflight import Inflight
from tenantry.router.member import Member
from tenantry.router.news import News
from tenantry.router.resolve import Resolver
from tenantry.router.shards import ShardPool


class MovingLimits(msgspec.Struct, frozen=True):
    """Bounds of moving, for one cluster.

    Attributes:
        at_once: moves that copy at the same time, in one process.
        per_shard: of these, with the same shard as source or as target.
        call_s: longest time of one backend call of a mover, seconds; a new owner waits it out.
        request_s: longest time of one request of a router, seconds; a barrier waits it out for a router that is gone.
        poll_s: how often the catalog is asked for moves, barriers and acknowledgements, seconds.
        log_bytes: most bytes that a move's log may hold; then the move is given up.
    """

    at_once: int = 4
    per_shard: int = 2
    call_s: float = 10.0
    request_s: float = 30.0
    poll_s: float = 0.2
    log_bytes: int = 256 * 2**20


#: The same where no other process can change anything: whoever changes it here says so.
POLL_SOLE_S = 2.0


class NoFaults:
    """Implements `Faults` in production."""

    async def reach(self, point: str) -> None:
        """Nothing happens."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """The parts of one process, as the mover uses them."""

    catalog: Catalog
    pool: ShardPool
    resolver: Resolver
    member: Member
    inflight: Inflight
    news: News
    clock: Clock
    faults: Faults
    limits: Limits
    moving: MovingLimits
    tracer: Tracer | None = None

    @property
    def poll_s(self) -> float:
        """How often the catalog is asked for what may have changed there."""
        return POLL_SOLE_S if self.member.sole else self.moving.poll_s
