"""The bound against SciPy, against simulation, and what a smaller number costs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from tenantry.router.scatter.exactness import parts_of, tail


@given(st.integers(1, 10**7), st.data())
@settings(max_examples=300)
def test_the_tail_is_that_of_the_hypergeometric_distribution(total, data):
    marked = data.draw(st.integers(0, total))
    drawn = data.draw(st.integers(0, min(total, 10_000)))
    most = data.draw(st.integers(0, min(drawn, 400)))
    wanted = float(hypergeom.sf(most, total, marked, drawn))
    assert tail(total, marked, drawn, most) == pytest.approx(wanted, rel=1e-5, abs=1e-10)


def lognormal(tenants, total, seed):
    drawn = np.random.default_rng(seed).lognormal(0.0, 1.5, tenants)
    return np.maximum(1, (drawn * total / drawn.sum())).astype(int)


CASES = [
    (lognormal(200, 20_000, 1), 10),
    (lognormal(200, 20_000, 2), 100),
    (lognormal(200, 200_000, 3), 1_000),
    (np.full(200, 100), 100),
    (np.array([10_000, 1, 1, 1]), 50),
    (lognormal(5, 20_000, 4), 100),
]


@pytest.mark.parametrize(("sizes", "top_k"), CASES)
@pytest.mark.parametrize("exactness", [0.9, 0.99, 0.999])
def test_measured_misses_stay_within_the_bound(sizes, top_k, exactness):
    """The assumption as it is stated: the ranks are handed out to the records evenly. 20,000 searches each."""
    trials = 20_000
    wants = np.array(parts_of(top_k, sizes.tolist(), exactness))
    random = np.random.default_rng(7)
    found = random.multivariate_hypergeometric(sizes, top_k, size=trials, method="marginals")
    misses = int((found > wants).any(axis=1).sum())
    allowed = (1 - exactness) * trials
    assert misses <= allowed + 4 * np.sqrt(allowed)


@pytest.mark.parametrize(("sizes", "top_k"), CASES[1:4])
def test_it_asks_for_much_less(sizes, top_k):
    wants = parts_of(top_k, sizes.tolist(), 0.999)
    assert sum(wants) < 0.25 * top_k * len(sizes)
    assert max(wants) <= top_k
    assert min(wants) >= 1


def test_asking_for_one_less_breaks_the_bound():
    """So the bound is not met by being generous: one hit less in each part, and many more searches miss."""
    sizes, top_k = np.full(200, 100), 100
    wants = np.array(parts_of(top_k, sizes.tolist(), 0.99))
    found = np.random.default_rng(8).multivariate_hypergeometric(sizes, top_k, size=5_000, method="marginals")
    assert (found > wants - 1).any(axis=1).mean() > 0.01


def test_where_nothing_can_be_saved_all_is_asked_for():
    assert parts_of(10, [5, 6], 1.0) == [10, 10]
    assert parts_of(10, [1_000], 0.9) == [10]
    assert parts_of(10, [3, 4], 0.9) == [10, 10]
    assert parts_of(10, [0, 0], 0.9) == [10, 10]


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=50), st.integers(1, 10_000), st.floats(0.5, 0.9999))
@settings(max_examples=200)
def test_never_more_than_asked_and_never_none(sizes, top_k, exactness):
    wants = parts_of(top_k, sizes, exactness)
    assert all(1 <= want <= top_k for want in wants)
    stricter = parts_of(top_k, sizes, 1 - (1 - exactness) / 10)
    assert all(more >= less for more, less in zip(stricter, wants, strict=True))
