"""All of the native API's operations."""

from __future__ import annotations

from functools import partial
from typing import Any

from tenantry.gateway.errors import native_body
from tenantry.gateway.native import (
    admin,
    advice,
    audit,
    autopilot,
    backups,
    data,
    health,
    migrations,
    moves,
    rollups,
    routes_backups,
    searching,
    service,
    wire,
    wire_backups,
    wire_moves,
    wire_searching,
)
from tenantry.gateway.table import Access, Endpoint, Face
from tenantry.model.plan import Plan

FACE = Face(name="native", render=native_body, fields={})

_INDEX = "/v1/indexes/{index}"
_SHARD = _INDEX + "/shards/{shard}"
_TENANT = _INDEX + "/tenants/{tenant}"
_MOVE = _INDEX + "/moves/{id}"
_RUN = _INDEX + "/rebalance/{id}"

_admin: Any = partial(Endpoint, face=FACE, access=Access.ADMIN)
_see: Any = partial(Endpoint, face=FACE, access=Access.SEE)
_control: Any = partial(Endpoint, face=FACE, access=Access.CONTROL)
_own: Any = partial(Endpoint, face=FACE, access=Access.WRITE)
_read: Any = partial(Endpoint, face=FACE, access=Access.READ)


def routes() -> list[Endpoint]:
    """The table; the hottest first."""
    return [
        *_data(),
        *_documents(),
        *_indexes(),
        *_searches(),
        *_shards(),
        *_tenants(),
        *_moves(),
        *_copies(),
        *_plans(),
        *service.routes(_see, _control, partial(Endpoint, face=FACE, access=Access.COUNT)),
        *advice.routes(_see, _admin),
        *_keys(),
        *health.routes(_see),
        *audit.routes(FACE),
        *rollups.routes(FACE),
        *autopilot.routes(_see, _control),
        *routes_backups.routes(_admin),
        *migrations.routes(_see, _control),
    ]


def _data() -> list[Endpoint]:
    post, ask = partial(_own, method="POST"), partial(_read, method="POST")
    return [
        ask(
            path=_TENANT + "/query",
            handle=data.query,
            request=wire.Query,
            response=wire.Hits,
            summary="Query a tenant by vector or by id",
        ),
        post(
            path=_TENANT + "/upsert",
            handle=data.upsert,
            request=wire.Upsert,
            response=wire.Upserted,
            body_limit="batch_bytes",
            summary="Write records",
        ),
        ask(
            path=_TENANT + "/fetch",
            handle=data.fetch,
            request=wire.Fetch,
            response=wire.Records,
            summary="Fetch records by id",
        ),
        post(
            path=_TENANT + "/update",
            handle=data.update,
            request=wire.Update,
            response=wire.Updated,
            summary="Change parts of a record",
        ),
        post(
            path=_TENANT + "/delete",
            handle=data.delete,
            request=wire.Delete,
            response=wire.Done,
            summary="Delete records by ids, by filter, or all",
        ),
        _read(
            method="GET",
            path=_TENANT + "/ids",
            handle=data.list_ids,
            query=wire.ListIds,
            response=wire.Ids,
            summary="List record ids",
        ),
    ]


def _documents() -> list[Endpoint]:
    post = partial(_own, method="POST")
    return [
        _read(
            method="POST",
            path=_TENANT + "/search",
            handle=data.search,
            request=wire.Search,
            response=wire.TextHits,
            summary="Search a tenant's documents by meaning",
        ),
        post(
            path=_TENANT + "/documents",
            handle=data.add_documents,
            request=wire.AddDocuments,
            response=wire.Added,
            patient=True,
            summary="Add or replace documents",
        ),
        post(
            path=_TENANT + "/documents/delete",
            handle=data.delete_documents,
            request=wire.DeleteDocuments,
            response=wire.Done,
            patient=True,
            summary="Delete documents",
        ),
    ]


def _indexes() -> list[Endpoint]:
    return [
        _see(
            method="GET",
            path="/v1/version",
            handle=admin.version,
            response=wire.Version,
            summary="Tell the version",
        ),
        _see(
            method="GET",
            path="/v1/indexes",
            handle=admin.list_indexes,
            response=wire.Indexes,
            summary="List indexes",
        ),
        _control(
            method="POST",
            path="/v1/indexes",
            handle=admin.create_index,
            request=wire.CreateIndex,
            response=wire.Index,
            status=201,
            action="index.create",
            about={"index": "name"},
            summary="Create an index",
        ),
        _see(method="GET", path=_INDEX, handle=admin.get_index, response=wire.Index, summary="Describe an index"),
        _control(
            method="PATCH",
            path=_INDEX,
            handle=admin.change_index,
            request=wire.ChangeIndex,
            response=wire.Index,
            action="index.change",
            summary="Change an index",
        ),
        _admin(
            method="DELETE",
            path=_INDEX,
            handle=admin.delete_index,
            status=204,
            patient=True,
            action="index.delete",
            summary="Delete an index with everything in it",
        ),
        _see(
            method="GET",
            path=_INDEX + "/stats",
            handle=admin.stats,
            response=wire.Stats,
            patient=True,
            summary="Measure an index",
        ),
    ]


def _searches() -> list[Endpoint]:
    return [
        Endpoint(
            face=FACE,
            access=Access.SEARCH,
            action="search",
            method="POST",
            path=_INDEX + "/search",
            handle=searching.search_all,
            request=wire_searching.SearchAll,
            response=wire_searching.SearchedAll,
            abandonable=True,
            admit=searching.admit,
            summary="Search over many tenants",
        ),
        _control(
            method="POST",
            path=_INDEX + "/verify-routing",
            handle=admin.verify_routing,
            request=wire.VerifyRouting,
            response=wire.RoutingReport,
            patient=True,
            action="routing.verify",
            summary="Compare cache, catalog and backends",
        ),
    ]


def _shards() -> list[Endpoint]:
    return [
        _see(
            method="GET",
            path=_INDEX + "/shards",
            handle=admin.list_shards,
            response=wire.Shards,
            summary="List shards",
        ),
        _admin(
            method="POST",
            path=_INDEX + "/shards",
            handle=admin.create_shard,
            request=wire.CreateShard,
            response=wire.Shard,
            status=201,
            action="shard.add",
            about={"shard": "name"},
            summary="Register a shard",
        ),
        _see(method="GET", path=_SHARD, handle=admin.get_shard, response=wire.Shard, summary="Describe a shard"),
        _control(
            method="PATCH",
            path=_SHARD,
            handle=admin.change_shard,
            request=wire.ChangeShard,
            response=wire.Shard,
            action="shard.change",
            summary="Change a shard",
        ),
        _control(
            method="DELETE",
            path=_SHARD,
            handle=admin.delete_shard,
            status=204,
            action="shard.remove",
            summary="Remove an empty shard",
        ),
    ]


def _tenants() -> list[Endpoint]:
    return [
        _see(
            method="GET",
            path=_INDEX + "/tenants",
            handle=admin.list_tenants,
            query=wire.ListTenants,
            response=wire.Tenants,
            patient=True,
            summary="List tenants",
        ),
        _control(
            method="POST",
            path=_INDEX + "/tenants",
            handle=admin.create_tenant,
            request=wire.CreateTenant,
            response=wire.Tenant,
            status=201,
            action="tenant.create",
            about={"tenant": "name", "shard": "shard"},
            summary="Create a tenant",
        ),
        Endpoint(
            face=FACE,
            access=Access.COUNT,
            method="GET",
            path=_TENANT,
            handle=admin.get_tenant,
            response=wire.Tenant,
            summary="Describe a tenant",
        ),
        _control(
            method="PATCH",
            path=_TENANT,
            handle=admin.rename_tenant,
            request=wire.RenameTenant,
            action="tenant.rename",
            summary="Refuse to rename a tenant, with the reason",
        ),
        _admin(
            method="DELETE",
            path=_TENANT,
            handle=backups.delete_tenant,
            query=wire_backups.DeleteTenant,
            status=204,
            patient=True,
            action="tenant.delete",
            summary="Delete a tenant; its data are kept for a while",
        ),
        _control(
            method="POST",
            path=_TENANT + "/suspend",
            handle=admin.suspend_tenant,
            response=wire.Tenant,
            action="tenant.suspend",
            summary="Suspend a tenant",
        ),
        _control(
            method="POST",
            path=_TENANT + "/resume",
            handle=admin.resume_tenant,
            response=wire.Tenant,
            action="tenant.resume",
            summary="Resume a suspended tenant",
        ),
    ]


def _moves() -> list[Endpoint]:
    def steer(verb: str, handle: Any, summary: str) -> Endpoint:
        made: Endpoint = _control(
            method="POST",
            path=f"{_MOVE}/{verb}",
            handle=handle,
            response=wire_moves.Move,
            status=202,
            action=f"move.{verb}",
            summary=summary,
        )
        return made

    return [
        _control(
            method="POST",
            path=_TENANT + "/move",
            handle=moves.start,
            request=wire_moves.StartMove,
            response=wire_moves.Move,
            status=202,
            action="move.start",
            about={"shard": "target"},
            summary="Begin to move a tenant to another shard",
        ),
        _see(
            method="GET",
            path=_INDEX + "/moves",
            handle=moves.list_moves,
            query=wire_moves.ListMoves,
            response=wire_moves.Moves,
            summary="List moves",
        ),
        _see(
            method="GET",
            path=_INDEX + "/moves/events",
            handle=moves.watch_all,
            response=wire_moves.Move,
            streams=True,
            summary="Watch all open moves (server-sent events)",
        ),
        _see(method="GET", path=_MOVE, handle=moves.get, response=wire_moves.Move, summary="Describe a move"),
        _see(
            method="GET",
            path=_MOVE + "/events",
            handle=moves.watch,
            response=wire_moves.Move,
            streams=True,
            summary="Watch a move (server-sent events)",
        ),
        steer("pause", moves.pause, "Pause a move"),
        steer("resume", moves.resume, "Resume a paused move"),
        steer("cancel", moves.cancel, "Cancel a move before its commit"),
        steer("rollback", moves.rollback, "Roll a move back after its commit"),
        steer("finalise", moves.finalise, "End a move's soak now"),
    ]


def _copies() -> list[Endpoint]:
    return [
        _see(
            method="GET",
            path=_INDEX + "/copies",
            handle=moves.list_copies,
            query=wire_moves.ListCopies,
            response=wire_moves.Copies,
            summary="List old copies that are still kept",
        ),
        _admin(
            method="POST",
            path=_INDEX + "/copies/purge",
            handle=moves.purge,
            request=wire_moves.ListCopies,
            response=wire_moves.Purged,
            patient=True,
            action="copy.purge",
            about={"shard": "shard", "tenant": "tenant"},
            summary="Drop old copies now",
        ),
    ]


def _plans() -> list[Endpoint]:
    return [
        _see(
            method="POST",
            path=_INDEX + "/plan",
            handle=moves.plan,
            request=wire_moves.MakePlan,
            response=Plan,
            patient=True,
            summary="Plan which tenants to move",
        ),
        _control(
            method="POST",
            path=_INDEX + "/rebalance",
            handle=moves.rebalance,
            request=wire_moves.Rebalance,
            response=wire_moves.Run,
            status=202,
            patient=True,
            action="plan.execute",
            about={"subject": "subject"},
            summary="Plan and carry it out",
        ),
        _see(method="GET", path=_RUN, handle=moves.get_run, response=wire_moves.Run, summary="Describe a run"),
        _see(
            method="GET",
            path=_RUN + "/events",
            handle=moves.watch_run,
            response=wire_moves.Run,
            streams=True,
            summary="Watch a run (server-sent events)",
        ),
    ]


def _keys() -> list[Endpoint]:
    return [
        _admin(
            method="GET",
            path="/v1/keys",
            handle=admin.list_keys,
            query=wire.ListKeys,
            response=wire.Keys,
            summary="List API keys",
        ),
        _admin(
            method="POST",
            path="/v1/keys/{id}/rotate",
            handle=admin.rotate_key,
            request=wire.RotateKey,
            response=wire.CreatedKey,
            status=201,
            action="key.rotate",
            summary="Put a new API key in place of one",
        ),
        _admin(
            method="POST",
            path="/v1/keys",
            handle=admin.create_key,
            request=wire.CreateKey,
            response=wire.CreatedKey,
            status=201,
            action="key.create",
            about={"index": "index", "tenant": "tenant"},
            summary="Create an API key",
        ),
        _admin(
            method="DELETE",
            path="/v1/keys/{id}",
            handle=admin.revoke_key,
            status=204,
            action="key.revoke",
            summary="Revoke an API key",
        ),
    ]
