"""Column masks mean exactly what the reference `matches` means, whatever the metadata and the filter."""

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantry.backends.embedded.columns import MOST_COLUMNS, Columns
from tenantry.model.filters import And, Compare, Op, Or, matches

FIELDS = ["a", "a", "a", "b", 'quo"te', "tab\t", "type", "ü"]
EDGES = [
    0,
    -0.0,
    1,
    1.0,
    1.5,
    -1,
    2**53 - 1,
    2**53,
    2**53 + 1,
    float(2**53),
    2**53 + 2,
    -(2**53) - 1,
    2**63 - 1,
    2**63,
    -(2**63),
    -(2**63) - 1,
    float(2**63),
    2**64 + 1,
    10**25 + 1,
    1e25,
    10**400,
    -(10**400),
    1.7e308,
    -1.7e308,
    5e-324,
    1_700_000_000_123_456_789,
]
numbers = st.one_of(
    st.sampled_from(EDGES),
    st.integers(-5, 5),
    st.integers(2**53 - 3, 2**53 + 3),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
)
texts = st.one_of(st.sampled_from(["", "x", "y", "1", "true", "é"]), st.text(st.characters(codec="utf-8"), max_size=3))
scalars = st.one_of(numbers, texts, st.booleans())
odd = st.one_of(st.lists(st.one_of(texts, st.integers(0, 3)), max_size=3), st.dictionaries(texts, texts, max_size=1))
values = st.one_of(scalars, st.lists(texts, max_size=3), odd, st.none())
metadata = st.one_of(st.none(), st.dictionaries(st.sampled_from(FIELDS), values, max_size=4))

fields = st.sampled_from([*FIELDS, "absent"])
terms = st.one_of(
    st.builds(Compare, fields, st.sampled_from([Op.EQ, Op.NE]), scalars),
    st.builds(Compare, fields, st.sampled_from([Op.GT, Op.GTE, Op.LT, Op.LTE]), numbers),
    st.builds(Compare, fields, st.sampled_from([Op.IN, Op.NIN]), st.lists(scalars, max_size=12).map(tuple)),
    st.builds(Compare, fields, st.just(Op.EXISTS), st.booleans()),
)
filters = st.recursive(
    terms,
    lambda inner: st.one_of(
        st.builds(And, st.lists(inner, max_size=3).map(tuple)), st.builds(Or, st.lists(inner, max_size=3).map(tuple))
    ),
    max_leaves=6,
)


def encoded(rows):
    return [None if row is None else msgspec.json.encode(row) for row in rows]


def stored(rows):
    """Metadata as they come back from JSON: what the reference is asked about."""
    return [None if raw is None else msgspec.json.decode(raw) for raw in encoded(rows)]


@settings(max_examples=400, deadline=None)
@given(rows=st.lists(metadata, max_size=12), condition=filters)
def test_a_mask_is_what_the_reference_says(rows, condition):
    mask = Columns(encoded(rows)).mask(condition, len(rows))
    assert mask.tolist() == [matches(condition, row) for row in stored(rows)]


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(metadata, min_size=1, max_size=12), conditions=st.lists(terms, min_size=2, max_size=4), data=st.data()
)
def test_columns_that_grow_row_by_row_say_the_same(rows, conditions, data):
    """Rows appear between masks, and a mask may ask about fewer rows than were read: an older snapshot."""
    raw = encoded(rows)
    visible = raw[:1]
    columns = Columns(visible)
    wanted = stored(rows)
    for condition in conditions:
        visible.extend(raw[len(visible) : data.draw(st.integers(len(visible), len(raw)))])
        n = data.draw(st.integers(0, len(visible)))
        assert columns.mask(condition, n).tolist() == [matches(condition, row) for row in wanted[:n]]


@settings(max_examples=200, deadline=None)
@given(value=numbers, bound=numbers, op=st.sampled_from([Op.GT, Op.GTE, Op.LT, Op.LTE, Op.EQ, Op.NE]))
def test_numbers_are_compared_without_rounding(value, bound, op):
    condition = Compare("a", op, bound)
    (row,) = stored([{"a": value}])
    assert Columns(encoded([row])).mask(condition, 1).tolist() == [matches(condition, row)]


def test_every_kind_of_value_beside_every_kind_of_term():
    """All pairs of the values where kinds and roundings meet; the random tests look for what is not listed here."""
    listed = [*EDGES, "", "x", "1", "true", True, False]
    held = [*listed, [], ["x"], ["x", "1"], ["x", 1], {"x": 1}, None]
    rows = [{"a": value} for value in held] + [None, {}, {"b": 1}]
    columns, wanted = Columns(encoded(rows)), stored(rows)
    terms = [Compare("a", op, value) for op in (Op.EQ, Op.NE) for value in listed]
    terms += [Compare("a", op, bound) for op in (Op.GT, Op.GTE, Op.LT, Op.LTE) for bound in EDGES]
    terms += [Compare("a", op, (left, right)) for op in (Op.IN, Op.NIN) for left in listed for right in listed]
    terms += [Compare("a", op, (*listed[i:], "y")) for op in (Op.IN, Op.NIN) for i in range(len(listed))]
    terms += [Compare("a", Op.EXISTS, there) for there in (True, False)]
    for term in terms:
        assert columns.mask(term, len(rows)).tolist() == [matches(term, row) for row in wanted], term
    for n in range(len(rows)):
        for value in ("x", "1", 2**53 + 1, 10**400):
            term = Compare("a", Op.EQ, value)
            assert columns.mask(term, n).tolist() == [matches(term, row) for row in wanted[:n]]


def test_many_values_at_once():
    rows = [{"a": i, "b": f"t{i}"} for i in range(200)]
    columns = Columns(encoded(rows))
    some = Compare("a", Op.IN, tuple(range(0, 200, 3)))
    names = Compare("b", Op.NIN, tuple(f"t{i}" for i in range(50)))
    assert np.flatnonzero(columns.mask(some, 200)).tolist() == list(range(0, 200, 3))
    assert np.flatnonzero(columns.mask(names, 200)).tolist() == list(range(50, 200))


def test_fields_kept_are_bounded():
    rows = [{"a": 1}] * 10
    columns = Columns(encoded(rows))
    for i in range(3 * MOST_COLUMNS):
        columns.mask(Compare(f"made-up-{i}", Op.EXISTS, True), 10)
    assert columns.nbytes <= MOST_COLUMNS * 10 * 40
    assert columns.mask(Compare("a", Op.EQ, 1), 10).all()
