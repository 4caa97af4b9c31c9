"""Serve a cluster over HTTP until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import structlog
import uvicorn

from tenantry.cluster import Cluster
from tenantry.errors import InvalidArgument, Refused
from tenantry.gateway.app import build_app
from tenantry.gateway.auth import is_loopback
from tenantry.gateway.protocol import BoundedProtocol
from tenantry.settings import Settings
from tenantry.telemetry.prometheus import PrometheusTelemetry

KEEP_ALIVE_S = 30
BACKLOG = 2_048
#: Beyond the longest call to a shard, for the body to arrive and the answer to be made.
REQUEST_SLACK_S = 10.0
CANCELLED_WITHIN_S = 5.0
#: Connections and SQLite files together easily need more than the usual soft limit of 1,024.
OPEN_FILES = 65_536

_log = structlog.get_logger("tenantry.gateway")


async def serve(
    cluster: Cluster,
    settings: Settings,
    *,
    on_ready: Callable[[str], None] | None = None,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in hand (up to ``shutdown_grace_s``) and return.

    The cluster stays open: whoever opened it closes it. Run it on uvloop where that is installed
    (`loop_factory`). Under ``/metrics`` it shows what the cluster measures, when the cluster was opened with a
    `PrometheusTelemetry`; otherwise only its own requests.

    Args:
        on_ready: gets the real URL once connections are accepted.
        announce: gets it too, so that others who find the data folder locked are told where to go.

    Raises:
        Refused: the port is in use, or no key is configured and the address is not this machine's own.
    """
    admin_key = settings.admin_key.get_secret_value() if settings.admin_key else None
    keyed = bool(admin_key) or await cluster.keys.any_exist()
    listener = bind(settings.host, settings.port, loopback_only=not keyed)
    url = url_of(settings.host, listener)
    app = build_app(
        cluster,
        admin_key=admin_key,
        open_access=not keyed,
        telemetry=_measured_by(cluster),
        public_url=settings.public_url,
        max_concurrent=settings.max_concurrent_requests,
        request_limit_s=settings.request_timeout_s + REQUEST_SLACK_S,
        dashboard=settings.dashboard,
    )
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=settings.shutdown_grace_s,  # type: ignore[arg-type]  # seconds, whole or not
    )

    def ready() -> None:
        _log.info("serving", url=url, open_access=not keyed)
        for told in (announce, on_ready):
            if told is not None:
                told(url)

    server = _Server(config, ready, app.frame.streams.close)
    _raise_file_limit()
    cluster.check_routing_regularly()
    cluster.check_health_regularly()
    cluster.backups.run_schedule()
    cluster.autopilot.start()
    try:
        with short_collections():
            await server.serve([listener])
            if left := server.server_state.tasks:  # cancelled when the time of grace was over
                await asyncio.wait(left, timeout=CANCELLED_WITHIN_S)
    finally:
        listener.close()


@contextlib.contextmanager
def short_collections() -> Iterator[None]:
    """Keep what was made until now from garbage collection: to go through modules, classes and caches takes some 60 ms,
    in which nobody is served, and they stay until the end anyway."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def bind(host: str, port: int, *, loopback_only: bool) -> socket.socket:
    """A bound listening socket.

    Raises:
        Refused: the port is taken, or the address can be reached from elsewhere though ``loopback_only``.
        InvalidArgument: the host is not an address of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as unknown:
        raise InvalidArgument("host", host, f"an address of this machine ({unknown.strerror})") from unknown
    if loopback_only and not is_loopback(str(address[0])):
        raise Refused(
            f"no API key is configured, so only a loopback address is bound, not {host!r}: set TENANTRY_ADMIN_KEY, "
            "make a key with `tenantry keys create`, or bind 127.0.0.1"
        )
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as taken:
        listener.close()
        raise Refused(
            f"cannot listen on {host}:{port}: {taken.strerror}; choose another with --port, or 0 for a free one"
        ) from taken
    listener.setblocking(False)
    return listener


def url_of(host: str, listener: socket.socket) -> str:
    """URL of a listening socket, with the host as it was given; a wildcard is shown as loopback."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - shown, not bound
    return f"http://[{shown}]:{_port(listener)}" if ":" in shown else f"http://{shown}:{_port(listener)}"


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """For ``asyncio.Runner``: uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    made: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return made


class _Server(uvicorn.Server):
    """Uvicorn's server, which tells when it accepts connections, and does not raise the signal again at the end,
    as the cluster is still to be closed."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], closing: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self._closing = closing

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, which would not end by themselves, then wait for what is in hand."""
        self._closing()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGTERM and SIGINT on the loop; a second SIGINT stops without waiting."""
        loop = asyncio.get_running_loop()
        caught: list[signal.Signals] = []
        for one in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):  # not the main thread
                loop.add_signal_handler(one, self.handle_exit, one, None)
                caught.append(one)
        try:
            yield
        finally:
            for one in caught:
                loop.remove_signal_handler(one)


def _measured_by(cluster: Cluster) -> PrometheusTelemetry:
    telemetry = cluster.telemetry
    return telemetry if isinstance(telemetry, PrometheusTelemetry) else PrometheusTelemetry()


def _raise_file_limit() -> None:
    """Allow as many open files as the system lets us, up to what we need."""
    try:
        import resource
    except ImportError:
        return  # not on Windows
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _port(listener: socket.socket) -> Any:
    return listener.getsockname()[1]
