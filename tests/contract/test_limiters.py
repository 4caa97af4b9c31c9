"""The contract of limiters: in memory, on a real Redis (Valkey), on one that comes and goes; several processes."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import redis.asyncio
from hypothesis import given
from hypothesis import strategies as st

from tenantry.caches.redis_limiter import RedisLimiter
from tenantry.clock import SystemClock
from tenantry.errors import InvalidArgument, Unavailable
from tenantry.model.rates import GRAINS, Rate, Window
from tenantry.router.limiter import AWAY_S, MOST_KEPT, LocalLimiter, SteadyLimiter
from tenantry.testing.clock import ManualClock
from tenantry.testing.limiter_contract import LONG, LimiterContract
from tenantry.testing.redis_server import RedisServer
from tenantry.testing.servers import free_port, started

PROCESSES, EACH = 4, 40
#: Says that it is ready, waits for a line, then asks as fast as it can, and tells how many were let through.
ASK = """
import asyncio, sys
from tenantry.caches import redis_limiter
from tenantry.caches.redis_limiter import RedisLimiter
from tenantry.model.rates import Rate

redis_limiter.CALL_S = 30.0  # who gives up asks no more, and so many at once take their time on a busy machine

async def main(url, most, window_s, each):
    limiter = RedisLimiter(url, "test")
    await limiter.take("warm", Rate(1_000, 60.0))
    print("ready", flush=True)
    sys.stdin.readline()
    waits = await asyncio.gather(*(limiter.take("k", Rate(int(most), float(window_s))) for _ in range(int(each))))
    print(waits.count(0.0), flush=True)
    await limiter.aclose()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here tests how long Redis is waited for."""
    monkeypatch.setattr("tenantry.caches.redis_limiter.CALL_S", 30.0)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with started(RedisServer.start) as server:
        yield server


@pytest.fixture
async def client(server: RedisServer) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(server.url)
    await client.flushall()
    yield client
    await client.aclose()


class TestLocal(LimiterContract):
    @pytest.fixture
    def limiter(self) -> LocalLimiter:
        self.clock = ManualClock()
        return LocalLimiter(self.clock)

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    async def test_keys_do_not_stay_for_ever(self, limiter: LocalLimiter) -> None:
        for number in range(MOST_KEPT + 5):
            limiter.take_now(str(number), LONG, 10)
        assert limiter.take_now("0", LONG) == 0.0  # forgotten
        assert limiter.take_now(str(MOST_KEPT + 4), LONG) > 0


class TestRedis(LimiterContract):
    @pytest.fixture
    async def limiter(self, server: RedisServer, client: redis.asyncio.Redis) -> AsyncIterator[RedisLimiter]:
        limiter = RedisLimiter(server.url, "test")
        yield limiter
        await limiter.aclose()


class TestSteady(LimiterContract):
    @pytest.fixture
    async def limiter(self, server: RedisServer, client: redis.asyncio.Redis) -> AsyncIterator[SteadyLimiter]:
        limiter = SteadyLimiter(RedisLimiter(server.url, "test"), SystemClock())
        yield limiter
        await limiter.aclose()


class TestSteadyAlone(LimiterContract):
    @pytest.fixture
    async def limiter(self) -> AsyncIterator[SteadyLimiter]:
        limiter = SteadyLimiter(RedisLimiter(f"redis://127.0.0.1:{free_port()}/0", "test"), SystemClock())
        yield limiter
        await limiter.aclose()


@given(st.integers(1, 20), st.lists(st.tuples(st.floats(0, 2), st.integers(1, 20)), max_size=120))
def test_no_window_ever_has_more_than_the_rate(most: int, asked: list[tuple[float, int]]) -> None:
    rate, window, now = Rate(most, 5.0), Window(), 1_000.0
    passed: list[tuple[float, int]] = []
    for pause, cost in asked:
        now += pause
        if cost > most:
            continue
        wait = window.take(now, rate, cost)
        if wait == 0.0:
            passed.append((now, cost))
        else:
            assert 0 < wait <= rate.window_s * (1 + 3 / GRAINS)
            # It says the truth: then there is room, unless others take it.
            used = sum(units for at, units in passed if at + rate.window_s * (1 + 1 / GRAINS) > now + wait)
            assert used + cost <= most
    for i, (begin, _) in enumerate(passed):
        assert sum(units for at, units in passed[i:] if at < begin + rate.window_s) <= most


async def test_processes_together_let_through_exactly_the_rate(
    server: RedisServer, client: redis.asyncio.Redis
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", ASK, server.url, "50", "3600", str(EACH)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        answers = []
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [int(process.communicate(timeout=60)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert sum(answers) == 50, json.dumps(answers)
    assert PROCESSES * EACH > 50


async def test_a_key_is_gone_after_its_window(server: RedisServer, client: redis.asyncio.Redis) -> None:
    limiter = RedisLimiter(server.url, "test")
    began = time.monotonic()
    await limiter.take("a", Rate(5, 60.0))
    [key] = await client.keys("test:limit:*")
    left_ms = await client.pttl(key)
    assert 61_100 - 1_000 * (time.monotonic() - began) <= left_ms <= 61_300
    await limiter.aclose()


async def test_a_log_of_the_future_counts_from_now(server: RedisServer, client: redis.asyncio.Redis) -> None:
    """Redis' clock was set back: entries lie an hour ahead. They count for one window from now, not for an hour."""
    limiter, rate = RedisLimiter(server.url, "test"), Rate(5, 0.4)
    script = "local t = redis.call('TIME') local grain = math.ceil((t[1] * 1e6 + t[2]) / 4000) + 1e6 "
    script += "redis.call('SET', KEYS[1], cmsgpack.pack({grain, 5}), 'PX', 60000)"
    await client.eval(script, 1, "test:limit:5/0.4:a")
    assert 0 < await limiter.take("a", rate) <= 0.42
    for _ in range(100):
        if await limiter.take("a", rate) == 0.0:
            break
        await asyncio.sleep(0.1)
    else:
        raise AssertionError("blocked for ever")
    await limiter.aclose()


@pytest.mark.parametrize("value", [b"", b"garbage", b"\x93\x01"])
async def test_a_log_that_cannot_be_read_is_begun_anew(
    server: RedisServer, client: redis.asyncio.Redis, value: bytes
) -> None:
    limiter = RedisLimiter(server.url, "test")
    await limiter.take("a", LONG)
    [key] = await client.keys("test:limit:*")
    await client.set(key, value)
    assert [await limiter.take("a", LONG) == 0.0 for _ in range(11)] == [True] * 10 + [False]
    await limiter.aclose()


async def test_a_server_that_is_away_is_unavailable() -> None:
    limiter = RedisLimiter(f"redis://127.0.0.1:{free_port()}/0", "test")
    with pytest.raises(Unavailable):
        await limiter.take("a", LONG)
    await limiter.aclose()


def test_the_url_must_be_one() -> None:
    with pytest.raises(InvalidArgument) as caught:
        RedisLimiter("http://user:secret@h", "test")
    assert "secret" not in str(caught.value)


class Flaky:
    """A shared limiter that can be away, and loses what it knew."""

    remote = True

    def __init__(self, clock: ManualClock) -> None:
        self.clock, self.away, self.asked = clock, False, 0
        self.inner = LocalLimiter(clock)

    async def take(self, key: str, rate: Rate, cost: int = 1) -> float:
        self.asked += 1
        if self.away:
            raise Unavailable("away")
        return await self.inner.take(key, rate, cost)

    async def aclose(self) -> None:
        pass


async def test_while_the_shared_one_is_away_each_process_keeps_to_the_rate(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    shared = Flaky(clock)
    gateways = [SteadyLimiter(shared, clock) for _ in range(2)]
    assert [await gateways[0].take("a", LONG) for _ in range(6)] == [0.0] * 6
    shared.away = True
    with caplog.at_level(logging.WARNING):
        passed = [[await gateway.take("a", LONG) == 0.0 for _ in range(20)].count(True) for gateway in gateways]
    assert passed == [4, 10]  # the first has had 6 already
    assert len(caplog.records) == 2  # one each, not one for each request
    before = shared.asked
    await gateways[0].take("a", LONG)
    assert shared.asked == before
    clock.advance(AWAY_S)
    shared.away, shared.inner = False, LocalLimiter(clock)
    assert [await gateways[0].take("a", LONG) == 0.0 for _ in range(20)].count(True) == 10
    assert await gateways[1].take("a", LONG) > 0
