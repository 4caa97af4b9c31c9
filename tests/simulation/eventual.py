"""Courses of events on stores that give no help: writes show late, calls are throttled, fail and stall."""

from __future__ import annotations

import random

import msgspec
from courses import Settings
from scenario import CALL_S, Course

from tenantry.testing.eventual_backend import EventualBackend, Temper


class EventualCourse(Course):
    """Every shard is an `EventualBackend` with a temper of its own."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.tempers: dict[str, Temper] = {}

    async def begin(self) -> None:
        await super().begin()
        for (_, shard), store in self.stores.items():
            store.temper = self.tempers[shard]

    async def end(self) -> None:
        for store in self.stores.values():
            store.temper = calm(store.temper)
        await super().end()

    def make_store(self, index, shard):
        chance = random.Random(f"{self.settings.seed}/{shard.name}")
        temper = Temper(
            fetch_delay_s=chance.choice([0.0, 0.05, 0.15]),
            query_delay_s=chance.choice([0.05, 0.15]),
            list_delay_s=chance.choice([0.0, 0.1, 0.15]),
            throttle_every=chance.choice([0, 13, 29]),
            fail_share=chance.choice([0.0, 0.02]),
            stall_share=chance.choice([0.0, 0.01]),
            stall_s=0.2 * CALL_S,
            seed=self.settings.seed,
        )
        self.tempers[shard.name] = temper
        return EventualBackend(index.metric, index.dimension, calm(temper), self.clock)

    @property
    def stormy(self) -> bool:
        return True  # a direct write meets what the service does, as without a move


def calm(temper: Temper) -> Temper:
    """Late, but without faults."""
    return msgspec.structs.replace(temper, throttle_every=0, fail_share=0.0, stall_share=0.0)


def settings_for(seed: int) -> Settings:
    chance = random.Random(f"eventual/{seed}")
    return Settings(
        seed=seed,
        visible_s=0.15,
        rounds_s=3.0,
        kills=chance.choice([0, 0, 1]),
        suspensions=chance.choice([0, 1]),
        wishes=chance.random() < 0.5,
    )
