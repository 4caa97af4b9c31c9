import numpy as np
import pytest

from tenantry.errors import InvalidArgument, TooLarge
from tenantry.model.limits import (
    Limits,
    batches,
    check_count,
    check_ids,
    check_index_name,
    check_metadata,
    check_records,
    check_tenant_name,
    check_update,
    check_vector,
)
from tenantry.model.records import Metric, Record, Update

LIMITS = Limits()


def records(*ids, values=(1.0, 2.0), metadata=None):
    return [Record(key, values, metadata) for key in ids]


def check(batch, metric=Metric.COSINE, limits=LIMITS):
    return check_records(batch, 2, metric, limits)


def test_a_good_batch_becomes_float32_and_keeps_its_metadata():
    [record] = check(records("a", metadata={"n": 1, "tags": ["x"], "gone": None}))
    assert record.values.dtype == np.float32
    assert record.metadata == {"n": 1, "tags": ["x"]}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ([1.0], "exactly 2"),
        ([1.0, 2.0, 3.0], "exactly 2"),
        ([[1.0, 2.0]], "exactly 2"),
        ([1.0, float("nan")], r"values\[1\]: got nan"),
        ([float("inf"), 1.0], r"values\[0\]: got inf"),
        ([1e39, 1.0], r"values\[0\]: got inf"),
        ([0.0, 0.0], "zero vector"),
        (["x", "y"], "2 numbers"),
        ([[1.0], [1.0, 2.0]], "2 numbers"),
        (None, "exactly 2"),
    ],
)
def test_a_bad_vector_is_refused_with_its_place(values, complaint):
    with pytest.raises(InvalidArgument, match=complaint) as caught:
        check([*records("good"), Record("bad", values)])
    assert caught.value.field.startswith("vectors[1].values")


def test_a_zero_vector_is_fine_where_the_metric_can_take_it():
    for metric in (Metric.DOTPRODUCT, Metric.EUCLIDEAN):
        assert check(records("a", values=[0.0, 0.0]), metric)


def test_vectors_whose_scores_would_not_be_numbers():
    with pytest.raises(InvalidArgument, match="too long"):
        check_vector([1e30, 1e30], "v", 2, Metric.EUCLIDEAN)
    with pytest.raises(InvalidArgument, match="too short"):
        check_vector([1e-30, 0.0], "v", 2, Metric.COSINE)
    assert check_vector([1e-30, 0.0], "v", 2, Metric.EUCLIDEAN) is not None
    assert check_vector([1e-10, 1e18], "v", 2, Metric.COSINE) is not None


@pytest.mark.parametrize(
    ("key", "kind"), [("", InvalidArgument), ("x" * 513, TooLarge), (7, InvalidArgument), ("a\x00b", InvalidArgument)]
)
def test_bad_ids(key, kind):
    with pytest.raises(kind, match=r"vectors\[0\]\.id"):
        check(records(key))
    assert check(records("x" * 512))


def test_duplicate_ids_in_one_batch():
    with pytest.raises(InvalidArgument, match=r"vectors\[2\]\.id.*unique"):
        check(records("a", "b", "a"))


def test_batches_are_bounded():
    with pytest.raises(InvalidArgument, match="empty batch"):
        check([])
    with pytest.raises(TooLarge, match="1001 records"):
        check(records(*map(str, range(1001))))


@pytest.mark.parametrize(
    "value",
    [{"nested": {"a": 1}}, {"a": [1, 2]}, {"a": float("nan")}, {"$a": 1}, {"": 1}, {"a": object()}, [1], "text"],
)
def test_bad_metadata(value):
    with pytest.raises(InvalidArgument, match="metadata"):
        check_metadata(value, "metadata", LIMITS)


def test_metadata_over_its_limit():
    with pytest.raises(TooLarge, match="at most 40960 bytes"):
        check_metadata({"a": "x" * 41_000}, "metadata", LIMITS)
    assert check_metadata({"a": "x" * 40_000}, "metadata", LIMITS)


def test_a_batch_over_its_bytes_is_refused_and_can_be_written_in_parts():
    small = Limits(batch_bytes=100, batch_records=4)
    rows = [Record(f"r{i}", np.ones(2, np.float32), {"t": "x" * 20}) for i in range(10)]
    with pytest.raises(TooLarge, match="at most 100 in one batch"):
        check(rows[:4], limits=small)
    parts = list(batches(rows, small))
    assert [record.id for part in parts for record in part] == [record.id for record in rows]
    assert all(check(part, limits=small) for part in parts)
    assert max(len(part) for part in parts) == 2
    assert [len(part) for part in batches([Record(str(i), np.ones(2)) for i in range(10)], small)] == [4, 4, 2]
    assert list(batches([], small)) == []


@pytest.mark.parametrize("bad", ["\ud800", 2**70])
def test_text_without_a_utf8_form_and_endless_numbers(bad):
    with pytest.raises(InvalidArgument, match="metadata"):
        check_metadata({"a": bad}, "metadata", LIMITS)
    if isinstance(bad, str):
        with pytest.raises(InvalidArgument, match="surrogates"):
            check(records(bad))


def test_an_update_must_change_something():
    with pytest.raises(InvalidArgument, match="at least one"):
        check_update(Update("a"), 2, Metric.COSINE, LIMITS)
    assert check_update(Update("a", set_metadata={"n": 1}), 2, Metric.COSINE, LIMITS).set_metadata == {"n": 1}


def test_ids_are_folded_and_bounded():
    assert check_ids(["a", "b", "a"], "ids", 10, LIMITS) == ("a", "b")
    for bad in ([], "abc", None, ["a"] * 11):
        with pytest.raises(InvalidArgument, match="ids"):
            check_ids(bad, "ids", 10, LIMITS)


@pytest.mark.parametrize("given", [0, 11, 1.5, True, "3", None])
def test_counts_are_whole_numbers_in_range(given):
    with pytest.raises(InvalidArgument, match="1 to 10"):
        check_count(given, "top_k", 1, 10)


@pytest.mark.parametrize("name", ["", "Upper", "-a", "a-", "a_b", "x" * 46, 7, "ü"])
def test_bad_index_names(name):
    with pytest.raises(InvalidArgument, match="index"):
        check_index_name(name)


def test_tenant_names():
    assert check_tenant_name("Kunde Nº 7 / 東京", LIMITS)
    for bad in ("", "a~2", "line\nbreak", 3):
        with pytest.raises(InvalidArgument, match="tenant"):
            check_tenant_name(bad, LIMITS)
    with pytest.raises(TooLarge, match="513 characters"):
        check_tenant_name("x" * 513, LIMITS)


def test_long_values_are_shortened_in_messages():
    with pytest.raises(InvalidArgument) as caught:
        check(records("a", values=list(range(5000))))
    assert len(str(caught.value)) < 250
