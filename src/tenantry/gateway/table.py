"""The table of routes: one entry per operation drives matching, decoding, access, metrics and the OpenAPI document."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any
from urllib.parse import quote

import msgspec

from tenantry.cluster import Cluster
from tenantry.errors import PermissionDenied, TenantryError
from tenantry.gateway.auth import Principal
from tenantry.model.keys import RIGHTS, Right, Scope
from tenantry.model.topology import DEFAULT_INDEX, DEFAULT_TENANT


class Reach(StrEnum):
    """How an operation says whose things it is about, so that keys that are bound to some are held to them."""

    ALL = "all"
    """A whole index, or the cluster: no key that is bound to a tenant."""
    TENANT = "tenant"
    """The path names index and tenant."""
    NAMESPACE = "namespace"
    """The path names the index; `Call.tenant` holds a key to its own namespace."""
    PART = "part"
    """The path names the index; the handler shows no more than the part that the key is bound to."""
    OWN = "own"
    """Nothing is named; the handler shows no more than what the key is bound to."""


class Access(Enum):
    """What an operation needs: a right, and how far it reaches. The declaration of each `Endpoint`; `check_access`
    holds requests to it, and docs/reference/access.md is made from it."""

    PUBLIC = (None, Reach.OWN)
    READ = (Right.READ, Reach.TENANT)
    WRITE = (Right.WRITE, Reach.TENANT)
    COUNT = (Right.COUNT, Reach.TENANT)
    NAMESPACE_READ = (Right.READ, Reach.NAMESPACE)
    NAMESPACE_WRITE = (Right.WRITE, Reach.NAMESPACE)
    NAMESPACE_COUNT = (Right.COUNT, Reach.NAMESPACE)
    PART_COUNT = (Right.COUNT, Reach.PART)
    OWN_COUNT = (Right.COUNT, Reach.OWN)
    SEARCH = (Right.SEARCH, Reach.ALL)
    SEE = (Right.SEE, Reach.ALL)
    CONTROL = (Right.CONTROL, Reach.ALL)
    ADMIN = (Right.ADMIN, Reach.ALL)

    @property
    def right(self) -> Right | None:
        """What a key's scope must have; None: no key is needed."""
        right: Right | None = self.value[0]
        return right

    @property
    def reach(self) -> Reach:
        """Whose things it is about."""
        reach: Reach = self.value[1]
        return reach

    def scopes(self) -> list[Scope]:
        """Kinds of keys that may call, as far as they reach."""
        return [scope for scope in Scope if self.right in RIGHTS[scope]]


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
        if self.who.bound and name != self.who.tenant:
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
        admit: asked before the body is read and anything recorded: raises RateLimited when the caller has had enough.
        action: its name in the audit log, where what changes the cluster or searches across tenants is recorded.
        about: columns of the record to the fields of the request that they come from, beside those of the path.
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
    admit: Callable[[Cluster, Principal], Awaitable[None]] | None = None
    documented: bool = True
    action: str = ""
    about: Mapping[str, str] = field(default_factory=dict)
