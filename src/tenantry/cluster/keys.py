"""API keys: make, recognise, rotate, revoke."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NoReturn

from tenantry.cluster.recording import note, recorded
from tenantry.cluster.secrets import Pepper
from tenantry.errors import InvalidArgument, NotFound, Unauthenticated
from tenantry.model.events import Event, KeyChanged
from tenantry.model.keys import OF_A_TENANT, ApiKey, Scope
from tenantry.model.limits import Limits, check_tenant_name
from tenantry.model.topology import DEFAULT_INDEX
from tenantry.ports import Catalog, Clock

log = logging.getLogger(__name__)

PREFIX = "tnk"
PEPPER_SETTING = "keys.pepper"
CACHE_MOST = 10_000
#: How long a key is taken to be as it was read; a revocation elsewhere is seen after that at the latest, seconds.
CACHE_S = 1.0
LABEL_CHARS = 200
#: Longer ids are none of ours, and no catalog is asked for them.
ID_CHARS = 64


class KeyAdmin:
    """Keys look like ``tnk_<id>_<secret>``. The id is public; of the secret (256 bits) only a keyed hash is stored, see
    `tenantry.cluster.secrets`.

    Args:
        token: gives that many random bytes as hexadecimal (``secrets.token_hex``).
        pepper: a key of the hash that is not in the catalog; None: the stored one is used.
    """

    def __init__(
        self,
        catalog: Catalog,
        clock: Clock,
        token: Callable[[int], str],
        pepper: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._catalog = catalog
        self._clock = clock
        self._token = token
        self._given_pepper = pepper
        self._pepper: Pepper | None = None
        self._recent: dict[str, tuple[float, ApiKey]] = {}
        self._finding: dict[str, asyncio.Task[ApiKey | None]] = {}
        self._forgotten = 0
        #: Tells the other processes, if there are any.
        self.tell: Callable[[Event], None] = lambda event: None

    @recorded("key.create", index="index", tenant="tenant")
    async def create(
        self,
        tenant: str | None = None,
        index: str | None = None,
        *,
        scope: str | None = None,
        label: str = "",
        expires_in_s: float | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key and its secret form, which is shown this once.

        Args:
            tenant: whom it is bound to (it need not exist yet); for the scopes ``tenant`` and ``tenant-read``.
            index: the logical index of the tenant, ``default`` unless given; or the one that a ``reader`` is held to.
            scope: a `Scope`; without one, ``tenant`` with a tenant and ``admin`` else.
            expires_in_s: seconds until it ends; None: never.

        Raises InvalidArgument, NotFound (index).
        """
        kind, index = _scope(scope, tenant, index)
        if tenant is not None:
            check_tenant_name(tenant, self._limits)
        if index is not None:
            note(index=index)
            await self._catalog.indexes.get(index)
        if len(label) > LABEL_CHARS:
            raise InvalidArgument("label", label, f"at most {LABEL_CHARS} characters")
        now = self._clock.now()
        return await self._make(
            ApiKey("", "", kind, index, tenant, label, now, _end(now, expires_in_s, "expires_in_s"))
        )

    @recorded("key.rotate", subject="id")
    async def rotate(self, id: str, *, overlap_s: float = 0.0, expires_in_s: float | None = None) -> tuple[ApiKey, str]:
        """A new key in place of one, for the same and with its label; its secret is shown this once. The old one works
        for ``overlap_s`` seconds more, but not beyond its own end. Both happen or neither.

        Args:
            expires_in_s: seconds until the new one ends; None: after as long as the old one was given, or never.

        Raises InvalidArgument; NotFound; Refused for a key that is revoked, has ended, or was replaced before.
        """
        if not 0 <= overlap_s < float("inf"):
            raise InvalidArgument("overlap_s", overlap_s, "a number of seconds, 0 or more")
        old = await self._catalog.keys.get(id)
        now = self._clock.now()
        if expires_in_s is None and old.expires_at is not None:
            expires_in_s = old.expires_at - old.created_at
        ends = _end(now, expires_in_s, "expires_in_s")
        made = await self._make(
            ApiKey("", "", old.scope, old.index, old.tenant, old.label, now, ends),
            replaces=old.id,
            until=now + overlap_s,
        )
        self._changed(id)
        return made

    async def list(self, index: str | None = None, tenant: str | None = None) -> list[ApiKey]:
        """Stored keys, newest first."""
        return await self._catalog.keys.list(index, tenant)

    @recorded("key.revoke", subject="id")
    async def revoke(self, id: str) -> None:
        """Make a key useless; at once in this process, within a second in others. Raises NotFound."""
        await self._catalog.keys.revoke(id, self._clock.now())
        self._changed(id)

    async def revoke_all(self, index: str, tenant: str | None = None) -> None:
        """Make all keys of a tenant, or of all tenants of an index, useless: what is later made under the name is
        somebody else's."""
        for key in await self._catalog.keys.list(index, tenant):
            if key.revoked_at is None:
                await self.revoke(key.id)

    async def any_exist(self) -> bool:
        """Whether any usable key is stored."""
        now = self._clock.now()
        return any(key.usable(now) for key in await self._catalog.keys.list())

    async def authenticate(self, presented: str) -> ApiKey:
        """The key behind what a client presented. Raises Unauthenticated, with the same words whatever is wrong;
        Unavailable when the catalog cannot be asked: nobody gets in unchecked."""
        parts = presented.split("_")
        if len(parts) != 3 or parts[0] != PREFIX or len(parts[1]) > ID_CHARS:
            _refuse()
        _, id, secret = parts
        recent = self._recent.get(id)
        now = self._clock.now()
        if recent is not None and 0 <= now - recent[0] < CACHE_S:
            key: ApiKey | None = recent[1]
        else:
            key = await self._find(id)
        pepper = self._pepper or await self._load_pepper()
        fits = pepper.fits(secret, None if key is None else key.digest)
        if key is None or not fits or not key.usable(now):
            if key is not None and pepper.foreign(key.digest):
                log.warning("key %s was made with another TENANTRY_KEY_PEPPER than this process has", id)
            _refuse()
        return key

    def hear(self, event: Event) -> None:
        """Take note of what another process tells."""
        if isinstance(event, KeyChanged):
            self._forget(event.id)

    def missed(self) -> None:
        """Events may have been missed: read every key anew."""
        self._forgotten += 1
        self._recent.clear()

    def _changed(self, id: str) -> None:
        self._forget(id)
        self.tell(KeyChanged(id))

    def _forget(self, id: str) -> None:
        self._forgotten += 1
        self._recent.pop(id, None)
        self._finding.pop(id, None)

    async def _find(self, id: str) -> ApiKey | None:
        """From the catalog; of several requests that ask for one key at once, one asks."""
        asking = self._finding.get(id)
        if asking is None:
            asking = self._finding[id] = asyncio.create_task(self._look_up(id))
            asking.add_done_callback(lambda done: self._found(id, done))
        return await asyncio.shield(asking)

    def _found(self, id: str, done: asyncio.Task[ApiKey | None]) -> None:
        if self._finding.get(id) is done:
            del self._finding[id]
        if not done.cancelled():
            done.exception()  # whoever asked may be gone

    async def _look_up(self, id: str) -> ApiKey | None:
        began, seen = self._clock.now(), self._forgotten
        try:
            key = await self._catalog.keys.get(id)
        except (NotFound, InvalidArgument):  # text that no catalog holds is the id of no key
            return None
        if seen == self._forgotten:  # else it may have been read before it changed
            if len(self._recent) >= CACHE_MOST:
                self._recent.clear()
            self._recent[id] = (began, key)
        return key

    async def _make(self, wanted: ApiKey, *, replaces: str | None = None, until: float = 0.0) -> tuple[ApiKey, str]:
        pepper = self._pepper or await self._load_pepper()
        id, secret = self._token(6), self._token(32)
        key = ApiKey(
            id,
            pepper.digest(secret),
            wanted.scope,
            wanted.index,
            wanted.tenant,
            wanted.label,
            wanted.created_at,
            wanted.expires_at,
        )
        if replaces is None:
            await self._catalog.keys.add(key)
        else:
            await self._catalog.keys.replace(replaces, key, until)
        note(**{"subject" if replaces is None else "new_key": id}, key_scope=str(key.scope))
        return key, f"{PREFIX}_{id}_{secret}"

    async def _load_pepper(self) -> Pepper:
        stored = await self._catalog.settings.put_if_absent(PEPPER_SETTING, self._token(32))
        self._pepper = Pepper(stored, self._given_pepper)
        return self._pepper


def shown_prefix(key: ApiKey) -> str:
    """How the key begins, by which people recognise it; it opens nothing."""
    return f"{PREFIX}_{key.id}"


def _refuse() -> NoReturn:
    raise Unauthenticated("the API key is not valid")


def _end(now: float, lasts_s: float | None, field: str) -> float | None:
    if lasts_s is None:
        return None
    if not 0 < lasts_s < float("inf"):
        raise InvalidArgument(field, lasts_s, "a number of seconds over 0")
    return now + lasts_s


def _scope(given: str | None, tenant: str | None, index: str | None) -> tuple[Scope, str | None]:
    """The scope, and the index that the key is bound to. Raises InvalidArgument for what does not go together."""
    if given is None:
        given = Scope.ADMIN if tenant is None else Scope.TENANT
    if given not in list(Scope):
        raise InvalidArgument("scope", given, "one of " + ", ".join(Scope))
    scope = Scope(given)
    if scope in OF_A_TENANT:
        if tenant is None:
            raise InvalidArgument("tenant", None, f"the tenant that a key of scope {scope} is bound to")
        return scope, DEFAULT_INDEX if index is None else index
    if tenant is not None:
        raise InvalidArgument("tenant", tenant, f"none: a key of scope {scope} is not bound to a tenant")
    if scope is Scope.READER:
        return scope, index
    if index is not None:
        raise InvalidArgument("index", index, f"none: a key of scope {scope} is not bound to an index")
    return scope, None
