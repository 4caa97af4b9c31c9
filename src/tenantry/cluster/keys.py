"""API keys: make, recognise, revoke."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from tenantry.errors import InvalidArgument, NotFound, Unauthenticated
from tenantry.model.keys import ApiKey, Scope
from tenantry.model.topology import DEFAULT_INDEX
from tenantry.ports import Catalog, Clock

PREFIX = "tnk"
PEPPER_SETTING = "keys.pepper"
CACHE_MOST = 10_000
CACHE_S = 1.0


class KeyAdmin:
    """Keys look like ``tnk_<id>_<secret>``. Only a keyed BLAKE2b hash of the secret is stored; the key of that
    hash (the pepper) is a random setting of the cluster. The secret has 256 bits, so a fast hash is enough.

    Args:
        token: gives that many random bytes as hexadecimal (``secrets.token_hex``).
    """

    def __init__(self, catalog: Catalog, clock: Clock, token: Callable[[int], str]) -> None:
        self._catalog = catalog
        self._clock = clock
        self._token = token
        self._pepper: bytes | None = None
        self._recent: dict[str, tuple[float, ApiKey]] = {}

    async def create(
        self,
        tenant: str | None = None,
        index: str = DEFAULT_INDEX,
        *,
        label: str = "",
        expires_in_s: float | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key and its secret form, which is shown this once. With ``tenant`` it reaches that tenant only
        (which need not exist yet); without, it is an admin key. Raises InvalidArgument, NotFound (index)."""
        if expires_in_s is not None and expires_in_s <= 0:
            raise InvalidArgument("expires_in_s", expires_in_s, "a number of seconds over 0")
        if tenant is not None:
            await self._catalog.indexes.get(index)
        now = self._clock.now()
        id, secret = self._token(6), self._token(32)
        key = ApiKey(
            id=id,
            digest=await self._digest(secret),
            scope=Scope.ADMIN if tenant is None else Scope.TENANT,
            index=None if tenant is None else index,
            tenant=tenant,
            label=label,
            created_at=now,
            expires_at=None if expires_in_s is None else now + expires_in_s,
        )
        await self._catalog.keys.add(key)
        return key, f"{PREFIX}_{id}_{secret}"

    async def list(self, index: str | None = None, tenant: str | None = None) -> list[ApiKey]:
        """Stored keys, newest first."""
        return await self._catalog.keys.list(index, tenant)

    async def revoke(self, id: str) -> None:
        """Make a key useless; at once in this process, within a second in others. Raises NotFound."""
        await self._catalog.keys.revoke(id, self._clock.now())
        self._recent.pop(id, None)

    async def revoke_all(self, index: str, tenant: str | None = None) -> None:
        """Make all keys of a tenant, or of all tenants of an index, useless: what is later made under the name is
        somebody else's."""
        for key in await self._catalog.keys.list(index, tenant):
            if key.revoked_at is None:
                await self.revoke(key.id)

    async def any_exist(self) -> bool:
        """Whether any usable key is stored."""
        now = self._clock.now()
        return any(_usable(key, now) for key in await self._catalog.keys.list())

    async def authenticate(self, presented: str) -> ApiKey:
        """The key behind what a client presented. Raises Unauthenticated, with the same words whatever is wrong."""
        parts = presented.split("_")
        if len(parts) != 3 or parts[0] != PREFIX:
            raise Unauthenticated("the API key is not valid")
        now = self._clock.now()
        key = await self._find(parts[1], now)
        digest = await self._digest(parts[2])
        stored = key.digest if key is not None else "0" * len(digest)
        if not hmac.compare_digest(digest, stored) or key is None or not _usable(key, now):
            raise Unauthenticated("the API key is not valid")
        return key

    async def _find(self, id: str, now: float) -> ApiKey | None:
        recent = self._recent.get(id)
        if recent is not None and 0 <= now - recent[0] < CACHE_S:
            return recent[1]
        try:
            key = await self._catalog.keys.get(id)
        except NotFound:
            return None
        if len(self._recent) >= CACHE_MOST:
            self._recent.clear()
        self._recent[id] = (now, key)
        return key

    async def _digest(self, secret: str) -> str:
        if self._pepper is None:
            stored = await self._catalog.settings.put_if_absent(PEPPER_SETTING, self._token(32))
            self._pepper = bytes.fromhex(stored)
        return hashlib.blake2b(secret.encode(), key=self._pepper, digest_size=32).hexdigest()


def _usable(key: ApiKey, now: float) -> bool:
    return key.revoked_at is None and (key.expires_at is None or now < key.expires_at)
