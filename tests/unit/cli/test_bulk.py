"""Sending many records and documents: packing, bad lines, failures on the way."""

from __future__ import annotations

import io
import json
import sys

import pytest

from tenantry.cli import bulk
from tenantry.cli.jsonl import Bad, Item, RecordLine, batches, lines


def record(number: int, **more: object) -> str:
    return json.dumps({"id": f"r{number}", "values": [1, float(number)], **more})


@pytest.fixture
def file(tmp_path):
    def write(*content: str):
        path = tmp_path / "records.jsonl"
        path.write_text("\n".join(content) + "\n", encoding="utf-8")
        return path

    return write


def item(key: str, size: int = 10) -> Item[str]:
    return Item(key, f"f:{key}", key, b"x" * size)


def test_batches_keep_to_count_and_bytes_and_order():
    found = list(batches((item(str(i), 10) for i in range(10)), most=4, most_bytes=10_000))
    assert [len(one.items) for one in found] == [4, 4, 2]
    found = list(batches((item(str(i), 40) for i in range(10)), most=100, most_bytes=100))
    assert all(len(one.body("records")) <= 100 + len('{"records":[]}') for one in found)
    assert [one.value for batch in found for one in batch.items] == [str(i) for i in range(10)]


def test_no_id_stands_twice_in_a_batch():
    found = list(batches(map(item, "abacca"), most=100, most_bytes=1_000))
    assert [[one.value for one in batch.items] for batch in found] == [["a", "b"], ["a", "c"], ["c", "a"]]


def test_one_item_over_the_bytes_goes_alone():
    found = list(batches([item("a"), item("b", 500), item("c")], most=100, most_bytes=100))
    assert [[one.value for one in batch.items] for batch in found] == [["a"], ["b"], ["c"]]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON: input data was truncated"),
        (b'{"id": "a"}', "object missing required field values"),
        (b'{"id": 5, "values": [1]}', "expected str, got int - at id"),
        (b'{"id": "a", "values": [1, "x"]}', "expected float, got str - at values[1]"),
        (b'{"id": "a", "values": [1], "vector": 2}', "object contains unknown field vector"),
        (b"[1]", "expected object, got array"),
        (b'{"id": "\xff", "values": [1]}', "not"),
        (b'{"id": "a", "values": [NaN]}', "not JSON"),
    ],
)
def test_bad_lines_are_explained(line, reason):
    (found,) = lines(io.BytesIO(line + b"\n"), "f", RecordLine, lambda read: None)
    assert isinstance(found, Bad)
    assert found.source == "f:1"
    assert found.reason.startswith(reason)


def test_blank_lines_a_byte_order_mark_and_a_missing_newline_are_fine():
    text = b"\xef\xbb\xbf" + record(1).encode() + b"\r\n\n  \n" + record(2).encode()
    read: list[int] = []
    found = list(lines(io.BytesIO(text), "f", RecordLine, read.append))
    assert [one.source for one in found] == ["f:1", "f:4"]
    assert sum(read) == len(text)


def test_upsert_sends_batches(ask, api, file):
    for count in (2, 2, 1):
        api.answer({"upserted": count})
    done = ask("upsert", "acme", file(*(record(i) for i in range(5))), "--batch", 2, "--json")
    assert done.json == {"upserted": 5, "tenant": "acme"}
    assert [len(one.body["records"]) for one in api.asked] == [2, 2, 1]
    assert api.asked[0].body["records"][1] == {"id": "r1", "values": [1.0, 1.0]}


def test_upsert_reads_stdin(ask, api, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(record(1, metadata={"a": "ü"}).encode())))
    api.answer({"upserted": 1})
    assert ask("upsert", "acme", "-").code == 0
    assert api.asked[0].body["records"][0]["metadata"] == {"a": "ü"}


def test_a_bad_line_stops_before_its_batch_and_says_what_is_written(ask, api, file):
    api.answer({"upserted": 2})
    done = ask("upsert", "acme", file(*map(record, range(3)), "{oops", record(9)), "--batch", 2, "--json")
    assert done.code == 1
    assert done.out == ""
    assert "records.jsonl:4: not JSON" in done.err
    assert "hint: 2 records before it are written; repeating the command is safe" in done.err
    assert len(api.asked) == 1


def test_keep_going_passes_over_bad_lines_and_is_no_success(ask, api, file):
    api.answer({"upserted": 2})
    done = ask("upsert", "acme", file(record(1), "{oops", record(2), "[]"), "--keep-going")
    assert done.code == 1
    assert "warning: " in done.err
    assert "records.jsonl:2" in done.err
    assert "records.jsonl:4" in done.err
    assert "error: passed over 2 bad lines" in done.err
    assert "2 records are written" in done.err
    assert [one["id"] for one in api.asked[0].body["records"]] == ["r1", "r2"]


def test_a_refused_record_is_named_by_its_line(ask, api, file):
    api.answer({"upserted": 2})
    api.fail(400, "INVALID_ARGUMENT", "vectors[1].values: got 3 numbers; allowed: exactly 2", "vectors[1].values")
    done = ask("upsert", "acme", file(record(0), "", *map(record, range(1, 4))), "--batch", 2)
    assert done.code == 1
    assert "records.jsonl:5: values: got 3 numbers; allowed: exactly 2" in done.err
    assert "2 records before it are written" in done.err


def test_a_refused_batch_is_named_by_its_lines(ask, api, file):
    api.fail(404, "NOT_FOUND", "tenant 'acme' does not exist")
    done = ask("upsert", "acme", file(record(0), record(1)))
    assert "error: tenant 'acme' does not exist" in done.err
    assert "records.jsonl:1 to " in done.err
    assert "no records were written" in done.err


def test_overload_is_waited_out(ask, api, file, monkeypatch):
    monkeypatch.setattr(bulk, "FIRST_PAUSE_S", 0.001)
    api.fail(503, "UNAVAILABLE", "busy").fail(429, "RATE_LIMITED", "slower").answer({"upserted": 1})
    assert ask("upsert", "acme", file(record(0))).code == 0
    assert len(api.asked) == 3


def test_overload_that_lasts_is_exit_code_3(ask, api, file, monkeypatch):
    monkeypatch.setattr(bulk, "FIRST_PAUSE_S", 0.001)
    for _ in range(bulk.RETRIES):
        api.fail(503, "UNAVAILABLE", "busy")
    done = ask("upsert", "acme", file(record(0)))
    assert done.code == 3
    assert len(api.asked) == bulk.RETRIES


def test_a_missing_file_is_named(ask, api):
    done = ask("upsert", "acme", "nothing.jsonl")
    assert done.code == 1
    assert "error: cannot read nothing.jsonl: No such file or directory" in done.err
    assert api.asked == []


ADDED = {"added": 2, "replaced": 1, "unchanged": 3, "chunks_written": 9, "chunks_deleted": 4}


def test_docs_of_a_folder_are_named_by_their_path_in_it(ask, api, tmp_path):
    folder = tmp_path / "handbook"
    (folder / "b").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    for name in ("z.md", "b/a.txt", ".hidden/x.md", "picture.png", ".dot.md"):
        (folder / name).write_text(f"text of {name}")
    (folder / "more.jsonl").write_text('{"id": "one", "text": "line", "metadata": {"k": 1}}\n')
    api.answer(ADDED)
    done = ask("docs", "add", "acme", folder, "--json")
    assert done.json == {"tenant": "acme", **ADDED}
    sent = api.asked[0].body["documents"]
    assert [one["id"] for one in sent] == ["one", "z.md", "b/a.txt"]
    assert sent[0] == {"id": "one", "text": "line", "metadata": {"k": 1}}
    assert sent[2] == {"id": "b/a.txt", "text": "text of b/a.txt"}


def test_a_file_by_itself_is_named_as_it_was_named(ask, api, tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("a/x.md", "y.md"):
        (tmp_path / name).write_text("text")
    api.answer(ADDED).answer(ADDED)
    assert ask("docs", "add", "acme", "./a/../a/x.md", tmp_path / "y.md").code == 0
    assert [one["id"] for one in api.asked[0].body["documents"]] == ["a/x.md", "y.md"]
    assert ask("docs", "add", "acme", "a", "--root", ".").code == 0
    assert [one["id"] for one in api.asked[1].body["documents"]] == ["a/x.md"]


def test_two_files_of_one_id_are_refused(ask, api, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.md").write_text("text")
    done = ask("docs", "add", "acme", "a", "b")
    assert done.code == 2
    assert "would both be document 'x.md'" in done.err
    assert "--root" in done.err
    assert api.asked == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [("x.md", b"\xff\xfe", "not UTF-8 text"), ("x.md", b" \n", "empty"), ("x.pdf", b"%PDF", "not a kind of file")],
)
def test_files_that_cannot_be_read_are_named(ask, api, tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    done = ask("docs", "add", "acme", name)
    assert done.code == 1
    assert name in done.err
    assert said in done.err


def test_nothing_to_add_is_said(ask, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no text, Markdown or JSON lines files in empty" in ask("docs", "add", "acme", "empty").err
    assert "there is no file or folder gone" in ask("docs", "add", "acme", "gone").err


def test_counts_of_several_batches_are_added_up(ask, api, tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.md").write_text("text")
    for _ in range(3):
        api.answer(ADDED)
    done = ask("docs", "add", "acme", ".", "--batch", 1, "--json")
    assert done.json["added"] == 6
    assert done.json["chunks_deleted"] == 12
