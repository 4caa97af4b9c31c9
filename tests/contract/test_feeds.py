"""What every feed of events must do, on a real PostgreSQL and a real Redis."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from tenantry.clock import SystemClock
from tenantry.errors import InvalidArgument, Unavailable
from tenantry.feeds.postgres import PostgresFeed
from tenantry.feeds.redis import RedisFeed
from tenantry.model.events import EpochPassed, Event, LogApplied, LogGrew, RouteChanged, decode_event, encode_event
from tenantry.ports import EventFeed
from tenantry.router.bulletin import Bulletin
from tenantry.testing.redis_server import RedisServer
from tenantry.testing.servers import PostgresServer, ServerMissing

EVENTS: list[Event] = [
    RouteChanged("default", "acme", 7, moving=True),
    EpochPassed("default", "東京" * 200, 2**40),
    LogGrew("default", "a'b\"c\\"),
    LogApplied("default", "acme", 12),
]


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    try:
        server = RedisServer.start()
    except ServerMissing as missing:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"{missing} (a missing server fails in CI)")
        pytest.skip(str(missing))
    with server:
        yield server


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgresServer]:
    """Which is stopped and started."""
    with PostgresServer.start() as server:
        yield server


Cut = tuple[Callable[[], None], Callable[[], None]]


class Heard:
    """What a feed brings, to be waited for."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.connections = 0
        self.changed = asyncio.Event()

    def event(self, event: Event) -> None:
        self.events.append(event)
        self.changed.set()

    def missed(self) -> None:
        self.connections += 1
        self.changed.set()

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not done():
                self.changed.clear()
                await self.changed.wait()


class FeedContract:
    make: Callable[[], EventFeed]
    cut: Cut

    async def test_every_event_reaches_everybody(self) -> None:
        """In order, unchanged; also the one who told it."""
        feeds = [self.make() for _ in range(3)]
        heards = [Heard() for _ in feeds]
        tasks = [
            asyncio.create_task(feed.follow(heard.event, heard.missed))
            for feed, heard in zip(feeds, heards, strict=True)
        ]
        for heard in heards:
            await heard.until(lambda heard=heard: heard.connections == 1)
        for event in EVENTS:
            await feeds[0].publish(event)
        for heard in heards:
            await heard.until(lambda heard=heard: len(heard.events) == len(EVENTS))
            assert heard.events == EVENTS
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for feed in feeds:
            await feed.aclose()
            await feed.aclose()

    async def test_a_bulletin_goes_on_after_an_outage(self) -> None:
        """Whoever follows is told that events may have been missed."""
        bulletin, heard = Bulletin([self.make()], SystemClock()), Heard()
        bulletin.on_event.append(heard.event)
        bulletin.on_missed.append(heard.missed)
        bulletin.start()
        bulletin.start()
        await heard.until(lambda: heard.connections == 1)
        stop, come_back = self.cut
        stop()
        bulletin.tell(EVENTS[0])  # lost
        await asyncio.sleep(0.3)
        come_back()
        await heard.until(lambda: heard.connections == 2)
        bulletin.tell(EVENTS[3])
        await heard.until(lambda: EVENTS[3] in heard.events)
        await bulletin.aclose()

    async def test_a_server_that_is_away_is_said(self) -> None:
        feed = self.make()
        stop, come_back = self.cut
        stop()
        try:
            with pytest.raises(Unavailable):
                await feed.publish(EVENTS[0])
            with pytest.raises(Unavailable):
                await feed.follow(lambda event: None, lambda: None)
        finally:
            come_back()
        await feed.publish(EVENTS[0])
        await feed.aclose()


class TestPostgres(FeedContract):
    @pytest.fixture(autouse=True)
    async def server(self, own_postgres: PostgresServer) -> AsyncIterator[None]:
        url = own_postgres.create_database()
        self.make = lambda: PostgresFeed(url)
        self.cut = (own_postgres.stop_for_a_while, own_postgres.come_back)
        yield
        own_postgres.drop_database(url)


class TestRedis(FeedContract):
    @pytest.fixture(autouse=True)
    def server(self, redis_server: RedisServer) -> None:
        self.make = lambda: RedisFeed(redis_server.url, "tests")
        self.cut = (redis_server.kill, redis_server.come_back)

    async def test_clusters_with_other_prefixes_do_not_hear_each_other(self, redis_server: RedisServer) -> None:
        ours, theirs, heard = RedisFeed(redis_server.url, "ours"), RedisFeed(redis_server.url, "theirs"), Heard()
        task = asyncio.create_task(ours.follow(heard.event, heard.missed))
        await heard.until(lambda: heard.connections == 1)
        await theirs.publish(EVENTS[0])
        await ours.publish(EVENTS[1])
        await heard.until(lambda: heard.events != [])
        assert heard.events == [EVENTS[1]]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await ours.aclose()
        await theirs.aclose()


def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="redis_url"):
        RedisFeed("http://localhost", "tests")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"type":"other"}', '{"type":"route","index":1}', b"\xff"])
def test_what_is_no_event_is_passed_over(text: str | bytes) -> None:
    assert decode_event(text) is None


@pytest.mark.parametrize("event", EVENTS)
def test_events_come_back_as_they_were(event: Event) -> None:
    assert decode_event(encode_event(event)) == event
