"""Routes in Redis (or Valkey), for all processes of a fleet."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, cast

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from tenantry.errors import InvalidArgument, Unavailable
from tenantry.model.topology import DatedRoute, Route
from tenantry.ports import Damaged

#: Longest wait for an answer, seconds: the catalog is the way out, and not much slower.
CALL_S = 0.5
SCAN_COUNT = 1_000
MOMENT_BYTES = 8
SUM_BYTES = 8
#: Sets KEYS[1] to ARGV[1] for ARGV[2] seconds, unless what is there begins with a higher moment.
_PUT = """
local old = redis.call('GET', KEYS[1])
if old and #old > 8 and string.sub(old, 1, 8) > string.sub(ARGV[1], 1, 8) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
"""
_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.Decoder(Route).decode


class RedisRoutes:
    """Implements `SharedRoutes`. An entry is its moment (eight bytes, so that Redis can compare it), the route and a
    checksum over the key and both; one that fails its checks is as if it were not there.

    Args:
        url: ``redis://[user:password@]host:port/database``, or ``rediss://`` for TLS.
        prefix: begins all keys; catalogs that share a server, and a catalog before and after a restore, differ in it.
        kept_s: how long an entry is kept, seconds.
    """

    def __init__(self, url: str, prefix: str, kept_s: float) -> None:
        self.prefix = prefix
        self._kept_s = max(1, round(kept_s))
        try:
            self._client = redis.asyncio.Redis.from_url(
                url, socket_timeout=CALL_S, socket_connect_timeout=CALL_S, retry=None
            )
        except ValueError:
            allowed = "redis://host:port/database or rediss://..."
            raise InvalidArgument("redis_url", url.split(":", 1)[0] + ":...", allowed) from None
        self._put = self._client.register_script(_PUT)

    async def get(self, index: str, tenant: str) -> DatedRoute | None:
        """One GET."""
        key = self._key(index, tenant)
        found = _read(key, await self._call(self._client.get(key)))
        return found if isinstance(found, DatedRoute) else None

    async def put(self, index: str, tenant: str, entry: DatedRoute) -> None:
        """One script."""
        key = self._key(index, tenant)
        await self._call(self._put(keys=[key], args=[_written(key, entry), self._kept_s]))

    async def drop(self, index: str, tenants: Sequence[str]) -> None:
        """One DEL."""
        if tenants:
            await self._call(self._client.delete(*(self._key(index, tenant) for tenant in tenants)))

    async def check(self, index: str, tenants: Sequence[str]) -> list[DatedRoute | Damaged | None]:
        """One MGET."""
        keys = [self._key(index, tenant) for tenant in tenants]
        values = await self._call(self._client.mget(keys)) if keys else []
        return [_read(key, value) for key, value in zip(keys, values, strict=True)]

    async def tenants(self, index: str) -> AsyncIterator[list[str]]:
        """By SCAN."""
        begin = self._key(index, "")
        cursor = 0
        while True:
            cursor, keys = await self._call(self._client.scan(cursor, match=begin.decode() + "*", count=SCAN_COUNT))
            yield [key[len(begin) :].decode(errors="replace") for key in keys]
            if cursor == 0:
                return

    async def aclose(self) -> None:
        """Close connections."""
        await self._client.aclose()

    def _key(self, index: str, tenant: str) -> bytes:
        return f"{self.prefix}:route:{index}:{tenant}".encode()

    async def _call(self, work: Any) -> Any:
        try:
            return await cast(Awaitable[Any], work)
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable(f"Redis cannot be asked for routes: {error}") from error


def _written(key: bytes, entry: DatedRoute) -> bytes:
    body = entry.moment.to_bytes(MOMENT_BYTES, "big") + _encode(entry.route)
    return body + _sum(key + body)


def _read(key: bytes, value: bytes | None) -> DatedRoute | Damaged | None:
    if value is None:
        return None
    body, check = value[:-SUM_BYTES], value[-SUM_BYTES:]
    if len(body) <= MOMENT_BYTES or check != _sum(key + body):
        return Damaged.DAMAGED
    try:
        return DatedRoute(int.from_bytes(body[:MOMENT_BYTES], "big"), _decode(body[MOMENT_BYTES:]))
    except msgspec.DecodeError:
        return Damaged.DAMAGED


def _sum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=SUM_BYTES).digest()
