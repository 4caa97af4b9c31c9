"""Who is next: a queue that is shared fairly. Pure.

Deficit round robin (M. Shreedhar and G. Varghese, Efficient Fair Queueing Using Deficit Round Robin, SIGCOMM 1995,
https://doi.org/10.1145/217382.217453). Each flow (a tenant) waits in a line of its own. Flows take turns; a turn adds
``weight`` quanta to what the flow may spend (its deficit), and serves from its line while the next one's cost is
within it. A flow whose line is empty leaves, and takes nothing along.

What holds (the property tests check it):

- Work-conserving: `pop` gives an entry whenever one waits.
- In order within a flow.
- Fair: while two flows both wait without a break, what they are served, divided by their weights, differs by at most
  ``QUANTUM + MOST_COST / weight + MOST_COST / other weight``: by 33 units between tenants of weight 1, whatever one of
  them asks for. (Of each flow, after n turns: ``n * QUANTUM * weight`` less what is left, which is under `MOST_COST`;
  and two flows' turns differ by one.)
- An entry at the head of its line waits for at most one turn of each other flow for each quantum that it lacks.

`push` takes a constant number of steps, `pop` at most three per waiting flow.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from tenantry.errors import Bug

#: What a turn adds for each unit of weight.
QUANTUM = 1
#: Costs are from 1 to this.
MOST_COST = 16

T = TypeVar("T")


class Flow(Generic[T]):
    """One line.

    Attributes:
        waiting: cost and entry, the oldest first.
        deficit: what it may spend in this turn.
        since: when it was empty last.
    """

    __slots__ = ("deficit", "key", "since", "waiting", "weight")

    def __init__(self, key: str, weight: int, since: float) -> None:
        self.key = key
        self.weight = weight
        self.deficit = 0
        self.since = since
        self.waiting: deque[tuple[int, T]] = deque()


class FairQueue(Generic[T]):
    """Entries of many flows. Its length is that of all lines."""

    __slots__ = ("_flows", "_length", "_turns")

    def __init__(self) -> None:
        self._flows: dict[str, Flow[T]] = {}
        self._turns: deque[Flow[T]] = deque()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def flows(self) -> int:
        """How many flows wait."""
        return len(self._flows)

    def waiting(self, key: str) -> int:
        """How many entries of a flow wait."""
        flow = self._flows.get(key)
        return 0 if flow is None else len(flow.waiting)

    def push(self, key: str, weight: int, cost: int, entry: T, now: float = 0.0) -> None:
        """Let an entry wait. The weight of a flow is that of its youngest entry. Raises Bug."""
        if weight < 1 or not 1 <= cost <= MOST_COST:
            raise Bug(f"weight {weight} is under 1, or cost {cost} is not from 1 to {MOST_COST}")
        flow = self._flows.get(key)
        if flow is None:
            # A newcomer's first turn comes after one of each flow that waits already, so at once if none does.
            flow = self._flows[key] = Flow(key, weight, now)
            if not self._turns:
                flow.deficit = QUANTUM * weight
            self._turns.append(flow)
        flow.weight = weight
        flow.waiting.append((cost, entry))
        self._length += 1

    def pop(self) -> tuple[Flow[T], T] | None:
        """The next entry, with its flow; None when nothing waits."""
        turns = self._turns
        if not turns:
            return None
        for _ in range(len(turns) + 1):
            flow = turns[0]
            cost, entry = flow.waiting[0]
            if cost <= flow.deficit:
                return self._serve(flow, cost, entry)
            self._next_turn()
        # Nobody could be served in a whole round: as many rounds at once as the first one to be served needs.
        rounds = min(-(-(flow.waiting[0][0] - flow.deficit) // (QUANTUM * flow.weight)) for flow in turns) - 1
        for flow in turns:
            flow.deficit += rounds * QUANTUM * flow.weight
        while (flow := turns[0]).waiting[0][0] > flow.deficit:
            self._next_turn()
        return self._serve(flow, *flow.waiting[0])

    def _next_turn(self) -> None:
        """The flow in front has had its turn; the next one's begins."""
        turns = self._turns
        turns.rotate(-1)
        turns[0].deficit += QUANTUM * turns[0].weight

    def _serve(self, flow: Flow[T], cost: int, entry: T) -> tuple[Flow[T], T]:
        flow.waiting.popleft()
        flow.deficit -= cost
        self._length -= 1
        if not flow.waiting:
            del self._flows[flow.key]
            self._turns.popleft()
            if self._turns:
                self._turns[0].deficit += QUANTUM * self._turns[0].weight
        return flow, entry
