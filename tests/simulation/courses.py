"""What a simulated course of events consists of, by its seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tenantry.model.moves import Phase

POINTS = (
    "apply.read",
    "apply.led",
    "apply.acknowledged",
    "apply.followed",
    "capture.barrier",
    "copy.page-read",
    "copy.page-written",
    "verify.round",
    "flip.drained",
    "back.drained",
    "close.drained",
    "clean.dropped",
    *(f"{phase}.left" for phase in Phase if phase.value not in ("done", "cancelled", "rolled-back", "failed")),
)


@dataclass
class Settings:
    """What a course of events consists of."""

    seed: int
    visible_s: float = 0.0
    lost_share: float = 0.0
    rounds_s: float = 2.5
    clients: int = 3
    kills: int = 1
    suspensions: int = 1
    #: Suspensions in the moment when a router has asked for a moving tenant's route, in order to write to it.
    ambushes: int = 0
    wishes: bool = True
    #: Routes that a router keeps in its cache; with few it often asks the catalog.
    routes: int = 1_000
    #: Whether processes keep routes for each other, where a third of the reads give back old ones.
    shared: bool = False


@dataclass
class Directed:
    """Something that happens to a process when it reaches a fault point for the n-th time."""

    point: str
    number: int
    what: str
    seconds: float
    reached: int = field(default=0)


def directed_for(seed: int) -> Directed | None:
    """Two of three courses have a fault at a named point."""
    if seed % 3 == 0:
        return None
    chance = random.Random(f"directed/{seed}")
    return Directed(
        point=POINTS[seed % len(POINTS)],
        number=chance.choice([1, 1, 2, 3]),
        what=chance.choice(["kill", "suspend", "fail", "delay"]),
        seconds=chance.choice([0.3, 1.3, 2.5]),
    )


def settings_for(seed: int) -> Settings:
    """Every kind of course in turn."""
    chance = random.Random(f"settings/{seed}")
    return Settings(
        seed=seed,
        lost_share=chance.choice([0.0, 0.0, 0.02]),
        kills=chance.choice([0, 1, 1, 2]),
        suspensions=chance.choice([0, 1, 1, 2]),
        wishes=chance.random() < 0.6,
        routes=chance.choice([1, 1_000]),
        shared=chance.random() < 0.5,
    )
