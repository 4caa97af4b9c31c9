"""Events by Redis (or Valkey) pub/sub."""

from __future__ import annotations

from collections.abc import Callable

import redis.asyncio
from redis.exceptions import RedisError

from tenantry.errors import InvalidArgument, Unavailable
from tenantry.model.events import Event, decode_event, encode_event

CALL_S = 2.0
#: A connection that says nothing for so long is asked whether it is still there, seconds.
QUIET_S = 10.0


class RedisFeed:
    """Implements `EventFeed`.

    Args:
        url: ``redis://[user:password@]host:port/database``, or ``rediss://`` for TLS.
        prefix: begins the channel's name; catalogs that share a server differ in it.
    """

    def __init__(self, url: str, prefix: str) -> None:
        self._channel = f"{prefix}:events"
        try:
            self._client = redis.asyncio.Redis.from_url(
                url, socket_timeout=CALL_S, socket_connect_timeout=CALL_S, health_check_interval=0, retry=None
            )
        except ValueError:
            allowed = "redis://host:port/database or rediss://..."
            raise InvalidArgument("redis_url", url.split(":", 1)[0] + ":...", allowed) from None

    async def publish(self, event: Event) -> None:
        """Tell whoever listens. Raises Unavailable."""
        try:
            await self._client.publish(self._channel, encode_event(event))
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable(f"Redis cannot pass events on: {error}") from error

    async def follow(self, heard: Callable[[Event], None], missed: Callable[[], None]) -> None:
        """Listen until the connection breaks. Raises Unavailable."""
        try:
            async with self._client.pubsub() as listening:
                await listening.subscribe(self._channel)
                missed()
                waiting_for_pong = False
                while True:
                    told = await listening.get_message(timeout=QUIET_S)
                    if told is None:
                        if waiting_for_pong:
                            raise Unavailable("Redis does not answer")
                        await listening.ping()
                        waiting_for_pong = True
                        continue
                    waiting_for_pong = False
                    event = decode_event(told["data"]) if told["type"] == "message" else None
                    if event is not None:
                        heard(event)
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable(f"Redis cannot be listened to: {error}") from error

    async def aclose(self) -> None:
        """Close connections; safe to call twice."""
        await self._client.aclose()
