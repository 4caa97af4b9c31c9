"""Who is calling: keys from headers to principals, and what a principal may touch."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

from tenantry.cluster.keys import PREFIX, KeyAdmin
from tenantry.errors import PermissionDenied, Unauthenticated
from tenantry.model.keys import Scope

HINT = "send a key as `Api-Key: KEY` or `Authorization: Bearer KEY`"


class Principal(msgspec.Struct, frozen=True):
    """Whoever holds the key: an admin, or one tenant of one index. ``key`` is its public part, empty for none."""

    admin: bool
    index: str | None = None
    tenant: str | None = None
    key: str = ""


ADMIN = Principal(admin=True)
NOBODY = Principal(admin=False)


class Authenticator:
    """Turns headers into a `Principal`.

    Args:
        admin_key: compared in constant time; None: there is none.
        open_access: no key was configured when the gateway started (so it listens on loopback only): whoever
            comes is admin, unless they present a tenant key, which then is held to its scope as ever.
    """

    def __init__(self, keys: KeyAdmin, admin_key: str | None, open_access: bool) -> None:
        self._keys = keys
        self._admin_key = admin_key.encode() if admin_key else None
        self.open_access = open_access

    async def principal(self, headers: Mapping[bytes, bytes]) -> Principal:
        """Raises Unauthenticated; PermissionDenied for a web page's request to an open gateway."""
        presented = _presented(headers)
        if self.open_access:
            self._check_local(headers)
            if not presented.startswith(PREFIX.encode() + b"_"):
                return ADMIN
        if not presented:
            raise Unauthenticated(f"no API key; {HINT}")
        if self._admin_key is not None and hmac.compare_digest(presented, self._admin_key):
            return ADMIN
        key = await self._keys.authenticate(presented.decode("latin-1"))
        if key.scope is Scope.ADMIN:
            return Principal(admin=True, key=key.id)
        return Principal(admin=False, index=key.index, tenant=key.tenant, key=key.id)

    def _check_local(self, headers: Mapping[bytes, bytes]) -> None:
        """An open gateway must not be a web page's way in: no foreign origin, no rebound host name."""
        host = headers.get(b"host", b"").decode("latin-1")
        origin = headers.get(b"origin", b"").decode("latin-1")
        try:
            name, origin_host = urlsplit("//" + host).hostname or "", urlsplit(origin).netloc
        except ValueError:
            raise PermissionDenied("the Host or Origin header is not valid") from None
        if host and not is_loopback(name):
            raise PermissionDenied("without an API key configured, only loopback host names are answered")
        if origin and origin_host != host:
            raise PermissionDenied("without an API key configured, requests of other web pages are refused")


def _presented(headers: Mapping[bytes, bytes]) -> bytes:
    """The key that came along, empty for none; ``Api-Key`` goes before ``Authorization``."""
    if b"api-key" in headers:
        return headers[b"api-key"].strip()
    scheme, _, credentials = headers.get(b"authorization", b"").partition(b" ")
    return credentials.strip() if scheme.lower() == b"bearer" else b""


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
