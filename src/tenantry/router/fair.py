"""Who is next: a queue that is shared fairly. Pure.

Deficit round robin (M. Shreedhar and G. Varghese, Efficient Fair Queueing Using Deficit Round Robin, SIGCOMM 1995,
https://doi.org/10.1145/217382.217453). Each flow (a tenant) waits in a line of its own. Flows take turns; each turn
adds ``weight`` quanta to what the flow may spend (its deficit), and serves from its line while the next one's cost is
within it. As in FQ-CoDel (RFC 8290, 4.2), a flow that comes anew has its first turn before those that wait already: it
asks for little, or it would not have been gone. One that is served empty keeps its place in the round until its next
turn, so coming and going gains nothing.

What holds (the property tests check it):

- Work-conserving: `pop` gives an entry whenever one waits.
- In order within a flow.
- Fair: while two flows both wait without a break, what they are served, divided by their weights, differs by at most
  ``2 * QUANTUM + MOST_COST / weight + MOST_COST / other weight``: by 34 units between tenants of weight 1, whatever one
  of them asks for. (Of each flow, after n turns: ``n * QUANTUM * weight`` less what is left, under `MOST_COST`;
  two flows' turns differ by one, and by one more for a first turn.)

`push` takes a constant number of steps, `pop` at most `MOST_COST` for each flow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
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

    def __init__(self, key: str) -> None:
        self.key = key
        self.weight = 1
        self.deficit = 0
        self.since = 0.0
        self.waiting: deque[tuple[int, T]] = deque()


class FairQueue(Generic[T]):
    """Entries of many flows. Its length is that of all lines."""

    __slots__ = ("_flows", "_length", "_new", "_old", "flows")

    def __init__(self) -> None:
        #: How many flows wait.
        self.flows = 0
        self._flows: dict[str, Flow[T]] = {}
        self._new: deque[Flow[T]] = deque()
        self._old: deque[Flow[T]] = deque()
        self._length = 0

    def __len__(self) -> int:
        return self._length

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
            flow = self._flows[key] = Flow(key)
            self._new.append(flow)
        flow.weight = weight
        if not flow.waiting:
            flow.deficit = QUANTUM * weight
            flow.since = now
            self.flows += 1
        flow.waiting.append((cost, entry))
        self._length += 1

    def pop(self, passed: Callable[[str], bool] | None = None) -> tuple[Flow[T], T] | None:
        """The next entry, with its flow; None when nothing waits. Flows of which ``passed`` is true are passed over:
        each keeps what it may spend, and its turn comes after the others'."""
        over: set[str] = set()
        while self._length and len(over) < self.flows:
            turns = self._new or self._old
            flow = turns[0]
            if not flow.waiting:  # since its last turn
                turns.popleft()
                del self._flows[flow.key]
                continue
            if passed is not None and (flow.key in over or passed(flow.key)):
                over.add(flow.key)
                turns.popleft()
                self._old.append(flow)
                continue
            cost, entry = flow.waiting[0]
            if cost <= flow.deficit:
                flow.waiting.popleft()
                flow.deficit -= cost
                self._length -= 1
                if not flow.waiting:
                    self.flows -= 1
                    turns.popleft()
                    self._old.append(flow)
                    if not self._length:  # nobody is left to be fair to
                        self._flows.clear()
                        self._old.clear()
                return flow, entry
            turns.popleft()
            flow.deficit += QUANTUM * flow.weight
            self._old.append(flow)
        return None
