"""The OpenAPI 3.1 document, made from the table of routes and the structs that it names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from tenantry.gateway.native import wire
from tenantry.gateway.pinecone.errors import CONTROL, DATA, ErrorResponse, RpcStatus
from tenantry.gateway.table import Access, Endpoint, Face, Reach
from tenantry.version import __version__

REF = "#/components/schemas/{name}"
DESCRIPTION = (
    "Many tenants' vectors behind one address. Paths under `/v1` are Tenantry's own API; the others are Pinecone's, "
    "with the default index at the root and every index under `/i/{index}`. Names in paths are percent-encoded."
)

REACHES = {
    Reach.ALL: "",
    Reach.TENANT: "A key that is bound to a tenant or an index reaches only that.",
    Reach.NAMESPACE: "A key that is bound to a tenant reaches its own namespace only.",
    Reach.PART: "A key that is bound to a tenant is shown its own part only.",
    Reach.OWN: "A key that is bound to an index or a tenant is shown its own part only.",
}


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The whole document."""
    shown = [endpoint for endpoint in endpoints if endpoint.documented]
    bodies = [kind for one in shown for kind in (one.request, one.response) if kind is not None]
    queries = [one.query for one in shown if one.query is not None]
    errors = [wire.Error, RpcStatus, ErrorResponse]
    types = list(dict.fromkeys([*bodies, *queries, *errors]))
    refs, components = msgspec.json.schema_components(types, ref_template=REF)
    schemas = dict(zip(types, refs, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in shown:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas, components)
    for kind in queries:
        components.pop(schemas[kind]["$ref"].rsplit("/", 1)[1], None)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tenantry", "version": __version__, "description": DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "ApiKey": {"type": "apiKey", "in": "header", "name": "Api-Key"},
                "Bearer": {"type": "http", "scheme": "bearer"},
            },
        },
        "security": [{"ApiKey": []}, {"Bearer": []}],
    }


def _operation(endpoint: Endpoint, schemas: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": re.sub(r"[^A-Za-z0-9]+", "_", f"{endpoint.method.lower()}{endpoint.path}").strip("_"),
        "summary": endpoint.summary,
        "description": _who(endpoint),
        "tags": [endpoint.face.name],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"{(\w+)}", endpoint.path)
        ],
        "responses": _responses(endpoint, schemas),
    }
    if endpoint.query is not None:
        fields = components[schemas[endpoint.query]["$ref"].rsplit("/", 1)[1]]
        required = fields.get("required", [])
        operation["parameters"] += [
            {"name": name, "in": "query", "required": name in required, "schema": schema}
            for name, schema in fields["properties"].items()
        ]
    if endpoint.request is not None:
        content = {"application/json": {"schema": schemas[endpoint.request]}}
        operation["requestBody"] = {"required": True, "content": content}
    if endpoint.access is Access.PUBLIC:
        operation["security"] = []
    return operation


def _responses(endpoint: Endpoint, schemas: dict[Any, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done"}
    if endpoint.response is not None:
        media_type = "text/event-stream" if endpoint.streams else "application/json"
        good["content"] = {media_type: {"schema": schemas[endpoint.response]}}
    bad = {
        "description": "An error",
        "content": {"application/json": {"schema": schemas[_error_of(endpoint.face)]}},
    }
    return {str(endpoint.status): good, "4XX": bad, "5XX": bad}


def _error_of(face: Face) -> Any:
    if face is DATA:
        return RpcStatus
    return ErrorResponse if face is CONTROL else wire.Error


def _who(endpoint: Endpoint) -> str:
    access = endpoint.access
    if access.right is None:
        return "Needs no key."
    return f"Needs a key of scope {', '.join(access.scopes())}. {REACHES[access.reach]}".strip()
