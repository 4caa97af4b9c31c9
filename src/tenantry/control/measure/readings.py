"""Counts of one slice of time, their form between processes, and what several slices come to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from tenantry.control.measure.sketch import add_bins, quantiles_s

#: Places in `Tally.counts`.
QUERIES, READS, WRITES, PARTS, ERRORS = range(5)
#: What each kind of operation is counted as; ``search-part`` is a request to a shard in a cross-tenant search,
#: for one tenant or, where the engine can, for several.
GROUPS = {"query": QUERIES, "upsert": WRITES, "update": WRITES, "delete": WRITES, "search-part": PARTS}
#: Under this name are counted the tenants beyond the bound of a slice.
OTHERS = ""

Key = tuple[str, str]


class Tally(msgspec.Struct, array_like=True):
    """What one shard or tenant did in a slice.

    Attributes:
        counts: queries, other reads, writes, parts of cross-tenant searches, and how many of all of these failed.
        bins: latencies of queries, see `sketch`.
    """

    counts: list[int]
    bins: dict[int, int]

    def add(self, other: Tally) -> None:
        """Merge another one into this."""
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        add_bins(self.bins, other.bins)


class Searches(msgspec.Struct, array_like=True):
    """Cross-tenant searches of an index in a slice; ``partial`` of them lacked a shard."""

    count: int
    partial: int
    bins: dict[int, int]


def new_tally() -> Tally:
    """Nothing yet."""
    return Tally([0, 0, 0, 0, 0], {})


class Slice(msgspec.Struct, array_like=True):
    """Everything that one process counted in a part of the window.

    Attributes:
        number: grows by one from slice to slice of a process.
        seconds: how long it lasted, or has lasted so far.
        lookups: look-ups of routes, by where the route was found.
    """

    number: int
    seconds: float = 0.0
    shards: dict[str, dict[str, Tally]] = msgspec.field(default_factory=dict)
    tenants: dict[str, dict[str, Tally]] = msgspec.field(default_factory=dict)
    searches: dict[str, Searches] = msgspec.field(default_factory=dict)
    lookups: dict[str, int] = msgspec.field(default_factory=dict)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Slice)


def encode_slice(one: Slice) -> bytes:
    """For another process; some 30 bytes and 4 more a bin for each shard and tenant."""
    return _encoder.encode(one)


def decode_slice(body: bytes) -> Slice | None:
    """None for what is none, such as that of another version."""
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError:
        return None


class Reading(msgspec.Struct, frozen=True, eq=False):
    """A shard or tenant over the window.

    Attributes:
        seconds: length of the window, over which rates are taken.
        bins: latencies of queries.
    """

    seconds: float
    queries: int = 0
    reads: int = 0
    writes: int = 0
    parts: int = 0
    errors: int = 0
    bins: Mapping[int, int] = msgspec.field(default_factory=dict)

    @property
    def operations(self) -> int:
        """All of them, failed ones too."""
        return self.queries + self.reads + self.writes + self.parts

    @property
    def own_per_second(self) -> float:
        """Operations a second that the tenant asked for itself, without parts of cross-tenant searches: what moves
        with it, and what it is billed for."""
        own = self.queries + self.reads + self.writes
        return own / self.seconds if self.seconds > 0 else 0.0

    @property
    def per_second(self) -> float:
        """Operations a second."""
        return self.operations / self.seconds if self.seconds > 0 else 0.0

    @property
    def queries_per_second(self) -> float:
        """Queries a second."""
        return self.queries / self.seconds if self.seconds > 0 else 0.0

    @property
    def error_rate(self) -> float:
        """Share of operations that failed, 0 to 1."""
        return self.errors / self.operations if self.operations else 0.0

    def latencies_ms(self) -> tuple[float, float, float]:
        """P50, P95 and P99 of queries, milliseconds, within 1%; 0 where there were none."""
        p50, p95, p99 = quantiles_s(self.bins, (0.5, 0.95, 0.99))
        return p50 * 1_000, p95 * 1_000, p99 * 1_000


class Readings(msgspec.Struct, frozen=True, eq=False):
    """An index over the window, all gateways together.

    Attributes:
        seconds: length of the window; less than its setting when nothing has run for that long.
        gateways: processes whose counts are in.
        shards, tenants: by name; idle ones are left out. `OTHERS` are tenants beyond the bound.
        searches, partial_searches: cross-tenant searches, and those of them that lacked a shard.
        lookups: look-ups of routes of all indexes, by where the route was found.
    """

    seconds: float
    gateways: int
    shards: Mapping[str, Reading]
    tenants: Mapping[str, Reading]
    searches: int = 0
    partial_searches: int = 0
    search_bins: Mapping[int, int] = msgspec.field(default_factory=dict)
    lookups: Mapping[str, int] = msgspec.field(default_factory=dict)

    @property
    def cross_tenant_share(self) -> float:
        """Part of all questions (queries of one tenant, and searches across tenants) that went across, 0 to 1."""
        asked = self.searches + sum(one.queries for one in self.shards.values())
        return self.searches / asked if asked else 0.0

    @property
    def cache_hit_rate(self) -> float | None:
        """Part of route look-ups that this and other processes answered from their own cache; None: there were none."""
        asked = sum(self.lookups.values())
        return self.lookups.get("cache", 0) / asked if asked else None


def merged(index: str, processes: Iterable[Iterable[Slice]], *, with_tenants: bool = True) -> Readings:
    """What slices come to: those of one process follow each other, those of several lie side by side. Without the
    tenants it takes a hundredth of the time where there are many."""
    shards: dict[str, Tally] = {}
    tenants: dict[str, Tally] = {}
    bins: dict[int, int] = {}
    lookups: dict[str, int] = {}
    searches = partial = gateways = 0
    seconds = 0.0
    for slices in processes:
        gateways += 1
        lasted = 0.0
        for one in slices:
            lasted += one.seconds
            _gather(shards, one.shards.get(index, {}))
            if with_tenants:
                _gather(tenants, one.tenants.get(index, {}))
            found = one.searches.get(index)
            if found is not None:
                searches += found.count
                partial += found.partial
                add_bins(bins, found.bins)
            for source, count in one.lookups.items():
                lookups[source] = lookups.get(source, 0) + count
        seconds = max(seconds, lasted)
    return Readings(
        seconds=seconds,
        gateways=gateways,
        shards=dict(_read(shards, seconds)),
        tenants=dict(_read(tenants, seconds)),
        searches=searches,
        partial_searches=partial,
        search_bins=bins,
        lookups=lookups,
    )


def _gather(total: dict[str, Tally], found: Mapping[str, Tally]) -> None:
    for name, tally in found.items():
        known = total.get(name)
        if known is None:
            total[name] = Tally(list(tally.counts), dict(tally.bins))
        else:
            known.add(tally)


def _read(total: Mapping[str, Tally], seconds: float) -> Iterator[tuple[str, Reading]]:
    for name, tally in total.items():
        queries, reads, writes, parts, errors = tally.counts
        yield name, Reading(seconds, queries, reads, writes, parts, errors, tally.bins)
