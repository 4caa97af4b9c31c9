"""Which operation may begin, and when: limits of the tenant's plan first, then a place on its shard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import msgspec

from tenantry.errors import RateLimited, Unavailable
from tenantry.model.rates import Rate
from tenantry.model.service import ServicePlan
from tenantry.model.topology import Mode, Route
from tenantry.model.usage import Load
from tenantry.ports import Clock, Features, Limiter, Telemetry
from tenantry.router.gate import Gate, GateOptions
from tenantry.router.loop_gate import LoopGate
from tenantry.router.planbook import PlanBook

#: Parts of cross-tenant searches wait in one line of their own on each shard, with the weight of one tenant.
ACROSS = ""
#: A shared limiter is asked for this part of a second's requests at once, which then are spent here.
ASKED_SHARE = 20
#: What was asked for and not spent lapses after so many seconds.
SPEND_S = 1.0
#: Tenants of which something is kept; past that those go that have nothing in hand.
MOST_KEPT = 100_000
#: Longest pause of one who is patient, seconds.
PAUSE_S = 0.1
#: Set where one request consists of many operations, which had better be slowed down than refused half way.
patient: ContextVar[bool] = ContextVar("patient", default=False)

#: Of an index and shard.
FeaturesOf = Callable[[str, str], Awaitable[Features]]


class Admission:
    """Shared by all operations of a process.

    Per second: at most the plan's ``requests_per_s`` in any second, in all gateways together when they share a limiter
    (`tenantry.ports.Limiter.remote`): each takes a twentieth of a second's requests at a time, so that a round trip is
    paid once for many, and what it takes and does not spend within a second is lost to the tenant: at most a twentieth
    a gateway. Without a shared limiter each gateway lets through as many.

    At once: at most ``concurrent`` operations in each gateway, waiting ones included.

    On the shard: a `Gate` for reads and one for writes, which keep different things busy. Writes to a tenant that moves
    pass it: they go to the log, and wait for the move.

    Parts of searches across tenants stand in one line together, which takes its turn as a tenant of weight 1 does. They
    are nobody's requests, so no plan holds them, and they wait as long as their search has time: a search without a
    shard is worse than a late one, and how many wait is bounded where they come from (`SearchLimits.per_shard`).
    """

    def __init__(
        self,
        plans: PlanBook,
        limiter: Limiter,
        options: GateOptions,
        clock: Clock,
        telemetry: Telemetry,
        features_of: FeaturesOf,
    ) -> None:
        self._telemetry = telemetry
        self._features_of = features_of
        self._plans = plans
        self._limiter = limiter
        self._options = options
        self._clock = clock
        self._tenants: dict[tuple[str, str], _Standing] = {}
        self._gates: dict[tuple[str, str, bool], Gate] = {}

    async def admit(self, index: str, tenant: str, route: Route, load: Load) -> Ticket:
        """Let an operation begin, when its turn has come; `Ticket.leave` must follow. While `patient` is set, it waits
        until the limits allow it, however long.

        Raises:
            RateLimited: over the plan, or over the tenant's share of a busy shard.
            Unavailable: the shard is too busy.
        """
        while True:
            try:
                return await self._admit(index, tenant, route, load)
            except RateLimited as limited:
                if not patient.get():
                    raise
                await self._clock.sleep(min(limited.retry_after_s, PAUSE_S))

    async def _admit(self, index: str, tenant: str, route: Route, load: Load) -> Ticket:
        if not self._plans.read:
            await self._plans.ready()
        if not load.own:
            return await self.admit_across(index, route.place.shard, load)
        plan, shard = self._plans.of(route.plan), route.place.shard
        key = (index, tenant)
        standing = self._tenants.get(key) or self._new(key)
        if plan.concurrent is not None and standing.in_hand >= plan.concurrent:
            self._telemetry.turned_away(index, shard, "at-once")
            raise RateLimited(
                f"tenant {tenant!r} has {standing.in_hand} operations in hand; plan {plan.name!r} allows "
                f"{plan.concurrent} at once"
            )
        standing.in_hand += 1
        gate = None
        try:
            if plan.requests_per_s is not None and not standing.spend(self._clock.monotonic()):
                await self._take(key, shard, standing, plan, plan.requests_per_s)
            if self._options.width and (route.mode is Mode.DIRECT or not load.write):
                gate = self._gates.get((index, shard, load.write)) or await self._new_gate(index, shard, load.write)
                if not gate.enter(tenant):
                    await self._wait(gate, index, tenant, plan.weight, load.cost)
        except BaseException:
            standing.in_hand -= 1
            raise
        return Ticket(gate, standing, tenant, plan.weight, self._clock.monotonic() if gate else 0.0)

    async def admit_across(self, index: str, shard: str, load: Load) -> Ticket:
        """Let a part of a search across tenants begin on a shard, when its turn has come; `Ticket.leave` must follow.
        Raises Unavailable."""
        if not self._options.width:
            return Ticket(None, None)
        gate = self._gates.get((index, shard, False)) or await self._new_gate(index, shard, False)
        if not gate.enter(ACROSS):
            await self._wait(gate, index, ACROSS, 1, load.cost)
        return Ticket(gate, None, ACROSS, 1, self._clock.monotonic())

    async def _wait(self, gate: Gate, index: str, line: str, weight: int, cost: int) -> None:
        try:
            await gate.wait(line, weight, cost, patient=line == ACROSS)
        except Unavailable as away:
            why = "share" if isinstance(away, RateLimited) else "busy"
            self._telemetry.turned_away(index, gate.name, why)
            raise

    def in_hand(self, index: str, tenant: str) -> int:
        """Operations of a tenant in this process now."""
        standing = self._tenants.get((index, tenant))
        return 0 if standing is None else standing.in_hand

    async def aclose(self) -> None:
        """Close the limiter's connections."""
        await self._limiter.aclose()

    async def _take(self, key: tuple[str, str], shard: str, standing: _Standing, plan: ServicePlan, most: int) -> None:
        asked = max(1, most // ASKED_SHARE) if self._limiter.remote else 1
        now = self._clock.monotonic()
        name = f"tenant:{key[0]}:{key[1]}"
        wait_s = await self._limiter.take(name, Rate(most, 1.0), asked)
        if wait_s and asked > 1:
            wait_s = await self._limiter.take(name, Rate(most, 1.0))
            asked = 1
        if wait_s:
            self._telemetry.turned_away(key[0], shard, "rate")
            raise RateLimited(f"tenant {key[1]!r} is over the {most:,} requests a second of plan {plan.name!r}", wait_s)
        standing.grant(asked - 1, now + SPEND_S)

    def _new(self, key: tuple[str, str]) -> _Standing:
        if len(self._tenants) >= MOST_KEPT:
            for old in [old for old, standing in self._tenants.items() if not standing.in_hand]:
                del self._tenants[old]
        return self._tenants.setdefault(key, _Standing())

    async def _new_gate(self, index: str, shard: str, write: bool) -> Gate:
        kind, options = Gate, self._options
        if not write:
            features = await self._features_of(index, shard)
            kind = LoopGate if features.in_process else Gate
            options = msgspec.structs.replace(options, width=min(options.width, features.reads_at_once))
        return self._gates.setdefault((index, shard, write), kind(shard, options, self._clock))


class _Standing:
    """What is known of a tenant here: operations in hand, and requests granted but not made."""

    __slots__ = ("_granted", "_until", "in_hand")

    def __init__(self) -> None:
        self.in_hand = 0
        self._granted = 0
        self._until = 0.0

    def spend(self, now: float) -> bool:
        if self._granted and now < self._until:
            self._granted -= 1
            return True
        return False

    def grant(self, requests: int, until: float) -> None:
        self._granted, self._until = requests, until


def leave(ticket: Ticket | None) -> None:
    """The operation has ended, if it began."""
    if ticket is not None:
        ticket.leave()


class Ticket:
    """An operation that has begun."""

    __slots__ = ("_gate", "_line", "_since", "_standing", "_weight")

    def __init__(
        self, gate: Gate | None, standing: _Standing | None, line: str = ACROSS, weight: int = 1, since: float = 0.0
    ) -> None:
        self._gate = gate
        self._standing = standing
        self._line = line
        self._weight = weight
        self._since = since

    def leave(self) -> None:
        """It has ended."""
        if self._gate is not None:
            self._gate.leave(self._line, self._weight, self._since)
        if self._standing is not None:
            self._standing.in_hand -= 1
