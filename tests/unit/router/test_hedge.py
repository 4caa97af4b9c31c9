import math
import random

from hypothesis import given
from hypothesis import strategies as st

from tenantry.router.scatter.hedge import KEPT, LEAST, Budget, Latencies


@given(st.lists(st.booleans(), max_size=2_000), st.sampled_from([0.0, 0.01, 0.05, 0.5, 1.0]))
def test_second_requests_are_never_over_their_share(events, share):
    budget, second = Budget(share), 0
    for first, wants_second in enumerate(events, start=1):
        budget.earn()
        if wants_second and budget.spend():
            second += 1
        assert second <= share * first + 1e-6


def test_the_share_is_used():
    budget = Budget(0.05)
    sent = 0
    for _ in range(2_000):
        budget.earn()
        sent += budget.spend()
    assert sent == 100


@given(st.lists(st.floats(0, 10, allow_nan=False), min_size=LEAST, max_size=3 * KEPT))
def test_the_quantile_is_that_of_the_last_ones(seconds):
    latencies = Latencies()
    for one in seconds:
        latencies.note(one)
    kept = sorted(seconds[-KEPT:])
    found = latencies.quantile(0.95)
    assert found == kept[min(len(kept) - 1, int(0.95 * len(kept)))]
    assert sum(one <= found for one in kept) >= 0.95 * len(kept)


def test_few_say_nothing():
    latencies = Latencies()
    for _ in range(LEAST - 1):
        latencies.note(1.0)
        assert latencies.quantile() is None
    latencies.note(math.pi)
    assert latencies.quantile() is not None


def test_old_ones_are_let_go():
    latencies, chance = Latencies(), random.Random(3)
    for _ in range(KEPT):
        latencies.note(5 + chance.random())
    for _ in range(KEPT):
        latencies.note(chance.random())
    assert latencies.quantile() < 1
