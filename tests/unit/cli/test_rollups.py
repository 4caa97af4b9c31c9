"""`tenantry rollup`: what is asked, what is shown, how it ends."""

from tenantry.cli.failures import ExitCode

OFF = {
    "index": "default",
    "state": "off",
    "shard": None,
    "lag_s": None,
    "why": "",
    "vectors": None,
    "due": 0,
    "due_tenants": 0,
    "error": "",
    "since": None,
}
ON = {**OFF, "state": "on", "shard": "rollup", "lag_s": 0.42, "vectors": 1200, "since": 1_795_652_189.0}
FILLING = {**ON, "state": "filling", "lag_s": None, "why": "the roll-up is filling", "due": 7, "due_tenants": 5}
RIGHT = {
    "index": "default",
    "whole": True,
    "tenants": 3,
    "records": 1200,
    "missing": 0,
    "extra": 0,
    "different": 0,
    "tenants_wrong": [],
    "examples": [],
}
WRONG = {**RIGHT, "whole": False, "missing": 2, "different": 1, "tenants_wrong": ["acme"], "examples": ["acme/a"]}
PATH = "/v1/indexes/default/rollup"


def test_on_waits_until_it_is_filled(ask, api):
    api.answer(FILLING).answer({"vectors": 1200}).answer(FILLING).answer(ON)
    done = ask("rollup", "on", "--shard", "big")
    assert done.code == 0
    assert "0.4 s at most" in done.out
    assert "1,200" in done.out
    assert (api.asked[0].method, api.asked[0].path) == ("PUT", PATH)
    assert api.asked[0].body == {"shard": "big", "rebuild": False}
    assert [one.path for one in api.asked[1:]] == ["/v1/indexes/default/stats", PATH, PATH]


def test_on_without_waiting_tells_how_it_stands(ask, api):
    api.answer(FILLING)
    done = ask("rollup", "on", "--no-wait")
    assert "7 changes, of them 5 whole tenants" in done.out
    assert "the roll-up is filling" in done.out


def test_on_gives_up_with_what_is_the_matter(ask, api):
    api.answer({**FILLING, "error": "shard away"}).answer({"vectors": 1})
    done = ask("rollup", "on", "--wait-s", "0")
    assert done.code == ExitCode.UNAVAILABLE
    assert "not filled after 0 s, and goes on: shard away" in done.err


def test_off_asks_first(ask, api):
    assert ask("rollup", "off").code == ExitCode.USAGE
    assert api.asked == []
    api.answer(OFF)
    done = ask("rollup", "off", "--yes", "--remove-shard")
    assert done.out == "index default has no roll-up; searches over many tenants ask its shards\n"
    assert api.asked[0].method == "DELETE"


def test_status_warns_of_what_cannot_be_copied(ask, api):
    api.answer({**ON, "error": "tenant 'acme': its id is too long"})
    done = ask("rollup", "status")
    assert done.code == 0
    assert "warning: something cannot be copied: tenant 'acme': its id is too long" in done.err


def test_verify_ends_with_4_when_something_is_wrong(ask, api):
    api.answer(RIGHT)
    done = ask("rollup", "verify")
    assert (done.code, done.out) == (0, "1,200 records of 3 tenants compared; all copies are right\n")
    api.answer(WRONG)
    done = ask("rollup", "verify", "--heal")
    assert done.code == ExitCode.FOUND_PROBLEMS
    assert "2 missing, 1 different, in 1 tenant: acme" in done.out
    assert "they are being copied again" in done.out
    assert api.asked[1].body == {"heal": True}
