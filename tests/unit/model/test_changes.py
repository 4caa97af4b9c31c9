"""Changes of the write log: as bytes, as an effect, and what a copier must leave alone."""

import msgspec
import numpy as np
import pytest

from tenantry.model.changes import (
    Clear,
    Effect,
    Nothing,
    Patch,
    Put,
    Remove,
    RemoveWhere,
    Touched,
    decode,
    encode,
    patched,
    put,
)
from tenantry.model.filters import parse_filter
from tenantry.model.records import Record, Update

RED = parse_filter({"colour": "red", "$or": [{"n": {"$in": [1, 2.5, "x"]}}, {"ok": {"$exists": True}}]})


def record(key, n=1.0, metadata=None):
    return Record(key, np.array([n, 2, 3], np.float32), metadata)


def effect_of(*changes):
    effect = Effect()
    for change in changes:
        effect.add(change)
    return effect


@pytest.mark.parametrize(
    "change",
    [
        put([]),
        Remove(("ä", "b"), RED),
        Remove(()),
        Clear(),
        RemoveWhere(RED),
        Nothing(),
        Nothing("too large"),
    ],
)
def test_a_change_survives_as_bytes(change):
    again = decode(encode(change))
    assert type(again) is type(change)
    assert again == change or isinstance(change, Put)


def test_records_survive_as_bytes_exactly():
    values = np.array([0.1, -0.0, 3e38], np.float32)
    metadata = {"text": "日本", "n": 2**53 + 1, "f": 0.1, "on": True, "tags": ["a", ""]}
    again = decode(encode(put([Record("id", values, metadata), Record("none", values)])))
    assert [one.values.tobytes() for one in again.records] == [values.tobytes()] * 2
    assert [one.metadata for one in again.records] == [metadata, None]
    assert type(again.records[0].metadata["n"]) is int
    assert type(again.records[0].metadata["on"]) is bool


@pytest.mark.parametrize("update", [Update("a", None, {"x": 1}), Update("a", np.ones(3, np.float32), None)])
def test_a_partial_update_survives_as_bytes(update):
    again = decode(encode(Patch(update))).update
    assert again.id == "a"
    assert again.set_metadata == update.set_metadata
    assert (again.values is None) == (update.values is None)


def test_unknown_bytes_are_refused():
    for data in (b"", b"\xc1", encode(Clear()).replace(b"clear", b"claer")):
        with pytest.raises(msgspec.DecodeError):
            decode(data)


def test_an_effect_is_the_last_state_of_each_id():
    effect = effect_of(put([record("a"), record("b")]), Remove(("a", "c")), put([record("c", 9)]))
    assert effect.removes == ["a"]
    assert {one.id: one.values[0] for one in effect.puts} == {"b": 1, "c": 9}
    assert not effect.clear


def test_clearing_makes_what_came_before_irrelevant():
    effect = effect_of(put([record("a")]), Remove(("b",)), Clear(), put([record("c")]), Nothing())
    assert effect.clear
    assert set(effect.latest) == {"c"}


def test_an_unresolved_change_has_no_effect_yet():
    with pytest.raises(TypeError):
        effect_of(RemoveWhere(RED))


def test_the_copier_leaves_alone_what_the_log_decides():
    touched = Touched()
    for change in (put([record("a")]), Remove(("b",), parse_filter({"kind": "old"})), Nothing()):
        touched.add(change)
    assert touched.covers(record("a"))
    assert touched.covers(record("b"))
    assert touched.covers(record("x", metadata={"kind": "old"}))
    assert not touched.covers(record("x", metadata={"kind": "new"}))
    touched.add(Clear())
    assert touched.covers(record("x"))


def test_a_patch_replaces_values_and_merges_metadata():
    old = record("a", 1, {"x": 1, "y": 2})
    assert patched(old, Update("a", None, {"y": 3})).metadata == {"x": 1, "y": 3}
    assert patched(old, Update("a", [7, 7, 7], None)).values.tolist() == [7, 7, 7]
    assert patched(old, Update("a", [7, 7, 7], None)).metadata == {"x": 1, "y": 2}
    assert patched(record("a"), Update("a", None, {"y": 3})).metadata == {"y": 3}
