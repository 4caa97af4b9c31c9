"""Every shape that a file may have, and everything that may be wrong with one."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tenantry.errors import Corrupt, InvalidArgument, NotFound
from tenantry.files import check
from tenantry.files.check import Checker, Seen, Whose
from tenantry.files.formats import Format
from tenantry.files.reading import ReadOptions, rows
from tenantry.files.rows import Problem
from tenantry.files.sources import sources
from tenantry.model.limits import Limits
from tenantry.model.records import Metric

A = {"id": "a", "values": [1, 2], "metadata": {"n": 1}}
POINT = {"id": 7, "vector": [1, 2], "payload": {"n": 1}}
UUID = "6f1c2b1e-6a3e-4d5e-9a2b-0c1d2e3f4a5b"


def read(
    path: Path, whose: Whose | None = None, options: ReadOptions | None = None, **checks: Any
) -> tuple[dict[tuple[str, str], Any], list[tuple[int, str, str]]]:
    """Records as (tenant, id): (values, metadata), and problems as (row, field, reason)."""
    checker = Checker(2, Metric.COSINE, Limits(), **checks)
    found, problems = {}, []
    for source in sources([path], None):
        for row in rows(source.path, source.known, options or ReadOptions()):
            checked = checker.check(row, whose or Whose(tenant="t"))
            if isinstance(checked, Problem):
                problems.append((row.number, checked.field, checked.reason))
            else:
                tenant, record = checked
                found[tenant, record.id] = (record.values.tolist(), record.metadata)
    return found, problems


def made(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


SHAPES = {
    "lines": ("a.jsonl", json.dumps(A) + "\n\n"),
    "lines-with-mark": ("a.jsonl", "\ufeff" + json.dumps(A)),
    "lines-without-name": ("dump", json.dumps(A) + "\n"),
    "pinecone-fetch": ("a.json", json.dumps({"vectors": {"a": A}, "namespace": "t", "usage": {"readUnits": 1}})),
    "pinecone-fetch-indented": ("a.json", json.dumps({"vectors": {"a": A}, "namespace": "t"}, indent=2)),
    "pinecone-query": ("a.json", json.dumps({"matches": [{**A, "score": 0.5, "sparseValues": {"indices": []}}]})),
    "pinecone-upsert": ("a.json", json.dumps({"vectors": [A]})),
    "pinecone-list": ("a.json", json.dumps([A], indent=1)),
    "chroma-get": ("a.json", json.dumps({"ids": ["a"], "embeddings": [[1, 2]], "metadatas": [{"n": 1}], "uris": None})),
    "chroma-documents": (
        "a.json",
        json.dumps({"documents": None, "metadatas": [{"n": 1}], "embeddings": [[1, 2]], "ids": ["a"]}, indent=2),
    ),
}
POINTS = {
    "page": ("a.json", json.dumps({"result": {"points": [POINT], "next_page_offset": None}, "status": "ok"})),
    "pages": ("a.json", json.dumps({"result": {"points": [POINT]}}, indent=2) + '{"result": {"points": []}}'),
    "client": ("a.json", json.dumps({"points": [POINT]})),
    "list": ("a.json", json.dumps([POINT])),
    "lines": ("a.jsonl", json.dumps(POINT)),
    "page-a-line": ("a.jsonl", json.dumps({"result": {"points": [POINT]}}) + "\n"),
    "named": ("a.json", json.dumps([{**POINT, "vector": {"text": [1, 2]}}])),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("packed", [False, True])
def test_shapes(tmp_path: Path, shape: str, packed: bool) -> None:
    name, text = SHAPES[shape]
    path = made(tmp_path, name, text)
    if packed:
        path = made(tmp_path, f"{name}.gz", gzip.compress(path.read_bytes()))
    assert read(path) == ({("t", "a"): ([1, 2], {"n": 1})}, [])


@pytest.mark.parametrize("shape", POINTS)
def test_shapes_of_qdrant(tmp_path: Path, shape: str) -> None:
    assert read(made(tmp_path, *POINTS[shape])) == ({("t", "7"): ([1, 2], {"n": 1})}, [])


def test_a_point_of_several_vectors_needs_a_choice(tmp_path: Path) -> None:
    path = made(tmp_path, "a.json", json.dumps([{**POINT, "vector": {"text": [1, 2], "image": [3, 4]}}]))
    assert "choose one with --vector" in read(path)[1][0][2]
    assert read(path, options=ReadOptions("image"))[0]["t", "7"][0] == [3, 4]
    assert "no vector 'other'" in read(path, options=ReadOptions("other"))[1][0][2]


def test_documents_of_chroma_become_metadata_even_if_the_first_has_none(tmp_path: Path) -> None:
    lists = {
        "ids": ["a", "b"],
        "embeddings": [[1, 2], [3, 4]],
        "metadatas": [None, {"n": 1}],
        "documents": [None, "text"],
    }
    found, problems = read(made(tmp_path, "a.json", json.dumps(lists)), options=ReadOptions(document_field="body"))
    assert problems == []
    assert found == {("t", "a"): ([1, 2], None), ("t", "b"): ([3, 4], {"n": 1, "body": "text"})}


BAD_LINES = [
    ('{"id":"a","values":[1]}', "values", "exactly 2, the dimension"),
    ('{"id":"a","values":[1,2,3]}', "values", "exactly 2, the dimension"),
    ('{"id":"a","values":[1,NaN]}', "values", "NaN is not a finite number"),
    ('{"id":"a","values":[1,-Infinity]}', "values", "Infinity is not a finite number"),
    ('{"id":"a","values":[1,1e300]}', "values[1]", ""),
    ('{"id":"a","values":[0,0]}', "values", ""),
    ('{"id":"a","values":[1,true]}', "values[1]", "numbers"),
    ('{"id":"a","values":["1","2"]}', "values[0]", "numbers"),
    ('{"id":"a","values":"AAAA"}', "values", "a list of numbers"),
    ('{"id":"a"}', "values", "a list of numbers"),
    ('{"values":[1,2]}', "id", "got None"),
    ('{"id":5,"values":[1,2]}', "id", "got 5"),
    ('{"id":"","values":[1,2]}', "id", ""),
    ('{"id":"a","values":[1,2],"metadata":{"b":{"c":1}}}', "metadata", ""),
    ('{"id":"a","values":[1,2],"metadata":[]}', "metadata", ""),
    ('{"id":"a","values":[1,2],"meta":{}}', "meta", "no such field"),
    ('{"id":"a","values":[1,2],"tenant":5}', "tenant", "a string"),
    ('{"id":"a","values":[1,2]', "", "not JSON"),
    ("\udcff", "", "not"),
    ("[]", "", "not an object"),
]


@pytest.mark.parametrize(("line", "field", "reason"), BAD_LINES)
def test_a_bad_line_is_named_and_the_others_are_read(tmp_path: Path, line: str, field: str, reason: str) -> None:
    lines = ['{"id":"before","values":[1,2]}', line, '{"id":"after","values":[1,2]}']
    found, problems = read(made(tmp_path, "a.jsonl", "\n".join(lines).encode(errors="surrogateescape")))
    assert [id for _, id in found] == ["before", "after"]
    [(row, named, said)] = problems
    assert (row, named.partition(".")[0]) == (2, field)
    assert reason in said


def test_an_id_that_comes_twice_is_kept_once(tmp_path: Path) -> None:
    lines = [
        json.dumps({"id": id, "values": [1, n], "tenant": tenant}) for n, (id, tenant) in enumerate(["ax", "ay", "ax"])
    ]
    found, problems = read(made(tmp_path, "a.jsonl", "\n".join(lines)), Whose())
    assert found == {("x", "a"): ([1, 0], None), ("y", "a"): ([1, 1], None)}
    assert problems == [(3, "id", "id: 'a' comes twice for tenant 'x'; the first one is kept")]


def test_names_are_remembered_over_many_parts() -> None:
    seen = Seen(part=100)
    count = 100 * (2 * check.MERGED_FROM + 5) + 7
    assert all(seen.add(str(number)) for number in range(count))
    assert not any(seen.add(str(number)) for number in range(count))


def test_whose_a_record_is(tmp_path: Path) -> None:
    path = made(tmp_path, "a.jsonl", json.dumps({**A, "metadata": {"customer": 17}}))
    assert list(read(path, Whose(field="customer"))[0]) == [("17", "a")]
    assert read(path, Whose(field="other"))[1][0][1] == "metadata.other"
    assert "--tenant" in read(path, Whose())[1][0][2]
    assert list(read(path, Whose(folder="f"))[0]) == [("f", "a")]
    fetched = made(tmp_path, "b.json", json.dumps({"vectors": {"a": A}, "namespace": ""}, indent=1))
    assert list(read(fetched, Whose())[0]) == [("__default__", "a")]


def test_nested_metadata_can_be_flattened(tmp_path: Path) -> None:
    nested = {**A, "metadata": {"a": {"b": {"c": 1}}, "d": 2}}
    path = made(
        tmp_path,
        "a.jsonl",
        json.dumps(nested) + "\n" + json.dumps({"id": "x", "values": [1, 2], "metadata": {"a.b": 1, "a": {"b": 2}}}),
    )
    found, problems = read(path, flatten=True)
    assert found["t", "a"][1] == {"a.b.c": 1, "d": 2}
    assert problems[0][0] == 2


def table(**columns: Any) -> pa.Table:
    return pa.table(columns)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[1, 2], [3, 4]], pa.list_(pa.float32())),
        pa.array([[1, 2], [3, 4]], pa.list_(pa.float64())),
        pa.array([[1, 2], [3, 4]], pa.large_list(pa.int64())),
        pa.array([[1, 2], [3, 4]], pa.list_(pa.float32(), 2)),
        pa.array([[1, 2], [3, 4]], pa.list_(pa.float16())),
    ],
    ids=str,
)
def test_types_of_parquet(tmp_path: Path, values: pa.Array) -> None:
    metadata = pa.array(['{"n":1}', None])
    parquet.write_table(table(id=["a", "b"], values=values, metadata=metadata), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet")[0] == {("t", "a"): ([1, 2], {"n": 1}), ("t", "b"): ([3, 4], None)}


def test_bad_rows_of_parquet(tmp_path: Path) -> None:
    vectors = pa.array(
        [[1, 2], [1, float("nan")], [1], None, [1, None], [1, 2], [1, 2], [5, 6]], pa.list_(pa.float32())
    )
    metadata = ["{}"] * 5 + ["{", "[]", None]
    parquet.write_table(table(id=list("abcdefgh"), values=vectors, metadata=metadata), tmp_path / "a.parquet")
    found, problems = read(tmp_path / "a.parquet")
    assert list(found) == [("t", "a"), ("t", "h")]
    assert [(row, field) for row, field, _ in problems] == [
        (2, "values[1]"),
        (3, "values"),
        (4, "values"),
        (5, "values[1]"),
        *((row, "metadata") for row in (6, 7)),
    ]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"values": [[1.0, 2.0]]}, "a column 'id'"),
        ({"id": ["a"]}, "a column 'values'"),
        ({"id": ["a"], "values": ["text"]}, "lists of numbers"),
        ({"id": ["a"], "values": [["text"]]}, "lists of numbers"),
        ({"id": ["a"], "values": [[1.0]], "color": ["red"]}, "color"),
    ],
)
def test_columns_that_are_missing_or_others(tmp_path: Path, columns: dict[str, Any], said: str) -> None:
    parquet.write_table(table(**columns), tmp_path / "a.parquet")
    with pytest.raises(InvalidArgument, match=said):
        read(tmp_path / "a.parquet")


def test_a_folder_of_pinecone_names_the_namespaces(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        parquet.write_table(table(id=["a"], values=[[1.0, 2.0]]), tmp_path / name / "0.parquet")
    found = {
        whose: list(rows(source.path, source.known, ReadOptions()))
        for source in sources([tmp_path], Format.PINECONE)
        if (whose := source.folder)
    }
    assert sorted(found) == ["one", "two"]


def whole_files(folder: Path) -> dict[str, bytes]:
    ids = [f"r{i}" for i in range(200)]
    vectors = np.arange(400, dtype=np.float32).reshape(-1, 2) + 1
    parquet.write_table(table(id=ids, values=vectors.tolist()), folder / "whole.parquet")
    pairs = list(zip(ids, vectors.tolist(), strict=True))
    lines = "".join(json.dumps({"id": id, "values": one}) + "\n" for id, one in pairs)
    points = json.dumps([{"id": number, "vector": one} for number, (_, one) in enumerate(pairs)])
    lists = json.dumps({"ids": ids, "embeddings": vectors.tolist()})
    return {
        "a.parquet": (folder / "whole.parquet").read_bytes(),
        "a.jsonl.gz": gzip.compress(lines.encode()),
        "qdrant.json": points.encode(),
        "chroma.json": lists.encode(),
    }


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl.gz", "qdrant.json", "chroma.json"])
def test_a_file_that_was_cut_off_is_never_taken_for_whole(tmp_path: Path, name: str) -> None:
    whole = whole_files(tmp_path)[name]
    (tmp_path / "there").mkdir()
    for share in (0.02, 0.3, 0.5, 0.9, 0.999):
        path = made(tmp_path / "there", name, whole[: int(len(whole) * share)])
        with pytest.raises((Corrupt, InvalidArgument), match=name):
            read(path)
    assert len(read(made(tmp_path / "there", name, whole))[0]) == 200


def test_lists_of_chroma_of_different_lengths(tmp_path: Path) -> None:
    path = made(tmp_path, "a.json", json.dumps({"ids": ["a", "b"], "embeddings": [[1, 2]]}, indent=1))
    with pytest.raises(Corrupt, match="ids has more entries"):
        read(path)


@pytest.mark.parametrize("text", ["", "{}", "[]", "[1,2]", "hello", '{"a": 1}', "\x00\x01"])
def test_what_a_file_is_cannot_be_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidArgument, match="format"):
        read(made(tmp_path, "a.json", text))


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing"):
        sources([tmp_path / "nothing"], None)
    with pytest.raises(InvalidArgument, match="a folder with files"):
        sources([tmp_path], None)
    path = made(tmp_path, "a.jsonl", json.dumps(A))
    with pytest.raises(InvalidArgument, match="each file once"):
        sources([path, tmp_path], None)


def test_a_large_document_is_never_in_memory(tmp_path: Path) -> None:
    count, size = 10_000, 0
    with (tmp_path / "a.json").open("w") as file:
        file.write('{"result": {"points": [')
        for number in range(count):
            size += file.write(
                ("," if number else "") + json.dumps({"id": number, "vector": [1, 2], "payload": {"text": "x" * 2_000}})
            )
        file.write("]}}")
    [source] = sources([tmp_path / "a.json"], None)
    tracemalloc.start()
    try:
        assert sum(1 for _ in rows(source.path, source.known, ReadOptions())) == count
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size > 20_000_000
    assert peak < 8_000_000
