import pytest

from tenantry.errors import InvalidArgument, TooLarge
from tenantry.model.filters import And, Compare, Op, Or, matches, parse_filter

BOOK = {"genre": "drama", "year": 2020, "score": 4.5, "new": True, "tags": ["a", "b"], "one": 1}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"genre": "drama"}, True),
        ({"genre": {"$eq": "comedy"}}, False),
        ({"year": {"$eq": 2020.0}}, True),
        ({"year": {"$eq": "2020"}}, False),
        ({"one": {"$eq": True}}, False),
        ({"new": {"$eq": 1}}, False),
        ({"new": True}, True),
        ({"tags": "a"}, True),
        ({"tags": {"$ne": "a"}}, False),
        ({"tags": {"$in": ["z", "b"]}}, True),
        ({"tags": {"$nin": ["z"]}}, True),
        ({"genre": {"$ne": "drama"}}, False),
        ({"missing": {"$ne": "drama"}}, True),
        ({"missing": {"$nin": [1]}}, True),
        ({"missing": {"$gt": 0}}, False),
        ({"year": {"$gt": 2019, "$lt": 2021}}, True),
        ({"year": {"$gte": 2020}}, True),
        ({"year": {"$lte": 2019.5}}, False),
        ({"genre": {"$gt": 1}}, False),
        ({"new": {"$gt": 0}}, False),
        ({"genre": {"$in": []}}, False),
        ({"genre": {"$nin": []}}, True),
        ({"genre": {"$exists": True}}, True),
        ({"missing": {"$exists": False}}, True),
        ({"genre": "drama", "year": 1999}, False),
        ({"$or": [{"genre": "x"}, {"year": 2020}]}, True),
        ({"$and": [{"genre": "drama"}, {"$or": [{"year": 1}, {"score": {"$gt": 4}}]}]}, True),
    ],
)
def test_meaning(condition, expected):
    parsed = parse_filter(condition)
    assert parsed is not None
    assert matches(parsed, BOOK) is expected


def test_no_filter():
    assert parse_filter(None) is None
    assert parse_filter({}) is None
    assert matches(parse_filter({"a": {"$exists": False}}), None)


def test_shapes():
    assert parse_filter({"a": 1}) == Compare("a", Op.EQ, 1)
    assert parse_filter({"a": {"$gt": 1, "$lt": 3}}) == And((Compare("a", Op.GT, 1), Compare("a", Op.LT, 3)))
    assert parse_filter({"$or": [{"a": 1}]}) == Or((Compare("a", Op.EQ, 1),))


@pytest.mark.parametrize(
    ("condition", "complaint"),
    [
        ({"a": {"$regex": "x"}}, r"filter\.a.*\$regex.*\$eq"),
        ({"$not": {"a": 1}}, r"\$not"),
        ({"a": {}}, r"filter\.a"),
        ({"$and": []}, "non-empty list"),
        ({"$or": {"a": 1}}, "non-empty list"),
        ({"a": {"$in": "x"}}, "a list"),
        ({"a": {"$gt": "x"}}, "a number"),
        ({"a": {"$gt": True}}, "a number"),
        ({"a": {"$exists": 1}}, "true or false"),
        ({"a": None}, "a string, a finite number"),
        ({"a": [1]}, "a string, a finite number"),
        ({"a": {"$eq": float("nan")}}, "finite"),
        ({"a": {"$eq": {"b": 1}}}, "a string"),
        (["a"], "an object"),
        ("a", "an object"),
    ],
)
def test_malformed(condition, complaint):
    with pytest.raises(InvalidArgument, match=complaint):
        parse_filter(condition)


def test_bounds():
    deep = {"a": 1}
    for _ in range(20):
        deep = {"$and": [deep]}
    with pytest.raises(TooLarge, match="levels"):
        parse_filter(deep)
    with pytest.raises(TooLarge, match="comparisons"):
        parse_filter({"$or": [{"a": i} for i in range(1001)]})
    with pytest.raises(TooLarge, match="values"):
        parse_filter({"a": {"$in": list(range(10_001))}})
