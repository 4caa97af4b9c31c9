"""Which requests the audit log records, and what it says of them."""

from __future__ import annotations

from typing import Any

import msgspec

from tenantry.cluster import Cluster
from tenantry.cluster.recording import detail_of
from tenantry.errors import TenantryError
from tenantry.gateway.auth import Principal
from tenantry.gateway.table import Access, Call, Endpoint
from tenantry.model.audit import BEGUN, Deed
from tenantry.model.topology import DEFAULT_INDEX

#: Operations with one of these are recorded, unless they only read.
RECORDED = (Access.CONTROL, Access.ADMIN, Access.SEARCH)
#: Fields that hold what tenants wrote or asked.
CONTENT = ("text",)
#: A refusal of the same caller and action is recorded again after that, seconds: nobody can fill the log by knocking.
REFUSED_AGAIN_S = 60.0
REFUSED_MOST = 1_000


def is_recorded(endpoint: Endpoint) -> bool:
    """Whether the audit log is told of an operation."""
    return endpoint.access in RECORDED and endpoint.method != "GET" and endpoint.documented


class Recorder:
    """Runs one operation and has it recorded. Those that change something are recorded before and after; a search is,
    before its answer is given."""

    def __init__(self, endpoint: Endpoint, cluster: Cluster) -> None:
        self._endpoint = endpoint
        self._cluster = cluster
        self._action = endpoint.action or f"{endpoint.method} {endpoint.path}"
        self._refused: dict[str, float] = {}

    async def run(self, call: Call, given: Any) -> Any:
        """The handler's result. Raises what it raises, and Unavailable or StorageFailed when there is no recording."""
        endpoint, deeds = self._endpoint, self._cluster.deeds
        deed = self._deed(call.who, call.path, call.request_id, given)

        async def work() -> Any:
            return await endpoint.handle(call, given)

        if endpoint.access is Access.SEARCH:
            return await deeds.disclose(deed, work)
        return await deeds.change(deed, work)

    async def refused(self, who: Principal, path: dict[str, str], request_id: str, refusal: TenantryError) -> None:
        """Note that somebody with a good key was not allowed to, or not so often; once a minute for each caller."""
        now = self._cluster.clock.monotonic()
        last = self._refused.get(who.actor)
        if last is not None and now - last < REFUSED_AGAIN_S:
            return
        if len(self._refused) >= REFUSED_MOST:
            self._refused.clear()
        self._refused[who.actor] = now
        deed = self._deed(who, path, request_id, None)
        await self._cluster.deeds.refusal(msgspec.structs.replace(deed, result=refusal.code))

    def _deed(self, who: Principal, path: dict[str, str], request_id: str, given: Any) -> Deed:
        values = msgspec.structs.asdict(given) if isinstance(given, msgspec.Struct) else {}
        about = {
            "index": path.get("index", DEFAULT_INDEX if self._endpoint.face.name == "pinecone-data" else None),
            "tenant": path.get("tenant", path.get("namespace")),
            "shard": path.get("shard"),
            "subject": path.get("id", path.get("plan")),
        }
        for column, field in self._endpoint.about.items():
            found = values.pop(field, None)
            about[column] = about.get(column) if found is None else str(found)
        kept = {name: value for name, value in values.items() if name not in CONTENT}
        return Deed(
            at_us=0,
            actor=who.actor,
            scope=str(who.scope),
            action=self._action,
            result=BEGUN,
            request_id=request_id,
            detail=detail_of(kept),
            **about,
        )
