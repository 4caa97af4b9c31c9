"""``tenantry audit`` against a gateway that says what it is told."""

from __future__ import annotations

import csv
import io
import json

ENTRY = {
    "seq": 7,
    "at": 1_700_000_000.5,
    "at_us": 1_700_000_000_500_000,
    "actor": "key:1f0c",
    "scope": "operator",
    "action": "tenant.suspend",
    "index": "default",
    "tenant": "=cmd()",
    "shard": None,
    "subject": None,
    "result": "ok",
    "request_id": "r",
    "detail": {"n": 1},
    "detail_text": '{"n":1}',
    "previous": "a" * 64,
    "hash": "b" * 64,
}
WHOLE = {"whole": True, "entries": 1, "first": 7, "last": 7, "head": "b" * 64, "pruned": 6, "flaws": []}


def test_the_list_says_who_did_what_to_what(ask, api):
    api.answer({"entries": [ENTRY], "next": None})
    done = ask("audit", "list", "--tenant", "=cmd()", "--limit", "5")
    assert done.code == 0
    for part in ("key:1f0c", "tenant.suspend", "tenant =cmd()", "ok", "n=1", "2023-11-14"):
        assert part in done.out
    assert api.paths == ["GET /v1/audit?limit=5&tenant=%3Dcmd%28%29"]


def test_a_whole_log_and_an_altered_one(ask, api):
    api.answer(WHOLE)
    done = ask("audit", "verify", "--noted", "7:" + "b" * 64)
    assert (done.code, api.asked[0].body) == (0, {"seq": 7, "hash": "b" * 64})
    assert "1 entry checked, 6 older ones were pruned; nothing was altered" in done.out
    assert f"--noted 7:{'b' * 64}" in done.out
    api.answer({**WHOLE, "whole": False, "flaws": [{"seq": 7, "what": "a field of it was altered"}]})
    done = ask("audit", "verify")
    assert done.code == 4
    assert "a field of it was altered" in done.out
    for wrong in ("7", "x:y", ":b", "7:"):
        assert ask("audit", "verify", "--noted", wrong).code == 2


def test_an_export_is_exact_in_json_and_harmless_in_csv(ask, api, tmp_path):
    api.answer({"entries": [ENTRY], "next": 7}).answer({"entries": [{**ENTRY, "seq": 8}], "next": None})
    done = ask("audit", "export")
    assert [json.loads(line)["seq"] for line in done.out.splitlines()] == [7, 8]
    assert json.loads(done.out.splitlines()[0]) == ENTRY
    assert api.paths == ["GET /v1/audit?limit=1000&after=0", "GET /v1/audit?limit=1000&after=7"]
    api.answer({"entries": [ENTRY], "next": None})
    done = ask("audit", "export", "--format", "csv", "--output", tmp_path / "a.csv")
    assert "1 entry written" in done.out
    (row,) = csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text()))
    assert row["tenant"] == "'=cmd()"
    assert row["hash"] == "b" * 64
    assert ask("audit", "export", "--output", tmp_path / "a.csv").code == 1, "what is there is not written over"
    assert ask("audit", "export", "--format", "xml").code == 2


def test_pruning_asks_first(ask, api):
    assert ask("audit", "prune", "--older-than", "90d").code == 2
    assert api.paths == []
    api.answer({"entry": {**ENTRY, "detail": {"entries": 12}}})
    assert ask("audit", "prune", "--older-than", "90d", "--yes").out == "removed 12 entries\n"
    api.answer({"entry": None})
    assert ask("audit", "prune", "--older-than", "90d", "--yes").out == "there are no entries so old\n"


def test_keys_of_every_kind(ask, api):
    key = {"id": "1f0c", "prefix": "tnk_1f0c", "scope": "reader", "index": None, "tenant": None}
    for options, body in (
        (("--tenant", "a", "--read-only"), {"tenant": "a", "index": "default", "scope": "tenant-read"}),
        (("--reader",), {"scope": "reader"}),
        (("--reader", "--only", "docs"), {"scope": "reader", "index": "docs"}),
        (("--operator",), {"scope": "operator"}),
    ):
        api.answer({"key": key, "secret": "tnk_1f0c_s"}, 201)
        assert ask("keys", "create", *options).code == 0
        assert api.asked[-1].body == {"label": "", **body}
    for wrong in (("--read-only",), ("--operator", "--reader"), ("--operator", "--only", "docs")):
        assert ask("keys", "create", *wrong).code == 2


def test_a_rotation_says_what_becomes_of_the_old_key(ask, api):
    key = {"id": "2222", "prefix": "tnk_2222", "scope": "tenant", "index": "default", "tenant": "acme"}
    api.answer({"key": key, "secret": "tnk_2222_s"}, 201)
    done = ask("keys", "rotate", "tnk_1f0c", "--overlap", "1h", "--expires", "90d")
    assert done.out == "tnk_2222_s\n"
    assert "key 1f0c works for 1h more" in done.err
    assert api.paths == ["POST /v1/keys/1f0c/rotate"]
    assert api.asked[0].body == {"overlap_s": 3_600.0, "expires_in_s": 7_776_000.0}
    assert ask("keys", "rotate", "1f0c").code == 2, "without an overlap it asks"
