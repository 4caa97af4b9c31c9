"""The native API as commands use it: one client, over a socket or straight into the application.

Commands cannot tell which of the two it is, so that whatever the command line does, the API does.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import msgspec

from tenantry.cli.failures import ExitCode, Failure, locked, no_cluster, usage
from tenantry.cli.target import LOOPBACK, Folder, Gateway
from tenantry.errors import Locked, NotFound
from tenantry.version import __version__

if TYPE_CHECKING:
    from tenantry.cluster import Cluster

CONNECT_TIMEOUT_S = 5.0
#: Longer than the server's own limits, so that its answer about a time limit arrives.
READ_TIMEOUT_S = 120.0
#: How often something is looked at that tells of no changes by itself.
LOOK_S = 0.2
LATER = {"UNAVAILABLE", "RATE_LIMITED", "DEADLINE_EXCEEDED", "STORAGE_FAILED", "LOCKED"}
HINTS = {
    "UNAUTHENTICATED": "give the key with TENANTRY_ADMIN_KEY or --key",
    "PERMISSION_DENIED": "use a key of another scope; `tenantry keys create --help` names them",
    "RATE_LIMITED": "wait a moment, then repeat the command",
    "UNAVAILABLE": "try again in a moment",
    "DEADLINE_EXCEEDED": "try again in a moment; every command may be repeated",
    "STORAGE_FAILED": "look at the free space and the health of the server's disk, then repeat the command",
    "ABORTED": "somebody changed it at the same time; look again, then repeat the command",
    "DATA_LOSS": "nothing was changed; look at the file that the message names before going on",
}


class Api:
    """Answers are decoded JSON. Every method raises `Failure` and nothing else on purpose."""

    def __init__(self, http: httpx.AsyncClient, place: str, *, in_process: bool = False) -> None:
        self._http = http
        self.place = place
        self.in_process = in_process

    async def get(self, *parts: str, **params: Any) -> Any:
        """GET; parameters that are None are left out."""
        return await self._ask("GET", parts, params=params)

    async def post(self, *parts: str, body: Any = None) -> Any:
        """POST a body as JSON; bytes are taken to be JSON already."""
        return await self._ask("POST", parts, body={} if body is None else body)

    async def patch(self, *parts: str, body: Any) -> Any:
        """PATCH."""
        return await self._ask("PATCH", parts, body=body)

    async def put(self, *parts: str, body: Any) -> Any:
        """PUT."""
        return await self._ask("PUT", parts, body=body)

    async def delete(self, *parts: str, **params: Any) -> Any:
        """DELETE; parameters that are None are left out."""
        return await self._ask("DELETE", parts, params=params)

    async def follow(
        self, events: tuple[str, ...], state: tuple[str, ...], ended: Callable[[Any], bool]
    ) -> AsyncIterator[Any]:
        """Something as it stands, then after each change, until it has ended: from a stream of events where there is
        one, by looking again and again where there is none (in this process), or when it breaks."""
        last = None
        while True:
            if not self.in_process:
                try:
                    async for last in self._events(events):
                        yield last
                except httpx.HTTPError:
                    pass  # the gateway restarts, perhaps
                if last is not None and ended(last):
                    return
            found = await self.get(*state)
            if found != last:
                last = found
                yield found
            if ended(found):
                return
            await asyncio.sleep(LOOK_S)

    async def _events(self, parts: tuple[str, ...]) -> AsyncIterator[Any]:
        async with self._http.stream("GET", path_of(*parts)) as answer:
            if not answer.is_success:
                return
            name = ""
            async for line in answer.aiter_lines():
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "data" and name == "end":
                    return
                elif field == "data":
                    yield msgspec.json.decode(value)

    async def _ask(
        self, method: str, parts: tuple[str, ...], *, params: Mapping[str, Any] | None = None, body: Any = None
    ) -> Any:
        content = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        try:
            answer = await self._http.request(
                method,
                path_of(*parts),
                params={name: value for name, value in (params or {}).items() if value is not None},
                content=content,
                headers={"content-type": "application/json"} if content is not None else None,
            )
        except httpx.ConnectError as error:
            raise Failure(
                f"cannot reach {self.place}: {_reason(error)}",
                "is the gateway running? `tenantry serve` starts one",
                ExitCode.UNAVAILABLE,
            ) from error
        except httpx.TimeoutException as error:
            raise Failure(
                f"{self.place} did not answer in time",
                "whether the request took effect is unknown; every command may be repeated",
                ExitCode.UNAVAILABLE,
            ) from error
        except httpx.HTTPError as error:
            raise Failure(
                f"the connection to {self.place} broke: {_reason(error)}",
                "whether the request took effect is unknown; every command may be repeated",
                ExitCode.UNAVAILABLE,
            ) from error
        return _content(answer, self.place)


def path_of(*parts: str) -> str:
    """A path under ``/v1``, each part percent-encoded whole.

    Dots are encoded where a part is nothing else: a client or proxy that tidied ``/tenants/..`` away would
    turn the deletion of a tenant into that of its index. Raises Failure for a part that cannot be sent.
    """
    encoded = []
    for part in parts:
        if not part:
            raise usage("an empty name was given", "check the variable that the name came from")
        try:
            safe = quote(part, safe="")
        except UnicodeEncodeError:
            raise usage(f"the name {part!r} is not valid UTF-8") from None
        encoded.append(safe.replace(".", "%2E") if not safe.strip(".") else safe)
    return "/v1/" + "/".join(encoded)


@asynccontextmanager
async def open_api(target: Gateway | Folder) -> AsyncIterator[Api]:
    """A client of the target, closed at the end.

    Raises Failure: no cluster in the folder, or another process has it.
    """
    timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    headers = {"user-agent": f"tenantry-cli/{__version__}"}
    if isinstance(target, Gateway):
        if target.key:
            headers["authorization"] = f"Bearer {target.key}"
        async with httpx.AsyncClient(base_url=target.url, headers=headers, timeout=timeout) as http:
            yield Api(http, target.url)
        return
    key = secrets.token_hex(32)
    async with _open_folder(target) as cluster:
        transport = httpx.ASGITransport(app=_application(cluster, key))
        headers["authorization"] = f"Bearer {key}"
        async with httpx.AsyncClient(transport=transport, base_url=LOOPBACK, headers=headers) as http:
            yield Api(http, str(target), in_process=True)


@asynccontextmanager
async def _open_folder(target: Folder) -> AsyncIterator[Cluster]:
    from tenantry.wiring import open_cluster

    try:
        cluster = await open_cluster(target.settings)
    except NotFound as error:
        raise no_cluster(str(target.settings.data)) from error
    async with cluster:
        try:
            cluster.announce()
        except Locked as error:
            raise locked(str(error)) from error
        yield cluster


def _application(cluster: Cluster, key: str) -> Any:
    from tenantry.gateway.app import build_app

    return build_app(cluster, admin_key=key, admin_name="command-line")


def _content(answer: httpx.Response, place: str) -> Any:
    if answer.status_code == 204:
        return None
    try:
        document = msgspec.json.decode(answer.content) if answer.content else None
    except msgspec.DecodeError:
        document = None
    if answer.is_success and document is not None:
        return document
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict) or "message" not in error:
        later = answer.status_code in (408, 429, 502, 503, 504)
        raise Failure(
            f"{place} answered {answer.status_code} {answer.reason_phrase}, and not as a Tenantry gateway does",
            "check the URL; is a proxy in between?",
            ExitCode.UNAVAILABLE if later else ExitCode.FAILED,
        )
    code, message = str(error.get("code", "")), str(error["message"])
    if code == Locked.code:
        raise locked(message)
    raise Failure(
        message,
        HINTS.get(code, ""),
        ExitCode.UNAVAILABLE if code in LATER else ExitCode.FAILED,
        code=code,
        field=str(error.get("field") or ""),
    )


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
