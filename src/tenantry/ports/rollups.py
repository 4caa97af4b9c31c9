"""The catalog's part in roll-ups."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from tenantry.model.rollup import Due, Look, Mark, Rollup


class RollupCatalog(Protocol):
    """Roll-ups, at most one of a logical index; see `tenantry.model.rollup`. One method is one transaction.

    ``generation`` is that of the roll-up that the caller knows; with another one, or none, it gets `Conflict` and has
    changed nothing. A change of a tenant's state, and the end of its write log, make all of it due in the transaction
    of that change (`tenantry.catalogs.rules.to_copy_again`).
    """

    async def begin(self, index: str, shard: str, now: float) -> Rollup:
        """Begin a roll-up on an empty shard of its own, or begin the present one of the index anew there: state
        STARTING, a new generation and namespace, no marks, nothing due, no router that knows of it.

        Raises:
            NotFound: no such index or shard.
            Refused: the shard is not empty, or not in use; or the roll-up is on another shard.
        """

    async def end(self, index: str) -> Rollup | None:
        """Remove a roll-up with its marks and dues; its shard is an active one again. Returns what was removed."""

    async def fill(self, index: str, generation: int) -> Rollup:
        """From STARTING to FILLING: every live tenant is due. In another state nothing happens. Raises Conflict."""

    async def mark(self, index: str, generation: int, owner: str, tenants: Collection[str], stamp: int = 0) -> None:
        """Say that a process may write to these tenants from now on; ``stamp`` grows with each call of the process, and
        a mark that is there gets it. Raises Conflict."""

    async def note(
        self,
        index: str,
        generation: int,
        owner: str,
        through: int,
        changed: Mapping[str, Collection[str] | None],
        release: Collection[str] = (),
        until: int = 0,
    ) -> None:
        """Turn what a process has written into dues.

        Args:
            through: the round that was read before ``changed`` was gathered; all marks of the process get it.
            changed: tenant to ids (None: all).
            release: tenants to which it does not write any more; their marks go, but for those with a stamp over
                ``until``: then this call was overtaken, and it does write to them.

        Raises Conflict.
        """

    async def marks(self, index: str) -> list[Mark]:
        """All, by tenant and owner."""

    async def abandon(self, index: str, generation: int, owner: str) -> int:
        """Of a process that is gone: each tenant that it had marked is due as a whole, and its marks go. Returns how
        many. Raises Conflict."""

    async def look(self, index: str) -> Look | None:
        """The roll-up with what is outstanding, all as of one moment; None: there is none."""

    async def due(self, index: str, after: int, limit: int) -> list[Due]:
        """Those after a place, in order. Raises InvalidArgument (limit)."""

    async def count_due(self, index: str) -> tuple[int, int]:
        """How many there are, and how many tenants are due as a whole."""

    async def demand(self, index: str, tenants: Collection[str]) -> None:
        """Make these tenants due as a whole. Without a roll-up nothing happens."""

    async def done(self, index: str, generation: int, places: Collection[int]) -> None:
        """What was due at these places was copied, durably. Raises Conflict."""

    async def begin_round(self, index: str, generation: int) -> int:
        """Begin a round; returns its number. Raises Conflict."""

    async def end_round(self, index: str, generation: int, round: int) -> Rollup:
        """Everything was copied that had been acknowledged before a round began; ends FILLING. Raises Conflict."""

    async def report(self, index: str, generation: int, error: str) -> None:
        """Say what copying failed with; empty: nothing. Raises Conflict."""

    async def list(self) -> list[Rollup]:
        """All, by index."""
