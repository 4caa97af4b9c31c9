"""Counts over the sliding window, against what was really put in."""

import math
import tracemalloc

import numpy as np
import pytest
from ddsketch.mapping import LogarithmicMapping

from tenantry.control.measure.readings import OTHERS, decode_slice, encode_slice, merged
from tenantry.control.measure.sketch import ACCURACY, LEAST_S, MOST_S, bin_of, quantiles_s
from tenantry.control.measure.window import SLICES, Measured
from tenantry.telemetry.silent import SilentTelemetry
from tenantry.testing.clock import ManualClock

WINDOW_S = 300.0


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def measured(clock):
    return Measured(SilentTelemetry(), clock, WINDOW_S)


def exact(values, share):
    return float(np.quantile(values, share, method="inverted_cdf"))


def distributions():
    rng = np.random.default_rng(3)
    slow_tail = np.concatenate([rng.lognormal(-6, 0.5, 9_000), rng.lognormal(-1, 0.3, 1_000)])
    yield "lognormal", rng.lognormal(-4, 1.5, 10_000)
    yield "two modes", slow_tail
    yield "uniform", rng.uniform(0.001, 2.0, 10_000)
    yield "constant", np.full(1_000, 0.25)
    yield "few", rng.lognormal(-3, 1, 20)


@pytest.mark.parametrize(("name", "values"), list(distributions()), ids=lambda one: one if isinstance(one, str) else "")
def test_quantiles_are_within_two_percent_of_the_exact_ones(measured, name, values):
    for seconds in values.tolist():
        measured.operation("query", "default", "s", seconds, True, "t")
    reading = measured.readings("default").shards["s"]
    for share, found_ms in zip((0.5, 0.95, 0.99), reading.latencies_ms(), strict=True):
        # The package takes the value at rank q(n-1), the inverted CDF that at qn: neighbours, of few values.
        ordered = np.sort(values)
        near = ordered[[math.floor(share * (len(values) - 1)), min(len(values) - 1, math.ceil(share * len(values)))]]
        assert min(abs(found_ms / 1_000 / v - 1) for v in [exact(values, share), *near]) <= 0.02, (name, share)


def test_bins_are_those_of_the_package():
    mapping = LogarithmicMapping(ACCURACY)
    for seconds in np.random.default_rng(1).lognormal(-5, 3, 10_000).clip(LEAST_S, MOST_S).tolist():
        assert bin_of(seconds) == mapping.key(seconds)
    assert bin_of(0.0) == bin_of(LEAST_S)
    assert bin_of(1e9) == bin_of(MOST_S)
    assert quantiles_s({}, (0.5,)) == [0.0]


def test_old_values_leave_the_window(measured, clock):
    for _ in range(1_000):
        measured.operation("query", "default", "s", 1.0, True, "t")
    assert measured.readings("default").shards["s"].latencies_ms()[1] == pytest.approx(1_000, rel=0.011)
    clock.advance(WINDOW_S / 2)
    for _ in range(100):
        measured.operation("query", "default", "s", 0.010, True, "t")
    assert measured.readings("default").shards["s"].latencies_ms()[1] == pytest.approx(1_000, rel=0.011)
    clock.advance(WINDOW_S / 2 + WINDOW_S / SLICES)
    reading = measured.readings("default").shards["s"]
    assert reading.queries == 100
    assert reading.latencies_ms()[1] == pytest.approx(10, rel=0.011)
    clock.advance(WINDOW_S)
    assert "s" not in measured.readings("default").shards


def test_a_value_stays_for_a_whole_window(measured, clock):
    measured.operation("query", "default", "s", 1.0, True, "t")
    for _ in range(29):
        clock.advance(WINDOW_S / 30)
        assert measured.readings("default").shards["s"].queries == 1


def test_idle_time_counts_in_the_rate_and_slices_stay_bounded(measured, clock):
    clock.advance(WINDOW_S * 50.5)
    for _ in range(60):
        measured.operation("upsert", "default", "s", 0.1, True, "t")
    found = measured.readings("default")
    assert len(measured.slices()) <= SLICES + 1
    assert WINDOW_S <= found.seconds <= WINDOW_S * (1 + 1 / SLICES)
    assert found.shards["s"].per_second == pytest.approx(60 / found.seconds)
    numbers = [one.number for one in measured.slices()]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_kinds_failures_and_indexes_are_told_apart(measured):
    for kind, ok in (("query", True), ("query", False), ("fetch", True), ("upsert", True), ("search-part", True)):
        measured.operation(kind, "default", "s", 0.5, ok, "t")
    measured.operation("query", "other", "s", 0.5, True, "u")
    measured.operation("search-part", "default", "s", 9.0, True)  # for several tenants
    found = measured.readings("default")
    shard = found.shards["s"]
    assert (shard.queries, shard.reads, shard.writes, shard.parts, shard.errors) == (2, 1, 1, 2, 1)
    assert shard.error_rate == pytest.approx(1 / 6)
    assert sum(shard.bins.values()) == 2
    assert set(found.tenants) == {"t"}
    assert measured.readings("other").shards["s"].queries == 1


def test_the_share_of_questions_that_go_across_counts_searches_not_their_parts(measured):
    for _ in range(8):
        measured.operation("query", "default", "s", 0.1, True, "t")
    for partial in (False, True):
        for tenant in range(50):
            measured.operation("search-part", "default", "s", 0.1, True, f"t{tenant}")
        measured.searched("default", "partial" if partial else "complete", 0.4)
    found = measured.readings("default")
    assert (found.searches, found.partial_searches) == (2, 1)
    assert found.cross_tenant_share == pytest.approx(0.2)


def test_the_rate_of_cache_hits(measured):
    assert measured.readings("default").cache_hit_rate is None
    for source in ("cache", "cache", "cache", "catalog"):
        measured.lookup(source)
    assert measured.readings("default").cache_hit_rate == 0.75


def test_processes_merge_as_one_would_have_counted(clock):
    one, two, both = (Measured(SilentTelemetry(), clock, WINDOW_S) for _ in range(3))
    rng = np.random.default_rng(5)
    for i, seconds in enumerate(rng.lognormal(-4, 1, 4_000).tolist()):
        for to in ((one, two)[i % 2], both):
            to.operation("query", "default", f"s{i % 3}", seconds, i % 7 > 0, f"t{i % 11}")
        if i % 1_000 == 0:
            clock.advance(WINDOW_S / 8)
    sent = [[decode_slice(encode_slice(each)) for each in process.slices()] for process in (one, two)]
    found, expected = merged("default", sent), both.readings("default")
    assert found.gateways == 2
    for name in expected.shards:
        assert found.shards[name].latencies_ms() == expected.shards[name].latencies_ms()
        assert found.shards[name].errors == expected.shards[name].errors
        assert found.shards[name].per_second == pytest.approx(expected.shards[name].per_second)
    assert {name: one.operations for name, one in found.tenants.items()} == {
        name: one.operations for name, one in expected.tenants.items()
    }
    assert decode_slice(b"nonsense") is None


def test_memory_is_bounded_at_ten_thousand_tenants(clock):
    """At the pace of some four gateways' cores, 1,000 operations a second, for longer than the window."""
    rng = np.random.default_rng(2)
    measured = Measured(SilentTelemetry(), clock, WINDOW_S)
    tracemalloc.start()
    for _ in range(SLICES + 2):
        clock.advance(WINDOW_S / SLICES)
        tenants = rng.integers(10_000, size=60_000).tolist()
        for tenant, seconds in zip(tenants, rng.lognormal(-5, 1, 60_000).tolist(), strict=True):
            measured.operation("query", "default", f"s{tenant % 100}", seconds, True, f"t{tenant}")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 64 * 2**20


def test_tenants_beyond_the_bound_are_counted_together(clock):
    measured = Measured(SilentTelemetry(), clock, WINDOW_S, most_tenants=3)
    for tenant in range(10):
        measured.operation("query", "default", "s", 0.1, True, f"t{tenant}")
        measured.operation("query", "default", "s", 0.1, True, f"t{tenant}")
    found = measured.readings("default")
    assert found.shards["s"].queries == 20
    assert sum(one.queries for one in found.tenants.values()) == 20
    assert found.tenants[OTHERS].queries == 14
