"""What is written into a file of any form comes back from it, record for record and bit for bit."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantry.files.check import Checker, Whose
from tenantry.files.formats import Format
from tenantry.files.reading import ReadOptions, rows
from tenantry.files.rows import Problem
from tenantry.files.sources import sources
from tenantry.files.writing import Target
from tenantry.model.limits import Limits
from tenantry.model.records import Metric, Record

DIMENSION = 3
NAMES = {
    Format.PARQUET: "all.parquet",
    Format.JSONL: "all.jsonl.gz",
    Format.PINECONE: "folder",
    Format.QDRANT: "folder",
    Format.CHROMA: "folder",
}
SPECIAL_IDS = ["0", "7", "007", str(2**64 - 1), str(2**64), "6f1c2b1e-6a3e-4d5e-9a2b-0c1d2e3f4a5b", 'ü"\\/']
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=8)
names = texts.filter(lambda name: not name.startswith("$"))
ids = st.one_of(st.sampled_from(SPECIAL_IDS), texts)
#: The squares of a vector must have a sum in float32.
numbers = st.floats(-(2.0**59), 2.0**59, width=32)
vectors = st.lists(numbers, min_size=DIMENSION, max_size=DIMENSION)
values = st.one_of(
    st.text(max_size=5), st.booleans(), st.integers(-(2**53), 2**53), st.lists(texts, max_size=2), numbers
)
metadata = st.one_of(st.none(), st.dictionaries(st.one_of(st.just("document"), names), values, max_size=3))
tenants = st.text(st.characters(categories=["L", "Nd"]), min_size=1, max_size=6)
contents = st.dictionaries(
    tenants, st.dictionaries(ids, st.tuples(vectors, metadata), max_size=6), min_size=1, max_size=3
)


def written(folder: Path, format: Format, found: dict[str, list[Record]]) -> Path:
    to = folder / NAMES[format]
    target = Target(to, format, many=True, replace=False, document_field="document")
    with target.whole():
        for name, records in found.items():
            with target.tenant(name) as write:
                write(records)
    return to


def read(path: Path, dimension: int = DIMENSION) -> dict[str, dict[str, Record]]:
    checker = Checker(dimension, Metric.EUCLIDEAN, Limits())
    found: dict[str, dict[str, Record]] = {}
    for source in sources([path], None):
        for row in rows(source.path, source.known, ReadOptions()):
            checked = checker.check(row, Whose(folder=source.folder))
            assert not isinstance(checked, Problem), checked
            assert found.setdefault(checked[0], {}).setdefault(checked[1].id, checked[1]) is checked[1]
    return found


def plain(record: Record) -> tuple[bytes, object]:
    return record.values.tobytes(), {key: repr(one) for key, one in (record.metadata or {}).items()}


@pytest.mark.parametrize("format", list(Format))
@settings(max_examples=40, deadline=None)
@given(contents=contents)
def test_every_record_comes_back(format: Format, contents: dict[str, dict[str, tuple[list[float], object]]]) -> None:
    wanted = {
        name: [Record(id, np.array(one, np.float32), meta) for id, (one, meta) in sorted(records.items())]  # type: ignore[arg-type]
        for name, records in contents.items()
        if len({name.casefold() for name in contents}) == len(contents)
    }
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), format, wanted)
        assert not list(Path(folder).rglob("*.part*"))
        # A folder without files, or an empty file, has nobody in it.
        found = read(path) if any(wanted.values()) else {}
    assert set(found) == {name for name, records in wanted.items() if records}
    for name, records in wanted.items():
        assert {one.id: plain(one) for one in records} == {id: plain(one) for id, one in found.get(name, {}).items()}


@pytest.mark.parametrize("format", list(Format))
def test_the_same_records_make_the_same_file(tmp_path: Path, format: Format) -> None:
    found = {"a": [Record(f"r{i}", np.array([i, math.pi, 0], np.float32), {"n": i}) for i in range(100)]}
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        path = written(tmp_path / name, format, found)
        files.append([one.read_bytes() for one in ([path] if path.is_file() else sorted(path.rglob("*.*")))])
    assert files[0] == files[1]
    assert files[0]
