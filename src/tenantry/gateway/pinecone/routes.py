"""All of Pinecone's operations, served and refused."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from tenantry.errors import Unsupported
from tenantry.gateway.pinecone import control, data, namespaces, wire
from tenantry.gateway.pinecone import control_wire as cw
from tenantry.gateway.pinecone.errors import CONTROL, DATA
from tenantry.gateway.table import Access, Call, Endpoint

#: Under each of these the data plane is served: the root serves the default index.
PREFIXES = ("", "/i/{index}")

_POST, _GET, _DELETE, _PATCH = "POST", "GET", "DELETE", "PATCH"
_read: Any = partial(Endpoint, face=DATA, access=Access.NAMESPACE_READ)
_write: Any = partial(Endpoint, face=DATA, access=Access.NAMESPACE_WRITE)
_count: Any = partial(Endpoint, face=DATA, access=Access.PART_COUNT)


def routes() -> list[Endpoint]:
    """The table; the hottest first, as paths are tried in order."""
    hot = [endpoint for prefix in PREFIXES for endpoint in _hot(prefix)]
    rest = [endpoint for prefix in PREFIXES for endpoint in _rest(prefix)]
    return [*hot, *rest, *_absent(), *_control()]


def _hot(prefix: str) -> Iterator[Endpoint]:
    yield _read(
        method=_POST,
        path=f"{prefix}/query",
        handle=data.query,
        request=wire.QueryRequest,
        response=wire.QueryResponse,
        summary="Query a namespace by vector or by id",
    )
    yield _write(
        method=_POST,
        path=f"{prefix}/vectors/upsert",
        handle=data.upsert,
        request=wire.UpsertRequest,
        response=wire.UpsertResponse,
        body_limit="batch_bytes",
        summary="Write records",
    )
    yield _read(
        method=_GET,
        path=f"{prefix}/vectors/fetch",
        handle=data.fetch,
        query=wire.FetchQuery,
        response=wire.FetchResponse,
        summary="Fetch records by id",
    )


def _rest(prefix: str) -> Iterator[Endpoint]:
    for of, path, handle, request, response, patient, summary in (
        (
            _write,
            "/vectors/update",
            data.update,
            wire.UpdateRequest,
            wire.UpdateResponse,
            True,
            "Update by id or by filter",
        ),
        (_write, "/vectors/delete", data.delete, wire.DeleteRequest, wire.Empty, False, "Delete by ids, filter or all"),
        (
            _read,
            "/vectors/fetch_by_metadata",
            data.fetch_by_metadata,
            wire.FetchByMetadataRequest,
            wire.FetchByMetadataResponse,
            False,
            "Fetch records that match a filter",
        ),
        (
            _count,
            "/describe_index_stats",
            namespaces.stats,
            wire.StatsRequest,
            wire.StatsResponse,
            True,
            "Count records per namespace",
        ),
    ):
        yield of(
            method=_POST,
            path=prefix + path,
            handle=handle,
            request=request,
            response=response,
            patient=patient,
            summary=summary,
        )
    yield _count(
        method=_GET,
        path=f"{prefix}/describe_index_stats",
        handle=namespaces.stats,
        response=wire.StatsResponse,
        patient=True,
        summary="Count records per namespace",
    )
    yield _read(
        method=_GET,
        path=f"{prefix}/vectors/list",
        handle=data.list_ids,
        query=wire.ListQuery,
        response=wire.ListResponse,
        summary="List record ids",
    )
    yield from _namespaces(prefix)


def _namespaces(prefix: str) -> Iterator[Endpoint]:
    yield _count(
        method=_GET,
        path=f"{prefix}/namespaces",
        handle=namespaces.list_namespaces,
        query=wire.ListNamespacesQuery,
        response=wire.ListNamespacesResponse,
        patient=True,
        summary="List namespaces",
    )
    yield Endpoint(
        face=DATA,
        access=Access.CONTROL,
        method=_POST,
        path=f"{prefix}/namespaces",
        handle=namespaces.create_namespace,
        request=wire.CreateNamespaceRequest,
        response=wire.NamespaceDescription,
        action="tenant.create",
        about={"tenant": "name"},
        summary="Create a namespace",
    )
    yield Endpoint(
        face=DATA,
        access=Access.NAMESPACE_COUNT,
        method=_GET,
        path=f"{prefix}/namespaces/{{namespace}}",
        handle=namespaces.describe_namespace,
        response=wire.NamespaceDescription,
        summary="Describe a namespace",
    )
    yield Endpoint(
        face=DATA,
        access=Access.ADMIN,
        method=_DELETE,
        path=f"{prefix}/namespaces/{{namespace}}",
        handle=namespaces.delete_namespace,
        response=wire.Empty,
        patient=True,
        action="tenant.delete",
        summary="Delete a namespace with its records",
    )


def _control() -> Iterator[Endpoint]:
    yield Endpoint(
        face=CONTROL,
        access=Access.OWN_COUNT,
        method=_GET,
        path="/indexes",
        handle=control.list_indexes,
        response=cw.IndexList,
        summary="List indexes",
    )
    yield Endpoint(
        face=CONTROL,
        access=Access.CONTROL,
        method=_POST,
        path="/indexes",
        handle=control.create_index,
        request=cw.CreateIndexRequest,
        response=cw.IndexModel,
        status=201,
        action="index.create",
        about={"index": "name"},
        summary="Create an index",
    )
    yield Endpoint(
        face=CONTROL,
        access=Access.PART_COUNT,
        method=_GET,
        path="/indexes/{index}",
        handle=control.describe_index,
        response=cw.IndexModel,
        summary="Describe an index",
    )
    yield Endpoint(
        face=CONTROL,
        access=Access.CONTROL,
        method=_PATCH,
        path="/indexes/{index}",
        handle=control.configure_index,
        request=cw.ConfigureIndexRequest,
        response=cw.IndexModel,
        status=202,
        action="index.change",
        summary="Configure an index",
    )
    yield Endpoint(
        face=CONTROL,
        access=Access.ADMIN,
        method=_DELETE,
        path="/indexes/{index}",
        handle=control.delete_index,
        status=202,
        patient=True,
        action="index.delete",
        summary="Delete an index",
    )


#: What Pinecone has and Tenantry has not; refused with the reason instead of a bare 404.
ABSENT_CONTROL = {
    "/indexes/create-for-model": ("integrated embedding", (_POST,)),
    "/indexes/{index}/backups": ("backups", (_GET, _POST)),
    "/collections": ("collections", (_GET, _POST)),
    "/collections/{name}": ("collections", (_GET, _DELETE)),
    "/backups": ("backups", (_GET,)),
    "/backups/{id}": ("backups", (_GET, _DELETE)),
    "/backups/{id}/create-index": ("backups", (_POST,)),
    "/restore-jobs": ("backups", (_GET,)),
    "/restore-jobs/{id}": ("backups", (_GET,)),
}
ABSENT_DATA = {
    "/records/namespaces/{namespace}/upsert": ("the records API (integrated embedding)", (_POST,)),
    "/records/namespaces/{namespace}/search": ("the records API (integrated embedding)", (_POST,)),
    "/bulk/imports": ("bulk import", (_GET, _POST)),
    "/bulk/imports/{id}": ("bulk import", (_GET, _DELETE)),
}


def _absent() -> Iterator[Endpoint]:
    for path, (what, methods) in ABSENT_CONTROL.items():
        for method in methods:
            yield Endpoint(
                face=CONTROL,
                access=Access.ADMIN,
                method=method,
                path=path,
                handle=_refuse(what),
                summary=f"Refused: {what}",
                documented=False,
            )
    for path, (what, methods) in ABSENT_DATA.items():
        for prefix in PREFIXES:
            for method in methods:
                yield Endpoint(
                    face=DATA,
                    access=Access.ADMIN,
                    method=method,
                    path=prefix + path,
                    handle=_refuse(what),
                    summary=f"Refused: {what}",
                    documented=False,
                )


def _refuse(what: str) -> Any:
    async def refuse(call: Call, _: None) -> None:
        raise Unsupported(f"{what}: not supported by Tenantry")

    return refuse
