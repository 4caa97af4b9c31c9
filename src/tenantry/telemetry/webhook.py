"""Tells of changes by a POST to a URL."""

from __future__ import annotations

import asyncio

import httpx

from tenantry.errors import InvalidArgument, Unavailable
from tenantry.ports import Clock

#: Longest time of one try, seconds; tries; pause before the second, which doubles.
CALL_S = 5.0
TRIES = 3
PAUSE_S = 1.0


class Webhook:
    """Implements `Notifier`. At most `TRIES` tries, so at most some 20 seconds; redirects are not followed.

    Args:
        url: ``http`` or ``https``; a token in it is never logged.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            parsed = httpx.URL("")
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise InvalidArgument("health_webhook_url", url.split(":", 1)[0] + ":...", "an http or https URL")
        self._url = parsed
        self._clock = clock
        self._http = httpx.AsyncClient(timeout=CALL_S)

    async def notify(self, body: bytes) -> None:
        """POST it as JSON; any 2xx is success. Raises Unavailable."""
        said = ""
        for turn in range(TRIES):
            if turn:
                await self._clock.sleep(PAUSE_S * 2 ** (turn - 1))
            try:
                async with asyncio.timeout(CALL_S):
                    answer = await self._http.post(
                        self._url, content=body, headers={"content-type": "application/json"}
                    )
            except (httpx.HTTPError, TimeoutError) as error:
                said = type(error).__name__
                continue
            if answer.is_success:
                return
            said = f"status {answer.status_code}"
        raise Unavailable(f"the webhook at {self._url.host} did not take it, {TRIES} tries: {said}")

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()
