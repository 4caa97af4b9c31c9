"""What commands send, and what people and scripts get to see."""

from __future__ import annotations

import io
import sys

import pytest

from tenantry.cli.output import cell, plain, short, size, when

SHARD = {
    "name": "shard-0",
    "index": "default",
    "backend": "embedded",
    "state": "active",
    "tenants": 12,
    "vectors": 3400,
    "bytes": 1_234_567,
    "max_tenants": 80,
    "max_vectors": None,
    "weight": 1.0,
    "region": None,
    "tier": None,
    "options": {},
    "error": None,
}
KEY = {
    "id": "1f0c",
    "prefix": "tnk_1f0c",
    "scope": "tenant",
    "index": "default",
    "tenant": "acme",
    "label": "",
    "created_at": 1_700_000_000.0,
    "expires_at": None,
    "revoked_at": None,
    "replaced_by": None,
}


def tenant(name: str, **more: object) -> dict[str, object]:
    return {
        "name": name,
        "index": "default",
        "state": "active",
        "shard": "shard-0",
        "namespace": name,
        "epoch": 2,
        "mode": "direct",
        "generation": 1,
        "vectors": 3,
        "bytes": 4096,
        "spec": {"dedicated": False, "region": None},
        "created_at": 1_700_000_000.0,
        "error": None,
        **more,
    }


def test_shards_as_a_table_and_as_a_list(ask, api):
    api.answer({"shards": [SHARD]}).answer({"shards": [SHARD]})
    assert ask("shard", "list", "--json").json == [SHARD]
    lines = ask("shard", "list").out.splitlines()
    assert lines[0].split() == ["name", "state", "backend", "tenants", "vectors", "size", "weight"]
    assert lines[1].split() == ["shard-0", "active", "embedded", "12", "/", "80", "3,400", "1.2", "MiB", "1"]


def test_a_shard_that_cannot_be_asked_is_not_shown_as_empty(ask, api):
    api.answer({"shards": [{**SHARD, "error": "no answer"}]})
    done = ask("shard", "list")
    assert "no answer" in done.out
    assert "warning: could not be asked, so their figures are unknown: shard-0" in done.err


def test_names_are_shown_as_they_are(ask, api):
    api.answer({"tenants": [tenant("[red]x[/red] :smile:"), tenant("a\x1b[31mb\nc")], "next": None})
    out = ask("tenant", "list").out
    assert "[red]x[/red] :smile:" in out
    assert "\x1b" not in out
    assert "a\N{REPLACEMENT CHARACTER}[31mb c" in out


def test_tables_to_a_pipe_are_not_cut(ask, api):
    api.answer({"tenants": [tenant("n" * 300)], "next": None})
    assert "n" * 300 in ask("tenant", "list").out


def test_tenants_are_listed_page_by_page(ask, api):
    api.answer({"tenants": [tenant("a")], "next": "a"}).answer({"tenants": [tenant("b")], "next": None})
    assert [one["name"] for one in ask("tenant", "list", "--json").json] == ["a", "b"]
    assert api.paths[1] == "GET /v1/indexes/default/tenants?after=a&limit=1000"


def test_a_table_of_tenants_says_when_there_are_more(ask, api):
    api.answer({"tenants": [tenant(f"t{i}") for i in range(100)], "next": "t99"})
    done = ask("tenant", "list", "--prefix", "t", "--shard", "s")
    assert "there are more; go on with --after 't99', or list --all" in done.err
    assert api.paths == ["GET /v1/indexes/default/tenants?limit=100&prefix=t&shard=s"]


def test_no_tenants_is_said_in_words_and_is_an_empty_list(ask, api):
    api.answer({"tenants": [], "next": None}).answer({"tenants": [], "next": None})
    assert "no tenants yet" in ask("tenant", "list").out
    assert ask("tenant", "list", "--json").json == []


def test_a_tenant_s_wishes_are_sent(ask, api):
    api.answer(tenant("acme"), 201)
    done = ask("tenant", "create", "acme", "--dedicated", "--region", "eu", "--expected-vectors", 5, "--index", "notes")
    assert done.out == "created tenant acme on shard-0\n"
    assert api.paths == ["POST /v1/indexes/notes/tenants"]
    assert api.asked[0].body == {"name": "acme", "region": "eu", "expected_vectors": 5, "dedicated": True}


def test_changes_of_a_shard_are_sent_and_none_takes_a_limit_away(ask, api):
    api.answer(SHARD)
    ask(
        "shard",
        "set",
        "shard-0",
        "--max-tenants",
        "none",
        "--max-vectors",
        "2_000",
        "--tier",
        "none",
        "--state",
        "draining",
    )
    assert api.paths == ["PATCH /v1/indexes/default/shards/shard-0"]
    assert api.asked[0].body == {"max_tenants": None, "max_vectors": 2000, "tier": None, "state": "draining"}


@pytest.mark.parametrize("kind", ["shard", "index"])
def test_setting_nothing_is_wrong_usage(ask, api, kind):
    done = ask(kind, "set", "x")
    assert done.code == 2
    assert "nothing to change" in done.err
    assert api.asked == []


def test_an_index_with_all_its_options(ask, api):
    api.answer({"dimension": 8, "metric": "cosine"}, 201)
    ask("index", "create", "n", "--dimension", 8, "--shards", 2, "--no-auto-create", "--protect", "--tag", "team=a=b")
    assert api.asked[0].body == {
        "name": "n",
        "dimension": 8,
        "metric": "cosine",
        "shards": 2,
        "auto_create": False,
        "deletion_protection": True,
        "tags": {"team": "a=b"},
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("tenant", "delete", "acme"),
        ("shard", "remove", "shard-0"),
        ("index", "delete", "notes"),
        ("delete", "acme", "--all"),
        ("keys", "revoke", "1f0c"),
    ],
)
def test_what_destroys_needs_yes_without_a_terminal(ask, api, arguments):
    api.answer(tenant("acme", tenants=1))
    done = ask(*arguments)
    assert done.code == 2
    assert "error: this needs confirmation" in done.err
    assert "hint: repeat the command with --yes" in done.err
    assert all(one.method == "GET" for one in api.asked)
    api.asked.clear()
    api._answers.clear()
    api.answer(status=204)
    assert ask(*arguments, "--yes").code == 0
    assert [one.method for one in api.asked] in (["DELETE"], ["POST"])


@pytest.mark.parametrize(("said", "code"), [("y\n", 0), ("yes\n", 0), ("\n", 1), ("n\n", 1), ("", 1)])
def test_a_person_is_asked(ask, api, monkeypatch, said, code):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(said))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    api.answer(tenant("acme")).answer(status=204)
    done = ask("tenant", "delete", "acme")
    assert done.code == code
    assert "delete tenant acme with 3 vectors" in done.err
    assert ("DELETE /v1/indexes/default/tenants/acme" in api.paths) == (code == 0)


HIT = {"id": "r1", "score": 0.98765, "metadata": {"lang": "en", "year": 2024}}


def test_a_query_by_vector(ask, api):
    api.answer({"hits": [HIT], "took_ms": 1.25})
    done = ask(
        "query", "acme", "--vector", "[0.5, 1]", "-k", 3, "--filter", '{"lang": "en"}', "--values", "--no-metadata"
    )
    assert api.asked[0].body == {
        "vector": [0.5, 1],
        "top_k": 3,
        "include_values": True,
        "include_metadata": False,
        "filter": {"lang": "en"},
    }
    assert done.out.splitlines()[1].split() == ["0.9877", "r1", "lang=en,", "year=2024"]
    assert "1 hit in 1.2 ms" in done.err


@pytest.mark.parametrize("text", ["[0.5, 1.5]", "0.5 1.5", "0.5,1.5\n", '{"id": "x", "values": [0.5, 1.5]}'])
def test_a_vector_from_a_file(ask, api, tmp_path, text):
    (tmp_path / "v.json").write_text(text)
    api.answer({"hits": [], "took_ms": 1})
    done = ask("query", "acme", "--vector-file", "v.json")
    assert done.out == "nothing found\n"
    assert api.asked[0].body["vector"] == [0.5, 1.5]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "one of --vector, --vector-file and --like"),
        (["--vector", "[1]", "--like", "x"], "one of --vector"),
        (["--vector", "[1"], "--vector is not valid JSON"),
        (["--vector", '["a"]'], "list of numbers"),
        (["--vector", "[NaN]"], "not finite"),
        (["--vector", "1 inf"], "not finite"),
        (["--vector", "[true]"], "not finite"),
        (["--vector", '"x"'], "list of numbers"),
        (["--like", "x", "--filter", "{lang: en}"], "--filter is not valid JSON"),
        (["--like", "x", "--filter", "[]"], "must be a JSON object"),
        (["--like", "x", "--top-k", "0"], "--top-k"),
    ],
)
def test_bad_questions_are_wrong_usage(ask, api, options, said):
    done = ask("query", "acme", *options)
    assert done.code == 2
    assert said in done.err
    assert api.asked == []


def test_fetch_names_what_is_missing(ask, api):
    api.answer({"records": [{"id": "a", "values": [1, 2, 3, 4, 5], "metadata": None}]})
    done = ask("fetch", "acme", "a", "b", "a")
    assert done.code == 0
    assert "5 in all" in done.out
    assert "warning: no such record: b" in done.err


def test_fetch_of_nothing_is_a_failure(ask, api):
    api.answer({"records": []})
    done = ask("fetch", "acme", "b", "--json")
    assert done.json == []
    assert done.code == 1


def test_ids_are_lines_or_a_list(ask, api):
    for _ in range(2):
        api.answer({"ids": ["a", "b"], "cursor": "b"}).answer({"ids": ["c"], "cursor": None})
    assert ask("ids", "acme").out == "a\nb\nc\n"
    assert ask("ids", "acme", "--json", "--prefix", "x").json == ["a", "b", "c"]
    assert api.paths[3] == "GET /v1/indexes/default/tenants/acme/ids?prefix=x&cursor=b&limit=1000"


def test_ids_stop_at_the_limit(ask, api):
    api.answer({"ids": ["a", "b"], "cursor": "b"})
    assert ask("ids", "acme", "--limit", 2).out == "a\nb\n"
    assert api.paths == ["GET /v1/indexes/default/tenants/acme/ids?limit=2"]


@pytest.mark.parametrize(
    ("options", "body"),
    [
        (["a", "b", "a"], {"ids": ["a", "b"]}),
        (["--filter", '{"x": 1}'], {"filter": {"x": 1}}),
        (["--all", "--yes"], {"all": True}),
    ],
)
def test_delete_in_three_ways(ask, api, options, body):
    api.answer({})
    assert ask("delete", "acme", *options, "--json").code == 0
    assert api.asked[0].body == body


@pytest.mark.parametrize("options", [[], ["a", "--all"], ["a", "--filter", "{}"], ["--all", "--filter", "{}"]])
def test_delete_wants_exactly_one_way(ask, api, options):
    assert ask("delete", "acme", *options, "--yes").code == 2
    assert api.asked == []


TEXT_HIT = {"document": "a.md", "chunk": 2, "text": "line one\n\nline two", "score": 0.5, "metadata": {}}


def test_search_shows_texts(ask, api):
    api.answer({"hits": [TEXT_HIT], "took_ms": 2})
    done = ask("search", "acme", "how?")
    assert done.out == "0.5000  a.md #2\n        line one line two\n"
    assert api.asked[0].body == {"text": "how?", "top_k": 10}


def test_search_over_all_says_when_something_is_missing(ask, api):
    found = {
        "hits": [{**TEXT_HIT, "tenant": "acme"}],
        "partial": True,
        "missing_shards": {"shard-1": "no answer within 3 s"},
        "shards_asked": 2,
        "tenants_asked": 9,
        "took_ms": 3000.5,
        "source": "shards",
        "lag_s": None,
        "why_shards": "the roll-up is 9.0 s behind, over the bound of 5 s",
    }
    api.answer(found).answer(found)
    done = ask("search-all", "how?", "--tenant", "acme", "--tenant", "b", "--deadline", "1.5")
    assert done.code == 0
    assert "0.5000  acme  a.md #2" in done.out
    assert "warning: incomplete, some shards gave no answer: shard-1: no answer within 3 s" in done.err
    assert "9 tenants on 2 shards asked" in done.err
    assert "not in the roll-up: the roll-up is 9.0 s behind" in done.err
    assert api.asked[0].body == {"text": "how?", "tenants": ["acme", "b"], "top_k": 10, "deadline_s": 1.5}
    assert ask("search-all", "how?", "--json").json["partial"] is True
    assert ask("search-all").code == 2


def report(*problems: dict[str, object], consistent: bool) -> dict[str, object]:
    return {"index": "default", "tenants": 60, "shards": 4, "consistent": consistent, "problems": list(problems)}


PROBLEM = {"kind": "missing-namespace", "name": "acme", "shard": "shard-0", "detail": "gone", "healed": False}


def test_verify_routing_has_an_exit_code_of_its_own(ask, api):
    api.answer(report(consistent=True)).answer(report(PROBLEM, consistent=False))
    good = ask("verify-routing")
    assert (good.code, good.out) == (0, "60 tenants on 4 shards checked; all routes are consistent\n")
    bad = ask("verify-routing", "--no-heal")
    assert bad.code == 4
    assert "1 problem, 1 not healed" in bad.out
    assert "missing-namespace" in bad.out
    assert api.asked[1].body == {"heal": False}
    api.answer(report({**PROBLEM, "healed": True}, consistent=True))
    assert ask("verify-routing", "--json").code == 0


def test_a_key_s_secret_is_alone_on_stdout(ask, api):
    api.answer({"key": KEY, "secret": "tnk_1f0c_secret"}, 201)
    done = ask("keys", "create", "--tenant", "acme", "--expires", "30d", "--label", "shop")
    assert done.out == "tnk_1f0c_secret\n"
    assert "cannot be shown again" in done.err
    assert "secret" not in done.err
    assert api.asked[0].body == {"tenant": "acme", "index": "default", "label": "shop", "expires_in_s": 2_592_000.0}


def test_an_admin_key_must_be_asked_for(ask, api):
    assert ask("keys", "create").code == 2
    assert ask("keys", "create", "--admin", "--tenant", "a").code == 2
    assert ask("keys", "create", "--admin", "--expires", "soon").code == 2
    api.answer({"key": {**KEY, "scope": "admin", "tenant": None}, "secret": "tnk_1f0c_s"}, 201)
    assert ask("keys", "create", "--admin", "--json").json["secret"] == "tnk_1f0c_s"
    assert api.asked[0].body == {"label": ""}


def test_a_whole_key_may_be_given_to_revoke(ask, api):
    api.answer(status=204)
    assert ask("keys", "revoke", "tnk_1f0c_verysecret", "--yes").out == "revoked key 1f0c\n"
    assert api.paths == ["DELETE /v1/keys/1f0c"]


def test_keys_of_a_tenant(ask, api):
    api.answer({"keys": [KEY]})
    assert ask("keys", "list", "--tenant", "acme", "--json").json == [KEY]
    assert api.paths == ["GET /v1/keys?tenant=acme"]


def test_stats(ask, api):
    found = {"index": "default", "dimension": 3, "metric": "cosine", "shards": 1, "tenants": 12, "vectors": 3400}
    found |= {"bytes": 5, "shard_stats": [SHARD]}
    api.answer(found).answer(found)
    assert ask("stats", "--json").json == found
    out = ask("stats").out
    assert "vectors    3,400" in out
    assert "shard-0" in out


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, ""), (True, "yes"), (1234567, "1,234,567"), (0.5, "0.5"), ({"a": "b", "c": [1]}, "a=b, c=[1]"), ([], "")],
)
def test_cells(value, shown):
    assert cell(value) == shown


def test_sizes_moments_and_texts():
    assert [size(n) for n in (0, 1, 1023, 1024, 10 * 2**20, 2**50)] == [
        "",
        "1 B",
        "1023 B",
        "1.0 KiB",
        "10.0 MiB",
        "1024 TiB",
    ]
    assert when(0) == ""
    assert when(1_700_000_000) == "2023-11-14 22:13:20Z"
    assert short("a \n b" + "x" * 200, 10) == "a bxxxxxx…"
    assert plain("tab\tbell\x07") == "tab bell\N{REPLACEMENT CHARACTER}"


def test_json_keeps_letters(ask, api):
    api.answer(tenant("Zürich"))
    assert '"name": "Zürich"' in ask("tenant", "show", "x", "--json").out
