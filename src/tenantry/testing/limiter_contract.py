"""What every `Limiter` must do, as a test class to subclass.

::

    class TestMyLimiter(LimiterContract):
        @pytest.fixture
        async def limiter(self):
            yield MyLimiter(...)

        async def pass_time(self, seconds): ...

The fixture gives one that has let nothing through. Needs pytest and pytest-asyncio in auto mode.
"""

# ruff: noqa: D102, S101  (a test says in its name what holds, and asserts it)

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from tenantry.errors import InvalidArgument
from tenantry.model.rates import Rate
from tenantry.ports import Limiter

#: Long enough that nothing is free again while a test runs.
LONG = Rate(10, 3_600.0)
SHORT = Rate(4, 0.5)


class LimiterContract:
    """All of it. Subclass it with a fixture ``limiter``."""

    async def pass_time(self, seconds: float) -> None:
        """Let that much time pass for the limiter."""
        await asyncio.sleep(seconds)

    async def test_as_many_as_the_rate_pass_and_no_more(self, limiter: Limiter) -> None:
        waits = [await limiter.take("a", LONG) for _ in range(25)]
        assert waits[:10] == [0.0] * 10
        assert all(0 < wait <= 1.03 * LONG.window_s for wait in waits[10:])

    async def test_of_many_at_once_as_many_as_the_rate_pass(self, limiter: Limiter) -> None:
        waits = await asyncio.gather(*(limiter.take("a", LONG) for _ in range(60)))
        assert waits.count(0.0) == LONG.most

    async def test_keys_and_rates_are_counted_apart(self, limiter: Limiter) -> None:
        other = Rate(3, 3_600.0)
        for key in ("a", "b", "a:b", "été 🙂", "x" * 600, ""):
            assert [await limiter.take(key, other) == 0.0 for _ in range(4)] == [True, True, True, False]
        assert await limiter.take("a", LONG) == 0.0

    async def test_a_cost_counts_whole_or_not_at_all(self, limiter: Limiter) -> None:
        assert await limiter.take("a", LONG, 7) == 0.0
        assert await limiter.take("a", LONG, 4) > 0
        assert await limiter.take("a", LONG, 3) == 0.0
        assert await limiter.take("a", LONG) > 0

    @pytest.mark.parametrize("cost", [0, -1, 11])
    async def test_a_cost_that_never_passes_is_refused(self, limiter: Limiter, cost: int) -> None:
        with pytest.raises(InvalidArgument, match="cost"):
            await limiter.take("a", LONG, cost)
        assert await limiter.take("a", LONG, 10) == 0.0

    async def undisturbed(self, course: Callable[[str], Awaitable[None]]) -> None:
        """Go through a course with a key of its own; anew, if it failed and the clock says that it took too long."""
        for number in range(20):
            begun = time.monotonic()
            try:
                await course(str(number))
            except AssertionError:
                if time.monotonic() - begun < SHORT.window_s or number == 19:
                    raise
            else:
                return

    async def test_after_the_time_that_it_said_the_next_passes(self, limiter: Limiter) -> None:
        async def course(key: str) -> None:
            assert await limiter.take(key, SHORT, 1) == 0.0
            await self.pass_time(0.2)
            assert await limiter.take(key, SHORT, 3) == 0.0
            wait = await limiter.take(key, SHORT)
            assert 0.0 < wait <= 0.32
            await self.pass_time(wait + 0.005)
            assert await limiter.take(key, SHORT) == 0.0
            assert await limiter.take(key, SHORT) > 0.0

        await self.undisturbed(course)

    async def test_what_is_refused_does_not_count(self, limiter: Limiter) -> None:
        async def course(key: str) -> None:
            assert await limiter.take(key, SHORT, 4) == 0.0
            for _ in range(4):
                await self.pass_time(0.05)
                assert await limiter.take(key, SHORT) > 0
            await self.pass_time(0.32)
            assert await limiter.take(key, SHORT, 4) == 0.0

        await self.undisturbed(course)

    async def test_closing_twice_is_fine(self, limiter: Limiter) -> None:
        await limiter.take("a", LONG)
        await limiter.aclose()
        await limiter.aclose()
