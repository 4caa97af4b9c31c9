"""What this process writes to tenants of indexes with a roll-up: marked before, told afterwards.

A tenant is marked in the catalog before the first write of a while, so the cost is one call of the catalog for a tenant
in that while, and none for each write. What was written is gathered and told to the catalog from time to time
(`Feed.note`); a mark goes with the last of it. When this process dies the marks stay, and whoever copies looks at all
of those tenants again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable

from tenantry.errors import Conflict
from tenantry.model.changes import Change, Patch, Put, Remove
from tenantry.model.rollup import Rollup
from tenantry.ports import Clock, RollupCatalog
from tenantry.router.member import Member

#: How long a tenant stays marked after its last write, seconds.
HOLD_S = 5.0
#: Ids of a tenant that are gathered; past that it is looked at as a whole.
MOST_IDS = 50_000


class Held:
    """Writes to a tenant that are in hand, and what they have touched since that was last told. One object for a tenant
    that is marked, one for all tenants of an index without a roll-up.

    Attributes:
        touched: ids; None: all.
        last: when a write last ended.
    """

    __slots__ = ("book", "in_hand", "last", "tenant", "touched")

    def __init__(self, book: _Book, tenant: str, now: float) -> None:
        self.book = book
        self.tenant = tenant
        self.in_hand = 0
        self.last = now
        self.touched: set[str] | None = set()

    def again(self) -> Held:
        """The same for one more write, which ends for itself."""
        self.in_hand += 1
        return self


class _Book:
    """An index under one generation of its roll-up (None: it has none), in one term of the member.

    Attributes:
        plain: for writes that need no mark.
        left: touched ids of tenants that have no mark here any more.
        unsure: tenants that may have a mark in the catalog and need none.
        noted: the round up to which everything was told.
    """

    def __init__(self, index: str, generation: int | None) -> None:
        self.index = index
        self.generation = generation
        self.plain = Held(self, "", 0.0)
        self.marks: dict[str, Held] = {}
        self.waiting: set[str] = set()
        self.left: dict[str, set[str] | None] = {}
        self.unsure: set[str] = set()
        self.noted = -1
        self.turn = asyncio.Lock()

    @property
    def busy(self) -> bool:
        """Whether a write that began under it has not ended."""
        return self.plain.in_hand > 0 or any(held.in_hand for held in self.marks.values())

    def leave(self, tenant: str, touched: set[str] | None) -> None:
        """Keep what was touched until it is told."""
        if touched is None or touched:
            self.left[tenant] = joined(self.left.get(tenant, set()), touched)


class Feed:
    """Stands in the way of every write.

    Attributes:
        rollups: those that the catalog had when it was last read, by index.
    """

    def __init__(self, catalog: RollupCatalog, member: Member, clock: Clock, hold_s: float = HOLD_S) -> None:
        self._catalog = catalog
        self._member = member
        self._clock = clock
        self._hold_s = hold_s
        self.rollups: dict[str, Rollup] = {}
        self._term: int | None = None
        self._books: dict[str, _Book] = {}
        self._old: list[_Book] = []
        self._learning = asyncio.Lock()
        self._stamp = 0

    # ---------------------------------------------------------------------------------- the way of a write

    def at_hand(self, index: str, tenant: str) -> Held | None:
        """As `begin` where nothing has to be asked for; else None, and nothing has begun."""
        if self._term != self._member.term:
            return None
        book = self._books.get(index)
        if book is None:
            book = self._books[index] = _Book(index, None)
        held = book.plain if book.generation is None else book.marks.get(tenant)
        return None if held is None else held.again()

    async def begin(self, index: str, tenant: str) -> Held:
        """Begin a write under the member's present term; `end` must follow, once it has really ended. Where the index
        has a roll-up, the tenant is marked when this returns. Raises Unavailable: then it must not be written."""
        while True:
            held = self.at_hand(index, tenant)
            if held is not None:
                return held
            if self._term != self._member.term:
                await self.learn()
                continue
            book = self._books[index]
            book.waiting.add(tenant)
            try:
                await asyncio.shield(asyncio.ensure_future(self._mark(book, tenant)))
            except Conflict:
                self._term = None  # another generation, or none any more

    def end(self, held: Held, change: Change) -> None:
        """A write has ended, well or not, or nobody knows how."""
        held.in_hand -= 1
        book = held.book
        if book.generation is None:
            return
        touched = ids_of(change)
        held.touched = joined(held.touched, touched)
        held.last = self._clock.monotonic()
        present = self._books.get(book.index)
        if present is not None and present is not book and present.generation == book.generation:
            present.leave(held.tenant, held.touched)  # from an earlier term, whose marks count for nothing
            if not held.in_hand:
                present.unsure.add(held.tenant)

    async def _mark(self, book: _Book, tenant: str) -> None:
        async with book.turn:
            if tenant in book.marks or book.generation is None:
                return
            names, book.waiting = book.waiting - book.marks.keys(), set()  # others waited for a mark that is there now
            book.unsure |= names  # if the answer is lost
            self._stamp += 1
            await self._catalog.mark(book.index, book.generation, self._member.owner, names, self._stamp)
            present = self._books.get(book.index)
            if present is not None and present is not book:  # a new term, or generation, has begun meanwhile
                present.unsure |= names
                return
            book.unsure -= names
            now = self._clock.monotonic()
            for name in names:
                book.marks[name] = Held(book, name, now)

    # -------------------------------------------------------------------------------- telling the catalog

    async def learn(self) -> dict[str, Rollup]:
        """Read which indexes have a roll-up; writes that begin from now on go by it. Raises Unavailable."""
        async with self._learning:
            term = self._member.term
            found = {one.index: one for one in await self._catalog.list()}
            if term == self._member.term:
                self._adopt(found, new_term=term != self._term)
                self._term = term
            return found

    @property
    def knows(self) -> bool:
        """Whether `rollups` was read in the present term of the member."""
        return self._term == self._member.term

    def drained(self, index: str, generation: int) -> bool:
        """Whether writes here are marked under this generation, and those that began before have ended."""
        self._old = [book for book in self._old if book.busy]
        book = self._books.get(index)
        known = book is not None and book.generation == generation and self.knows
        return known and all(old.index != index for old in self._old)

    async def note(self, *, closing: bool = False) -> None:
        """Tell the catalog what was written, as of the rounds that `learn` has read; take away marks of tenants that
        were not written for a while (``closing``: all). Raises Unavailable: then all of it is told the next time."""
        for book in list(self._books.values()):
            if book.generation is not None and (book.marks or book.left or book.unsure):
                rollup = self.rollups.get(book.index)
                if rollup is not None and rollup.generation == book.generation:
                    await self._note(book, book.generation, rollup.round, 0.0 if closing else self._hold_s)

    async def _note(self, book: _Book, generation: int, through: int, hold_s: float) -> None:
        async with book.turn:
            now = self._clock.monotonic()
            changed: dict[str, set[str] | None] = dict(book.left)
            for tenant, held in book.marks.items():
                if held.touched is None or held.touched:
                    changed[tenant] = joined(changed.get(tenant, set()), held.touched)
            idle = [name for name, held in book.marks.items() if not held.in_hand and now - held.last >= hold_s]
            unsure = book.unsure - book.marks.keys()
            if not (changed or idle or unsure) and through <= book.noted:
                return
            for name in book.marks.keys() & changed.keys():
                book.marks[name].touched = set()
            for name in idle:
                del book.marks[name]  # the next write of it waits for this to end, and marks it anew
            book.left, book.unsure = {}, set()
            release, until = {*idle, *unsure}, self._stamp
            try:
                await self._catalog.note(book.index, generation, self._member.owner, through, changed, release, until)
            except Conflict:
                self._term = None
            except BaseException:  # told or not: all of it is told again
                for tenant, touched in changed.items():
                    book.leave(tenant, touched)
                book.unsure |= release
                raise
            book.noted = max(book.noted, through)

    def _adopt(self, found: dict[str, Rollup], *, new_term: bool) -> None:
        self.rollups = found
        for index in {*found, *self._books}:
            generation = found[index].generation if index in found else None
            old = self._books.get(index)
            if old is not None and old.generation == generation and (not new_term or generation is None):
                continue
            book = self._books[index] = _Book(index, generation)
            if old is None:
                continue
            if old.busy:
                self._old.append(old)
            if old.generation == generation:
                for tenant, held in old.marks.items():
                    book.leave(tenant, held.touched)
                for tenant, touched in old.left.items():
                    book.leave(tenant, touched)
                book.unsure |= old.unsure | {tenant for tenant, held in old.marks.items() if not held.in_hand}


def ids_of(change: Change) -> Collection[str] | None:
    """The ids that a change may touch; None: any."""
    if isinstance(change, Put):
        return [record.id for record in change.records]
    if isinstance(change, Patch):
        return [change.update.id]
    return change.ids if isinstance(change, Remove) and change.where is None else None


def joined(some: set[str] | None, more: Iterable[str] | None) -> set[str] | None:
    """Both; None: all, also when they are too many."""
    if some is None or more is None:
        return None
    some.update(more)
    return some if len(some) <= MOST_IDS else None
