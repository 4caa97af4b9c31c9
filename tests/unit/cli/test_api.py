"""How commands reach the API, and what its answers become."""

from __future__ import annotations

import pytest

from tenantry.cli.api import path_of
from tenantry.cli.command import DEFAULT_INDEX
from tenantry.cli.failures import Failure
from tenantry.model import topology
from tenantry.testing.servers import free_port

TENANT = {
    "name": "acme",
    "index": "default",
    "state": "active",
    "shard": "shard-0",
    "namespace": "acme",
    "epoch": 2,
    "mode": "direct",
    "generation": 1,
    "vectors": 3,
    "bytes": 4096,
    "spec": {"shard": None, "dedicated": False},
    "created_at": 1_700_000_000.0,
    "error": None,
}


def test_the_default_index_is_that_of_the_model():
    assert DEFAULT_INDEX == topology.DEFAULT_INDEX


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("a/b", "a%2Fb"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("a.b", "a.b"),
        ("Ünï ?#%", "%C3%9Cn%C3%AF%20%3F%23%25"),
    ],
)
def test_names_travel_as_one_part_of_the_path(ask, api, name, sent):
    api.answer(TENANT)
    assert ask("tenant", "show", name, "--json").json == TENANT
    assert api.paths == [f"GET /v1/indexes/default/tenants/{sent}"]


def test_a_name_may_look_like_an_option(cli, api):
    api.answer(TENANT)
    assert cli("tenant", "show", "--url", api.url, "--", "--all").code == 0
    assert api.paths == ["GET /v1/indexes/default/tenants/--all"]


def test_deleting_a_tenant_named_dot_dot_does_not_delete_its_index(ask, api):
    api.answer(status=204)
    assert ask("tenant", "delete", "..", "--yes").code == 0
    assert api.paths == ["DELETE /v1/indexes/default/tenants/%2E%2E"]


def test_an_empty_name_is_refused_before_anything_is_sent(ask, api):
    done = ask("tenant", "delete", "", "--yes")
    assert done.code == 2
    assert "empty name" in done.err
    assert api.asked == []


def test_a_name_that_is_not_text_is_refused():
    with pytest.raises(Failure, match="UTF-8"):
        path_of("tenants", "a\udcff")


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (400, "INVALID_ARGUMENT", 1),
        (401, "UNAUTHENTICATED", 1),
        (403, "PERMISSION_DENIED", 1),
        (404, "NOT_FOUND", 1),
        (409, "ALREADY_EXISTS", 1),
        (429, "RATE_LIMITED", 3),
        (503, "UNAVAILABLE", 3),
        (504, "DEADLINE_EXCEEDED", 3),
        (507, "STORAGE_FAILED", 3),
        (409, "LOCKED", 3),
        (500, "INTERNAL", 1),
    ],
)
def test_each_error_has_an_exit_code_and_no_traceback(ask, api, status, code, exit_code):
    api.fail(status, code, "it went wrong")
    done = ask("tenant", "show", "acme", "--json")
    assert done.code == exit_code
    assert done.out == ""
    assert done.err.startswith("error: it went wrong\n")
    assert "Traceback" not in done.err


def test_a_missing_key_says_where_to_give_it(ask, api):
    api.fail(401, "UNAUTHENTICATED", "the API key is not valid")
    assert "hint: give the key with TENANTRY_ADMIN_KEY or --key" in ask("stats").err


@pytest.mark.parametrize("status", [200, 404])
def test_something_that_is_no_gateway_is_told_apart(ask, api, status):
    api.answer("<html>hello</html>", status, "text/html")
    done = ask("stats")
    assert done.code == 1
    assert "not as a Tenantry gateway does" in done.err


def test_a_proxy_without_a_gateway_behind_it_is_for_later(ask, api):
    api.answer("<html>bad gateway</html>", 502, "text/html")
    assert ask("stats").code == 3


def test_nobody_listening_is_for_later(cli):
    free = free_port()
    done = cli("stats", "--url", f"http://127.0.0.1:{free}")
    assert done.code == 3
    assert f"error: cannot reach http://127.0.0.1:{free}" in done.err
    assert "tenantry serve" in done.err


def test_the_key_comes_from_the_option_then_the_environment(ask, api, monkeypatch):
    api.answer({"indexes": []}).answer({"indexes": []}).answer({"indexes": []})
    ask("index", "list")
    monkeypatch.setenv("TENANTRY_ADMIN_KEY", "from-environment")
    ask("index", "list")
    ask("index", "list", "--key", "from-option")
    sent = [one.headers.get("authorization") for one in api.asked]
    assert sent == [None, "Bearer from-environment", "Bearer from-option"]


def test_the_url_comes_from_the_environment_unless_data_is_named(cli, api, monkeypatch):
    monkeypatch.setenv("TENANTRY_URL", api.url)
    api.answer({"indexes": []})
    assert cli("index", "list").code == 0
    done = cli("index", "list", "--data", "nowhere")
    assert done.code == 1
    assert "there is no cluster in nowhere" in done.err
    assert len(api.asked) == 1


def test_a_dot_env_file_counts(cli, api, tmp_path):
    (tmp_path / ".env").write_text(f"TENANTRY_URL={api.url}\nTENANTRY_ADMIN_KEY=stored\n")
    api.answer({"indexes": []})
    assert cli("index", "list").code == 0
    assert api.asked[0].headers["authorization"] == "Bearer stored"


def test_data_and_url_together_are_refused(cli):
    done = cli("stats", "--data", "x", "--url", "http://127.0.0.1:1")
    assert done.code == 2
    assert "--data and --url" in done.err


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://host:port", "http://h/?q=1", "http://[::1"])
def test_what_is_no_url_is_wrong_usage(cli, url):
    assert cli("stats", "--url", url).code == 2


def test_a_url_needs_no_scheme_and_may_have_a_path(cli, api):
    api.answer({"indexes": []})
    assert cli("index", "list", "--url", api.url.removeprefix("http://") + "/behind/proxy/").code == 0
    assert api.paths == ["GET /behind/proxy/v1/indexes"]


def test_a_bad_setting_is_named(cli, monkeypatch):
    monkeypatch.setenv("TENANTRY_PORT", "eighty")
    monkeypatch.setenv("TENANTRY_REQUEST_TIMEOUT_S", "-1")
    done = cli("stats", "--data", "x")
    assert done.code == 2
    assert "TENANTRY_PORT" in done.err
    assert "TENANTRY_REQUEST_TIMEOUT_S" in done.err
    assert "Traceback" not in done.err


def test_a_bad_option_of_serve_is_named_as_the_option(cli):
    done = cli("serve", "--data", "x", "--port", "70000")
    assert done.code == 2
    assert "--port" in done.err
    assert "TENANTRY_PORT" not in done.err


def test_an_unexpected_error_is_one_line_and_a_traceback_only_when_wanted(ask, api, monkeypatch):
    api.answer([1, 2]).answer([1, 2]).answer([1, 2])
    done = ask("stats")
    assert done.code == 1
    assert "error: unexpected TypeError" in done.err
    assert "Traceback" not in done.err
    assert "Traceback" in ask("stats", "--debug").err
    monkeypatch.setenv("TENANTRY_DEBUG", "1")
    assert "Traceback" in ask("stats").err
