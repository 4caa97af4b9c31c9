"""Balancing as arrays: what the search works on, and what each step of it would change."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from tenantry.control.planner.goals import BYTES_WEIGHT, GOAL_WEIGHTS, MOVES_WEIGHT, Yardstick, imbalance, yardstick
from tenantry.control.planner.hard import filled_to, needs, without_limits
from tenantry.control.planner.picture import Numbers, Picture, Places, Truths
from tenantry.model.topology import TenantSpec
from tenantry.placement.eligible import rule_against


@dataclass(frozen=True)
class Problem:
    """Tenants that may move, and members (the shards among which they may).

    Attributes:
        tenants, members: their positions in the picture.
        home: of each tenant, the member where it is.
        share: of each tenant, its part of the whole of each goal.
        cost: of each tenant, what moving it adds to the objective.
        bytes, room, expected: of each tenant, bytes, vectors to find room for, and vectors claimed.
        kind: of each tenant, the row of `allowed`.
        allowed: whether a member may take tenants of a kind at all, were it empty.
        x, count, vectors, claimed: of each member at the start: parts of the whole, tenants, vectors, vectors claimed.
        most_tenants, most_vectors: of each member, its limits, filled as far as a plan may.
    """

    tenants: Places
    members: Places
    home: Places
    share: Numbers
    cost: Numbers
    bytes: Numbers
    room: Numbers
    expected: Numbers
    vectors: Numbers
    kind: Places
    allowed: Truths
    measure: Yardstick
    x: Numbers
    count: Numbers
    stored: Numbers
    claimed: Numbers
    most_tenants: Numbers
    most_vectors: Numbers
    max_moves: float
    max_bytes: float

    def objective(self, assign: Places) -> float:
        """The whole objective of putting each tenant onto the member that ``assign`` says."""
        x = self.x.copy()
        np.subtract.at(x, self.home, self.share)
        np.add.at(x, assign, self.share)
        return imbalance(x, self.measure) + float(self.cost[assign != self.home].sum())

    def started_from(self, assign: Places) -> Problem:
        """The same problem after a plan that leads to ``assign`` was carried out."""
        fields = dict(self.__dict__)
        for name, each in (
            ("x", self.share),
            ("count", np.ones(len(assign))),
            ("stored", self.vectors),
            ("claimed", self.expected),
        ):
            changed = fields[name].copy()
            np.subtract.at(changed, self.home, each)
            np.add.at(changed, assign, each)
            fields[name] = changed
        return Problem(**(fields | {"home": assign.copy()}))


def balancing(picture: Picture) -> Problem:
    """The problem of evening out a picture's members."""
    members = np.array(picture.members(), dtype=np.int64)
    inside = np.full(len(picture.shards), -1, dtype=np.int64)
    inside[members] = np.arange(len(members))
    among = inside[picture.home] >= 0
    free = np.fromiter((why is None for why in picture.stays), np.bool_, len(picture.stays))
    tenants = np.flatnonzero(among & free)
    chosen = [picture.tenants[n] for n in tenants]
    views = [picture.shards[n] for n in members]
    full = [filled_to(each, picture.options.fill) for each in views]
    held = picture.held[members]
    measure = yardstick(held, np.array([each.shard.weight for each in views]), picture.options.tolerance)
    all_bytes = float(sum(picture.tenants[n].bytes for n in np.flatnonzero(among))) or 1.0
    sizes = np.array([each.bytes for each in chosen], dtype=np.float64)
    kinds: dict[tuple[str | None, str | None], int] = {}
    kind = [kinds.setdefault((each.spec.region, each.spec.tier), len(kinds)) for each in chosen]
    bare = [without_limits(each) for each in views]
    allowed = [[rule_against(TenantSpec(region=r, tier=t), each) is None for each in bare] for r, t in kinds]
    return Problem(
        tenants=tenants,
        members=members,
        home=inside[picture.home[tenants]],
        share=picture.amounts[tenants] / measure.whole,
        cost=BYTES_WEIGHT * sizes / all_bytes + MOVES_WEIGHT / float(measure.whole[2]),
        bytes=sizes,
        room=np.array([max(needs(each).expected_vectors, 1) for each in chosen], dtype=np.float64),
        expected=np.array([each.spec.expected_vectors for each in chosen], dtype=np.float64),
        vectors=picture.amounts[tenants, 0],
        kind=np.array(kind, dtype=np.int64),
        allowed=np.array(allowed, dtype=np.bool_).reshape(len(kinds), len(members)),
        measure=measure,
        x=held / measure.whole,
        count=np.array([each.shard.tenants + each.shard.copies for each in views], dtype=np.float64),
        stored=held[:, 0].copy(),
        claimed=np.array([each.claim.expected_vectors for each in views], dtype=np.float64),
        most_tenants=_limits(each.shard.max_tenants for each in full),
        most_vectors=_limits(each.shard.max_vectors for each in full),
        max_moves=picture.options.max_moves,
        max_bytes=inf if picture.options.max_bytes is None else picture.options.max_bytes,
    )


def _limits(given: object) -> Numbers:
    return np.array([inf if each is None else each for each in given], dtype=np.float64)  # type: ignore[attr-defined]


@dataclass
class States:
    """Some states of the search, one a row: where each tenant is, and what follows from it."""

    assign: Places
    x: Numbers
    count: Numbers
    stored: Numbers
    claimed: Numbers
    arrived: Numbers
    moves: Numbers
    bytes: Numbers
    cost: Numbers

    @staticmethod
    def at_home(problem: Problem) -> States:
        """The one state in which nothing has moved."""
        return States(
            assign=problem.home[None].copy(),
            x=problem.x[None].copy(),
            count=problem.count[None].copy(),
            stored=problem.stored[None].copy(),
            claimed=problem.claimed[None].copy(),
            arrived=np.zeros((1, len(problem.members))),
            moves=np.zeros(1),
            bytes=np.zeros(1),
            cost=np.zeros(1),
        )

    def pick(self, rows: Places) -> States:
        """Copies of some rows, repeated as often as they are named."""
        return States(**{name: each[rows] for name, each in self.__dict__.items()})

    def move(self, problem: Problem, row: int, tenant: int, target: int) -> None:
        """Carry one move (or its undoing) out in one row."""
        source, home = int(self.assign[row, tenant]), int(problem.home[tenant])
        for held, amount in (
            (self.x, problem.share[tenant]),
            (self.count, 1),
            (self.stored, problem.vectors[tenant]),
            (self.claimed, problem.expected[tenant]),
        ):
            held[row, source] -= amount
            held[row, target] += amount
        self.arrived[row, source] -= source != home
        self.arrived[row, target] += target != home
        away = int(target != home) - int(source != home)
        self.moves[row] += away
        self.bytes[row] += away * problem.bytes[tenant]
        self.cost[row] += away * problem.cost[tenant]
        self.assign[row, tenant] = target


def objective_after(problem: Problem, states: States, rows: Places, targets: Places) -> Numbers:
    """The objective after each single move: state by tenant (of ``rows``) by target; inf where it may not be made."""
    measure = problem.measure
    many = len(states.assign)
    every = np.arange(many)[:, None]
    source = states.assign[:, rows]
    away = (targets[None, :] != problem.home[rows][:, None])[None] * 1.0 - (source != problem.home[rows])[:, :, None]
    found = states.cost[:, None, None] + away * problem.cost[rows][None, :, None]
    fair, limit = measure.fair, measure.limit
    for g, weight in enumerate(GOAL_WEIGHTS):
        x, share = states.x[:, :, g], problem.share[rows, g]
        over = np.maximum(0.0, x - limit)
        peaks = over / fair
        worst = np.argsort(-peaks, axis=1, kind="stable")[:, :3] if x.shape[1] <= 64 else _three_worst(peaks)
        left = np.maximum(0.0, x[every, source] - share - limit[source])
        gained = np.maximum(0.0, (x[:, targets] - limit[targets])[:, None, :] + share[None, :, None])
        spread = over.sum(axis=1)[:, None, None] - (over[every, source] - left)[:, :, None]
        spread = spread - over[:, targets][:, None, :] + gained
        peak = np.maximum((left / fair[source])[:, :, None], gained / fair[targets])
        others: Numbers = np.zeros((many, len(rows), len(targets)))
        for n in range(worst.shape[1] - 1, -1, -1):
            which = worst[:, n]
            height = peaks[np.arange(many), which]
            meant = (source != which[:, None])[:, :, None] & (targets != which[:, None])[:, None, :]
            others = np.where(meant, height[:, None, None], others)
        found = found + weight * (np.maximum(peak, others) + spread)
    return np.where(_may(problem, states, rows, targets, source, away), found, inf)


def _three_worst(peaks: Numbers) -> Places:
    some = np.argpartition(-peaks, 3, axis=1)[:, :3]
    order = np.argsort(-np.take_along_axis(peaks, some, axis=1), axis=1, kind="stable")
    return np.take_along_axis(some, order, axis=1)


def _may(problem: Problem, states: States, rows: Places, targets: Places, source: Places, away: Numbers) -> Truths:
    """Whether each single move keeps the hard goals."""
    load = np.maximum(states.stored[:, targets], states.claimed[:, targets])
    room = load[:, None, :] + problem.room[rows][None, :, None] <= problem.most_vectors[targets]
    room &= (states.count[:, targets] + 1 <= problem.most_tenants[targets])[:, None, :]
    room &= problem.allowed[problem.kind[rows]][:, targets][None]
    # what was there at the start may come back, as long as nobody has taken its place
    back = (targets[None, :] == problem.home[rows][:, None])[None] & (states.arrived[:, targets] == 0)[:, None, :]
    within = states.moves[:, None, None] + away <= problem.max_moves
    within &= states.bytes[:, None, None] + away * problem.bytes[rows][None, :, None] <= problem.max_bytes
    return np.asarray((room | back) & within & (source[:, :, None] != targets))
