import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.errors import InvalidArgument
from tenantry.model.filters import parse_filter
from tenantry.router.scatter.paging import Position, cursor_of, digest_of, position_of

KEY = b"k" * 32
ONE = np.ones(4, np.float32)


def digest(index="default", vector=ONE, filter=None, tenants=None, more=()):
    return digest_of(index, 1.0, vector, parse_filter(filter), tenants, more)


@given(st.floats(allow_nan=False), st.text(max_size=40), st.text(max_size=40), st.integers(0, 10_000))
def test_a_cursor_leads_back(score, tenant, id, seen):
    position = Position(score, tenant, id, seen)
    assert position_of(cursor_of(position, digest(), KEY), digest(), KEY) == position


@pytest.mark.parametrize(
    "other",
    [
        {"index": "other"},
        {"vector": ONE * 2},
        {"filter": {"a": 1}},
        {"tenants": ["a"]},
        {"tenants": []},
        {"more": [3]},
    ],
)
def test_it_fits_one_question_only(other):
    cursor = cursor_of(Position(1.0, "t", "r", 3), digest(), KEY)
    with pytest.raises(InvalidArgument, match="cursor"):
        position_of(cursor, digest(**other), KEY)
    with pytest.raises(InvalidArgument, match="cursor"):
        position_of(cursor, digest(), b"other" * 8)


@given(st.one_of(st.text(max_size=100), st.binary(max_size=60).map(lambda raw: raw.hex()), st.none(), st.integers()))
def test_what_is_no_cursor_is_refused(given_):
    with pytest.raises(InvalidArgument, match="cursor"):
        position_of(given_, digest(), KEY)


def test_a_bent_cursor_is_refused():
    cursor = cursor_of(Position(1.0, "tenant", "record", 3), digest(), KEY)
    for i in range(len(cursor)):
        bent = cursor[:i] + ("A" if cursor[i] != "A" else "B") + cursor[i + 1 :]
        with pytest.raises(InvalidArgument, match="cursor"):
            position_of(bent, digest(), KEY)
    with pytest.raises(InvalidArgument, match="cursor"):
        position_of("x" * 10_000, digest(), KEY)
