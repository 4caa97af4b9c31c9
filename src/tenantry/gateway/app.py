"""The gateway as one ASGI application."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from tenantry.cluster import Cluster
from tenantry.gateway import operations
from tenantry.gateway.auth import Authenticator
from tenantry.gateway.frame import Frame, PathEndpoint, Runner
from tenantry.gateway.native import routes as native
from tenantry.gateway.pinecone import routes as pinecone
from tenantry.gateway.table import Endpoint
from tenantry.gateway.tracing import TracedRunner
from tenantry.telemetry.health_metrics import HealthMetrics
from tenantry.telemetry.pilot_metrics import PilotMetrics
from tenantry.telemetry.prometheus import PrometheusTelemetry


class Gateway:
    """Matches paths before percent-decoding, so that a tenant's name may contain a slash."""

    def __init__(self, endpoints: Sequence[Endpoint], frame: Frame) -> None:
        self.endpoints = tuple(endpoints)
        self.frame = frame
        by_path: dict[str, list[Runner | TracedRunner]] = {}
        for endpoint in endpoints:
            by_path.setdefault(endpoint.path, []).append(_runner(endpoint, frame))
        at = {path: PathEndpoint(runners) for path, runners in by_path.items()}
        #: Paths without a parameter, such as ``/query``, need no search.
        self._exact = {path: found for path, found in at.items() if "{" not in path}
        table = [Route(path, endpoint=found) for path, found in at.items() if path not in self._exact]
        self._router = Router(table, redirect_slashes=False, default=operations.no_such_route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; nothing else is spoken here."""
        if scope["type"] != "http":
            return
        path = scope["path"] = scope["raw_path"].decode("latin-1")
        found = self._exact.get(path)
        if found is None:
            await self._router(scope, receive, send)
            return
        scope["path_params"] = {}
        await found(scope, receive, send)


def _runner(endpoint: Endpoint, frame: Frame) -> Runner | TracedRunner:
    runner, tracer = Runner(endpoint, frame), frame.tracer
    return runner if tracer is None else TracedRunner(endpoint, runner, tracer)


def build_app(
    cluster: Cluster,
    *,
    admin_key: str | None = None,
    admin_name: str = "admin-key",
    open_access: bool = False,
    telemetry: PrometheusTelemetry | None = None,
    public_url: str | None = None,
    max_concurrent: int = 512,
    request_limit_s: float = 40.0,
) -> Gateway:
    """Pinecone's API, the native API, health, metrics and the OpenAPI document on one cluster.

    Args:
        admin_key: reaches everything; None: only stored keys do. admin_name: who that is, in the audit log.
        open_access: no key is configured anywhere and only this machine can connect: whoever comes is admin.
        public_url: under which clients reach the gateway; None: as each request says.
        max_concurrent: requests in hand at once; more get 503 with Retry-After.
        request_limit_s: longest time of one request, the arrival of its body included.
    """
    if telemetry is not None:
        if cluster.tracer is not None:
            telemetry.exemplar = cluster.tracer.exemplar
        telemetry.show(HealthMetrics(lambda: cluster.health_checks.latest, lambda: cluster.routing_checks.found))
        telemetry.show(PilotMetrics(lambda: cluster.autopilot.seen))
    frame = Frame(
        cluster,
        Authenticator(cluster.keys, admin_key, open_access, admin_name),
        telemetry,
        public_url=public_url,
        max_concurrent=max_concurrent,
        request_limit_s=request_limit_s,
        tracer=cluster.tracer,
    )
    apis = [*pinecone.routes(), *native.routes()]
    return Gateway([*apis, *operations.routes(frame, apis)], frame)
