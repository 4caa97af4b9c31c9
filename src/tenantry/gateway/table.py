"""The table of routes: one entry per operation drives matching, decoding, access, metrics and the OpenAPI document."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote

import msgspec

from tenantry.cluster import Cluster
from tenantry.errors import PermissionDenied, TenantryError
from tenantry.gateway.auth import Principal
from tenantry.model.topology import DEFAULT_INDEX, DEFAULT_TENANT


class Access(StrEnum):
    """Who may call. Admin keys may call everything; the words are about keys that are bound to one tenant."""

    PUBLIC = "public"
    """Anybody, without a key."""
    ADMIN = "admin"
    """No tenant key."""
    TENANT = "tenant"
    """A tenant key, when the path names its own index and tenant."""
    INDEX = "index"
    """A tenant key, when the path names its own index; `Call.tenant` holds it to its own namespace."""
    OWN = "own"
    """Any tenant key; the handler shows it nothing but its own."""


class Call:
    """One request, as a handler sees it.

    Attributes:
        who: whose key came with it.
        path: decoded path parameters.
        base_url: scheme and authority under which the client reached the gateway.
        version: Pinecone's ``X-Pinecone-Api-Version``, empty when none was sent.
        lsn: microseconds that never go back in this process, and over restarts only as the clock does.
        headers: extra response headers.
    """

    __slots__ = ("base_url", "cluster", "headers", "lsn", "path", "request_id", "version", "who")

    def __init__(
        self,
        cluster: Cluster,
        who: Principal,
        path: dict[str, str],
        request_id: str,
        version: str,
        base_url: str,
        lsn: Callable[[], int],
    ) -> None:
        self.cluster = cluster
        self.who = who
        self.path = path
        self.request_id = request_id
        self.version = version
        self.base_url = base_url
        self.lsn = lsn
        self.headers: list[tuple[bytes, bytes]] = []

    @property
    def index(self) -> str:
        """The logical index that the path names; the default one at the root."""
        return self.path.get("index", DEFAULT_INDEX)

    def tenant(self, namespace: str | None) -> str:
        """The tenant behind a Pinecone namespace. The one place where a tenant key is held to its own namespace.

        Raises PermissionDenied, whether or not the other namespace exists.
        """
        name = namespace or DEFAULT_TENANT
        if not self.who.admin and name != self.who.tenant:
            raise PermissionDenied("this API key reaches only the namespace that it is bound to")
        return name

    def host(self, index: str) -> str:
        """URL at which Pinecone clients find an index."""
        return f"{self.base_url}/i/{quote(index, safe='')}"


class Answer(msgspec.Struct, frozen=True):
    """A response that is not the JSON of a struct."""

    body: bytes
    media_type: bytes = b"application/json"
    status: int = 200


@dataclass(frozen=True)
class Stream:
    """A response that goes on: server-sent events, each as its bytes. The iterator is closed when the client goes
    away or the gateway stops."""

    events: AsyncIterator[bytes]


@dataclass(frozen=True, kw_only=True)
class Face:
    """How one API spells its errors.

    Attributes:
        name: label in metrics.
        render: error and whether it may show its text to status and JSON body.
        fields: the core's field names to those of this API, where they differ.
    """

    name: str
    render: Callable[[TenantryError, str], tuple[int, bytes]]
    fields: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One operation.

    Attributes:
        path: template; parameters in braces are one raw path segment each.
        handle: gets the call and the decoded input (body, else query parameters, else None).
        request, query, response: structs; None where there is no such thing.
        body_limit: name of the `Limits` field that bounds the body.
        patient: may take long (whole index, many documents), so a wider time limit applies.
        unlimited: answered even when the gateway is at its concurrency limit.
        abandonable: when the client goes away, so does the work: the handler is cancelled.
        streams: the answer is a `Stream`; ``response`` is what each event holds.
    """

    face: Face
    method: str
    path: str
    handle: Callable[[Call, Any], Awaitable[Any]]
    access: Access
    summary: str
    request: Any = None
    query: Any = None
    response: Any = None
    status: int = 200
    body_limit: str = "body_bytes"
    patient: bool = False
    unlimited: bool = False
    streams: bool = False
    abandonable: bool = False
    documented: bool = True
