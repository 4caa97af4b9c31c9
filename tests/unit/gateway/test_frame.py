"""What happens around a handler: errors, time limits and limits, on endpoints made for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import structlog
from structlog.testing import capture_logs

from tenantry import errors
from tenantry.clock import SystemClock
from tenantry.errors import TenantryError
from tenantry.gateway.app import Gateway, build_app
from tenantry.gateway.auth import Authenticator
from tenantry.gateway.frame import Frame
from tenantry.gateway.native.routes import FACE as NATIVE
from tenantry.gateway.pinecone.errors import CONTROL, DATA
from tenantry.gateway.table import Access, Call, Endpoint
from tenantry.model.limits import Limits
from tenantry.telemetry.prometheus import PrometheusTelemetry

structlog.configure(cache_logger_on_first_use=False)


@pytest.fixture
def cluster() -> Any:
    """What a frame needs of a cluster; no handler here asks for more."""
    return SimpleNamespace(limits=Limits(), clock=SystemClock(), keys=None, tracer=None)


def endpoint(handle: Callable[[Call, Any], Any], **fields: Any) -> Endpoint:
    given = {"face": NATIVE, "method": "GET", "path": "/x", "access": Access.PUBLIC, "summary": "", **fields}
    return Endpoint(handle=handle, **given)


def client(cluster: Any, *endpoints: Endpoint, limit_s: float = 5.0) -> httpx.AsyncClient:
    frame = Frame(
        cluster,
        Authenticator(cluster.keys, "key", False),
        PrometheusTelemetry(),
        public_url=None,
        max_concurrent=2,
        request_limit_s=limit_s,
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(Gateway(endpoints, frame)), base_url="http://gateway.test")


def raising(error: Exception) -> Callable[[Call, Any], Any]:
    async def handle(call: Call, _: None) -> None:
        raise error

    return handle


CASES: dict[str, tuple[TenantryError, int, int]] = {
    "invalid": (errors.InvalidArgument("field", 1, "2"), 400, 400),
    "too-large": (errors.TooLarge("field", 1, "2"), 400, 400),
    "not-found": (errors.NotFound("tenant", "x"), 404, 404),
    "taken": (errors.AlreadyExists("tenant", "x"), 409, 409),
    "refused": (errors.Refused("suspended"), 409, 412),
    "full": (errors.CapacityExceeded("full"), 409, 403),
    "over-quota": (errors.QuotaExceeded("vectors", "acme", "free", 9, 2, 10), 409, 403),
    "unauthenticated": (errors.Unauthenticated("who"), 401, 401),
    "denied": (errors.PermissionDenied("no"), 403, 403),
    "unsupported": (errors.Unsupported("no"), 501, 501),
    "limited": (errors.RateLimited("slow down", 2.5), 429, 429),
    "unavailable": (errors.Unavailable("later"), 503, 503),
    "late": (errors.DeadlineExceeded("late"), 504, 504),
    "disk-full": (errors.StorageFailed("/srv/data/x.sqlite: disk full"), 503, 503),
    "conflict": (errors.Conflict("changed"), 409, 409),
    "locked": (errors.Locked("/srv/data is locked by 77"), 503, 503),
    "corrupt": (errors.Corrupt("/srv/data/x.sqlite is damaged"), 500, 500),
    "diverged": (errors.Diverged("/srv"), 500, 500),
    "bug": (errors.Bug("/srv"), 500, 500),
}


@pytest.mark.parametrize("case", CASES)
async def test_every_error_has_its_status_and_shape(cluster: Any, case: str) -> None:
    error, native_status, pinecone_status = CASES[case]
    table = [endpoint(raising(error), face=face, path=f"/{face.name}") for face in (NATIVE, DATA, CONTROL)]
    async with client(cluster, *table) as http:
        native, data, control = [await http.get(f"/{face.name}") for face in (NATIVE, DATA, CONTROL)]
    assert native.status_code == native_status
    assert native.json()["error"]["code"] == error.code
    assert native.json()["error"].get("field") == getattr(error, "field", None)
    assert data.status_code == pinecone_status
    assert isinstance(data.json()["code"], int)
    assert data.json()["details"] == []
    assert control.status_code == (403 if case == "refused" else pinecone_status)
    assert control.json()["status"] == control.status_code
    for answer in (native, data, control):
        assert "/srv" not in answer.text, "nothing of the machine leaks"
        assert ("retry-after" in answer.headers) == isinstance(error, errors.Unavailable)
    if case == "limited":
        assert native.headers["retry-after"] == "3"


def test_every_error_class_is_in_the_table() -> None:
    def below(kind: type) -> set[type]:
        return {kind}.union(*(below(one) for one in kind.__subclasses__()))

    known = {type(error) for error, _, _ in CASES.values()}
    ours = {kind for kind in below(TenantryError) if kind.__module__ == "tenantry.errors"}
    assert ours - known == {errors.TenantryError, errors.RequestError}


async def test_an_unexpected_failure_tells_a_request_id_and_nothing_else(cluster: Any) -> None:
    with capture_logs() as logs:
        async with client(cluster, endpoint(raising(RuntimeError("the secret is 42")))) as http:
            answer = await http.get("/x", headers={"X-Request-Id": "req-7"})
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "INTERNAL"
    assert "42" not in answer.text
    assert "req-7" in answer.text
    assert [(one["event"], one["request_id"]) for one in logs] == [("unexpected failure", "req-7")]
    assert "the secret is 42" in logs[0]["traceback"]


async def test_keys_stay_out_of_the_log(cluster: Any, capsys: pytest.CaptureFixture[str]) -> None:
    broken = endpoint(raising(RuntimeError("broken")), access=Access.ADMIN)
    async with client(cluster, broken) as http:
        assert (await http.get("/x", headers={"Api-Key": "key", "Authorization": "Bearer key-2"})).status_code == 500
    shown = "".join(capsys.readouterr())
    assert "RuntimeError: broken" in shown
    assert "Api-Key" not in shown
    assert "b'key'" not in shown


async def test_a_handler_that_takes_too_long(cluster: Any) -> None:
    async def forever(call: Call, _: None) -> None:
        await asyncio.Event().wait()

    async with client(cluster, endpoint(forever), limit_s=0.02) as http:
        answer = await http.get("/x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "DEADLINE_EXCEEDED")


async def test_a_body_that_never_arrives_gives_its_place_back(cluster: Any) -> None:
    app = build_app(cluster, admin_key="key", request_limit_s=0.02)
    sent: list[dict[str, Any]] = []
    first = [{"type": "http.request", "body": b'{"topK"', "more_body": True}]

    async def receive() -> dict[str, Any]:
        return first.pop() if first else await asyncio.Event().wait() or {}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/query",
        "raw_path": b"/query",
        "query_string": b"",
        "scheme": "http",
        "headers": [(b"api-key", b"key"), (b"content-type", b"application/json")],
    }
    await app(scope, receive, send)
    assert sent[0]["status"] == 504


async def test_the_place_of_a_failed_request_is_free_again(cluster: Any) -> None:
    async with client(
        cluster, endpoint(raising(RuntimeError())), endpoint(raising(errors.Bug("x")), path="/y")
    ) as http:
        for _ in range(5):
            assert (await http.get("/x")).status_code == 500
            assert (await http.get("/y")).status_code == 500


async def test_answers_are_counted_by_template(cluster: Any) -> None:
    async def name(call: Call, _: None) -> dict[str, str]:
        return {"name": call.path["name"]}

    async with client(cluster, endpoint(name, path="/n/{name}")) as http:
        assert (await http.get("/n/a%2Fb%20%C3%BC")).json() == {"name": "a/b ü"}
        assert (await http.get("/n/b")).json() == {"name": "b"}
        telemetry = http._transport.app._router.routes[0].app._by_method["GET"]._frame.telemetry
    line = 'tenantry_http_requests_total{api="native",method="GET",route="/n/{name}",status="200"} 2.0'
    assert line in telemetry.exposition().decode()
