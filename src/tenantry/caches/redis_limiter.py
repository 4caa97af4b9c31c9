"""Limits that all processes of a fleet keep together, in Redis (or Valkey)."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, cast

import redis.asyncio
from redis.exceptions import RedisError

from tenantry.errors import InvalidArgument, Unavailable
from tenantry.model.rates import GRAINS, Rate

#: Longest wait for an answer, seconds: a limit of this process's own is the way out.
CALL_S = 0.5

#: `tenantry.model.rates.Window` as a script, which Redis runs whole, with nothing between
#: (https://redis.io/docs/latest/develop/programmability/eval-intro/); by Redis' own clock, so that those of gateways do
#: not matter. KEYS[1]: the log. ARGV: most units, microseconds of a grain, units asked for. Answers the microseconds to
#: wait, 0 when it was let through. Entries of the future are those of a clock that was set back: they count from now.
_TAKE = f"""
local most, grain_us, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = math.ceil(now_us / grain_us)
local log, kept, used, ahead = {{}}, {{}}, 0, false
local stored = redis.call('GET', KEYS[1])
if stored then
  local sound, found = pcall(cmsgpack.unpack, stored)
  if sound and type(found) == 'table' then log = found end
end
local function keep()
  redis.call('SET', KEYS[1], cmsgpack.pack(kept), 'PX', math.ceil(grain_us * {GRAINS + 2} / 1000))
end
for i = 1, #log, 2 do
  ahead = ahead or log[i] > now
  local at, units = math.min(log[i], now), log[i + 1]
  if at + {GRAINS} >= now then
    if #kept > 0 and kept[#kept - 1] == at then
      kept[#kept] = kept[#kept] + units
    else
      kept[#kept + 1] = at
      kept[#kept + 1] = units
    end
    used = used + units
  end
end
if used + cost <= most then
  if #kept > 0 and kept[#kept - 1] == now then
    kept[#kept] = kept[#kept] + cost
  else
    kept[#kept + 1] = now
    kept[#kept + 1] = cost
  end
  keep()
  return 0
end
if ahead then keep() end
local freed = used + cost - most
for i = 1, #kept, 2 do
  freed = freed - kept[i + 1]
  if freed <= 0 then return math.max(grain_us, (kept[i] + {GRAINS + 1}) * grain_us - now_us) end
end
return grain_us * {GRAINS}
"""


class RedisLimiter:
    """Implements `Limiter`. One script a call; a key is gone when its window has passed.

    Args:
        url: ``redis://[user:password@]host:port/database``, or ``rediss://`` for TLS.
        prefix: begins all keys; clusters that share a server differ in it.
    """

    remote = True

    def __init__(self, url: str, prefix: str) -> None:
        self._prefix = prefix
        try:
            self._client = redis.asyncio.Redis.from_url(
                url, socket_timeout=CALL_S, socket_connect_timeout=CALL_S, retry=None
            )
        except ValueError:
            allowed = "redis://host:port/database or rediss://..."
            raise InvalidArgument("redis_url", url.split(":", 1)[0] + ":...", allowed) from None
        self._take = self._client.register_script(_TAKE)

    async def take(self, key: str, rate: Rate, cost: int = 1) -> float:
        """Raises InvalidArgument, Unavailable."""
        rate.check(cost)
        grain_us = max(1, round(rate.window_s * 1e6 / GRAINS))
        name = f"{self._prefix}:limit:{rate.most}/{rate.window_s:g}:{key}".encode("utf-8", "surrogatepass")
        try:
            work: Any = self._take(keys=[name], args=[rate.most, grain_us, cost])
            wait_us = await cast(Awaitable[Any], work)
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable(f"Redis cannot be asked for limits: {error}") from error
        return int(wait_us) / 1e6

    async def aclose(self) -> None:
        """Close connections."""
        await self._client.aclose()
