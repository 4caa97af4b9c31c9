"""The smaller seams: cache, events, placement, embedding, time, measurements, faults."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from enum import Enum
from typing import Protocol

from tenantry.model.events import Event
from tenantry.model.rates import Rate
from tenantry.model.records import Vector
from tenantry.model.topology import ClusterView, DatedRoute, Route, TenantSpec


class RouteCache(Protocol):
    """Routes close at hand. A cache may forget; it never goes back to a lower epoch."""

    def get(self, index: str, tenant: str) -> Route | None:
        """The cached route, or None."""

    def put(self, index: str, tenant: str, route: Route) -> None:
        """Keep the route, unless one with a higher epoch is kept."""

    def forget(self, index: str, tenant: str) -> None:
        """Drop the route; the next look-up goes to the catalog."""

    def clear(self) -> None:
        """Drop every route: this process may have missed changes."""

    def __len__(self) -> int:
        """Number of cached routes."""


class SharedRoutes(Protocol):
    """Routes that the processes of a fleet keep for each other. It may lose entries, and give back older ones: whoever
    reads one decides by its moment whether it can be used. What cannot be read as an entry is None, as if it were not
    there, but for `check`."""

    async def get(self, index: str, tenant: str) -> DatedRoute | None:
        """The entry of a tenant. Raises Unavailable."""

    async def put(self, index: str, tenant: str, entry: DatedRoute) -> None:
        """Keep it for a while, unless one of a higher moment is kept. Raises Unavailable."""

    async def drop(self, index: str, tenants: Sequence[str]) -> None:
        """Remove entries, whatever they hold. Raises Unavailable."""

    async def check(self, index: str, tenants: Sequence[str]) -> list[DatedRoute | Damaged | None]:
        """The entries of these, in their order, with those that cannot be read. Raises Unavailable."""

    def tenants(self, index: str) -> AsyncIterator[list[str]]:
        """The tenants of an index that have an entry, some at a time; some perhaps twice. Raises Unavailable."""

    async def aclose(self) -> None:
        """Close connections; safe to call twice."""


class Damaged(Enum):
    """What an entry is that cannot be read."""

    DAMAGED = "damaged"


class EventFeed(Protocol):
    """Carries events between the processes of a fleet, to this one too. It may lose them, and may bring them twice."""

    async def publish(self, event: Event) -> None:
        """Tell all that follow. Raises Unavailable."""

    async def follow(self, heard: Callable[[Event], None], missed: Callable[[], None]) -> None:
        """Call ``heard`` with each event, until cancelled or the connection breaks; ``missed`` first, when it stands.
        Raises Unavailable."""

    async def aclose(self) -> None:
        """Close connections; safe to call twice."""


class Limiter(Protocol):
    """Counts what is let through, by key.

    At most ``rate.most`` units of a key are let through within any ``rate.window_s`` seconds, whoever asks at the same
    time. A unit is free again after the window, or at most a hundredth of it later.
    """

    @property
    def remote(self) -> bool:
        """Whether asking takes a round trip, so that those who need many units ask for several at once."""

    async def take(self, key: str, rate: Rate, cost: int = 1) -> float:
        """0.0: let through, and counted. Else nothing was counted, and so many seconds later it may be let through.

        Raises InvalidArgument when ``cost`` is not from 1 to ``rate.most``; Unavailable.
        """

    async def aclose(self) -> None:
        """Close connections; safe to call twice."""


class PlacementPolicy(Protocol):
    """Chooses a shard for a new tenant. Pure: the same view gives the same answer in any process."""

    def choose(self, tenant: str, spec: TenantSpec, view: ClusterView) -> str:
        """Name of the chosen shard. Raises CapacityExceeded when no eligible shard has room."""


class Embedder(Protocol):
    """Turns text into vectors."""

    @property
    def model(self) -> str:
        """Recorded with the data, so that another model is never mixed in (``local:l2_supercat``)."""

    @property
    def dimension(self) -> int:
        """Length of each vector."""

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """One vector per text, in order. Batches, time limits and retries are its own affair."""

    async def aclose(self) -> None:
        """Close connections; safe to call twice."""


class Clock(Protocol):
    """Time, so that tests and simulations can own it."""

    def now(self) -> float:
        """Seconds since the Unix epoch."""

    def monotonic(self) -> float:
        """Seconds that never go back; for durations."""

    async def sleep(self, seconds: float) -> None:
        """Let others run for that long."""


class Telemetry(Protocol):
    """Where measurements go. Calls are cheap and never raise."""

    def operation(self, kind: str, index: str, shard: str, seconds: float, ok: bool, tenant: str | None = None) -> None:
        """One finished data-plane operation on a shard, of a tenant or of several (None)."""

    def turned_away(self, index: str, shard: str, why: str) -> None:
        """One operation that was not begun: over its plan's ``rate``, too many ``at-once``, over its ``share`` of a
        busy shard, or the shard is too ``busy``."""

    def lookup(self, source: str) -> None:
        """One route look-up; found in the ``cache``, among the ``shared`` routes or in the ``catalog``."""

    def searched(self, index: str, outcome: str, seconds: float) -> None:
        """One finished cross-tenant search: ``complete``, ``partial``, ``cached``, ``failed`` or ``abandoned``."""

    def shard_missing(self, index: str, shard: str, why: str) -> None:
        """A search went without a shard that was ``late``, ``failed``, or left out (``open``)."""

    def hedged(self, index: str, shard: str, won: bool) -> None:
        """A request to a shard was sent a second time; whether the second answer came first."""

    def breaker(self, index: str, shard: str, state: str) -> None:
        """A shard's breaker is now ``closed``, ``half-open`` or ``open``."""

    def search_source(self, index: str, source: str) -> None:
        """A search of an index that has a roll-up was answered out of it (``roll-up``), or by the ``shards``."""

    def rollup(self, index: str, lag_s: float | None, copied: int, removed: int) -> None:
        """How far behind a roll-up is as this process knows (None: it does not, or there is none any more), and
        records that this process copied into it, and removed, since it last said so."""

    def moved(self, index: str, outcome: str, pauses_s: Sequence[float], vectors: int) -> None:
        """A move has ended: how long writes waited at each of its switches, and how many vectors were copied."""


class Notifier(Protocol):
    """Tells people of what changed."""

    async def notify(self, body: bytes) -> None:
        """Deliver a JSON document. Repeats and time limits are its own affair. Raises Unavailable."""

    async def aclose(self) -> None:
        """Close connections; safe to call twice."""


class Faults(Protocol):
    """Named points at which a test may stop, delay or kill what runs there. In production they do nothing."""

    async def reach(self, point: str) -> None:
        """Called on the way; the name says what has just happened (``copy.page-written``)."""
