"""What the store of the cluster's own truth must do, one Protocol for each kind of thing that it keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tenantry.model.audit import Chain, Deed, Entry, Wanted
from tenantry.model.autopilot import PilotEntry
from tenantry.model.changes import Change, LogEntry, Resolved
from tenantry.model.image import CatalogImage
from tenantry.model.keys import ApiKey
from tenantry.model.leases import Copy, Lease
from tenantry.model.migration import Item, Migration
from tenantry.model.moves import Move, Wish
from tenantry.model.topology import (
    Claim,
    Dated,
    LogicalIndex,
    Route,
    Shard,
    ShardState,
    Tenant,
    TenantSpec,
    TenantState,
)
from tenantry.model.usage import Usage
from tenantry.ports.rollups import RollupCatalog


class IndexCatalog(Protocol):
    """Logical indexes. One method is one transaction."""

    async def create(self, index: LogicalIndex) -> None:
        """Raises AlreadyExists."""

    async def get(self, name: str) -> LogicalIndex:
        """Raises NotFound."""

    async def list(self) -> list[LogicalIndex]:
        """All, by name."""

    async def update(self, index: LogicalIndex) -> None:
        """Replace what is mutable (policy, auto_create, embedder, deletion_protection, tags). Raises NotFound."""

    async def delete(self, name: str) -> None:
        """Remove an index that has no live tenants, with its shards. Raises NotFound, Refused."""


class ShardCatalog(Protocol):
    """The shard registry."""

    async def add(self, shard: Shard) -> None:
        """Raises AlreadyExists, NotFound (index)."""

    async def list(self, index: str) -> list[Shard]:
        """All shards of a logical index, by name, with their exact number of tenants."""

    async def update(self, shard: Shard) -> None:
        """Replace limits, weight, region, tier and state; ``tenants`` and ``options`` stay. Raises NotFound."""

    async def set_state(self, index: str, name: str, state: ShardState) -> None:
        """Raises NotFound; Refused when it is to be retired and still holds tenants."""

    async def remove(self, index: str, name: str) -> None:
        """Raises NotFound, Refused while it holds tenants."""


class TenantCatalog(Protocol):
    """Tenants and their routes. Every change of a route grows its epoch by one."""

    async def place(
        self,
        index: str,
        name: str,
        spec: TenantSpec,
        shard: str,
        created_at: float,
        *,
        state: TenantState = TenantState.CREATING,
        generation: int = 1,
    ) -> Tenant:
        """Record a new tenant on ``shard``, in one transaction with the shard's count.

        A tombstone of the same name is revived with a higher epoch and generation.

        Args:
            state: CREATING, or RESTORING.
            generation: of its namespace, or a higher one where a tombstone asks for it.

        Raises:
            AlreadyExists: a live tenant of that name is there.
            Conflict: the shard is full (of tenants, or of what they are expected to hold), not active, dedicated
                to another or gone: look again, choose again.
        """

    async def get(self, index: str, name: str) -> Tenant:
        """Live tenants (all but deleted). Raises NotFound."""

    async def get_dated(self, index: str, name: str) -> Dated:
        """As `get`, with a moment. Raises NotFound."""

    async def moment(self) -> int | None:
        """What is read after this call shows every change of a lower moment."""

    async def changes(self) -> dict[int, int] | None:
        """Of each bucket of tenants (`bucket_of`; those without a change may be left out) the moment of the last
        change of a route in it that was committed before the call; a `Dated` that shows it has a higher one. None where
        one process has the catalog to itself."""

    async def list(
        self, index: str, after: str | None = None, limit: int = 100, prefix: str = "", shard: str | None = None
    ) -> list[Tenant]:
        """Live tenants by name, after ``after``; with ``shard``, only those whose route points there."""

    async def set_state(self, index: str, name: str, state: TenantState, expected_epoch: int) -> Tenant:
        """Compare-and-set on the epoch; DELETED also frees the tenant's room on its shard.
        Raises NotFound; Conflict; Refused when a tenant's life does not go that way."""

    async def set_plan(self, index: str, name: str, plan: str | None, expected_epoch: int) -> Tenant:
        """Compare-and-set on the epoch: the plan of the tenant's spec, and of its route, one epoch higher.
        Raises NotFound, Conflict; Refused while the tenant is being deleted."""

    async def set_route(self, index: str, name: str, route: Route, expected_epoch: int) -> Tenant:
        """Compare-and-set of the whole route; its epoch must be ``expected_epoch + 1``.
        Raises InvalidArgument (another epoch), NotFound, Refused; Conflict when the tenant has another epoch, or a
        shard newly named is gone, retired or somebody else's."""

    async def undelete(self, copy: Copy) -> Tenant:
        """Make a deleted tenant live again, ACTIVE in the namespace that it had and that was kept as ``copy``, whose
        entry goes; one transaction with the shard's count.

        Raises:
            AlreadyExists: a live tenant of that name is there.
            NotFound: no such tombstone, or the copy is not kept (any more), or is not what the tombstone names.
            Conflict: the shard is gone, retired or somebody else's.
        """

    async def claims(self, index: str) -> dict[str, Claim]:
        """Shard name to what is spoken for on it; shards without a claim are left out."""


class KeyCatalog(Protocol):
    """API keys."""

    async def add(self, key: ApiKey) -> None:
        """Raises AlreadyExists."""

    async def get(self, id: str) -> ApiKey:
        """Raises NotFound."""

    async def list(self, index: str | None = None, tenant: str | None = None) -> list[ApiKey]:
        """All, newest first, or those of one index or tenant."""

    async def revoke(self, id: str, at: float) -> None:
        """Raises NotFound; a revoked key stays revoked as of its first revocation."""

    async def replace(self, id: str, new: ApiKey, until: float) -> ApiKey:
        """Add a key in place of another, which ends at ``until`` (or before, if it did) and names it, in one
        transaction. Returns the old one as it is now. Raises NotFound, AlreadyExists (the new one); Refused when the
        old one is revoked, has ended or was replaced before."""


class AuditCatalog(Protocol):
    """The audit log: entries in the order of their numbers, each with a hash over itself and the one before. Appending
    is one transaction, whoever else appends at the time; nothing but `prune` removes."""

    async def append(self, deed: Deed) -> Entry:
        """Add an entry; durable when it returns."""

    async def list(self, wanted: Wanted) -> list[Entry]:
        """Entries that fit, in order. Raises InvalidArgument (limit)."""

    async def chain(self) -> Chain:
        """Where the log begins and ends."""

    async def prune(self, through: int, deed: Deed) -> Entry:
        """Remove entries up to and including ``through``, and note so in an entry of its own, in one transaction: the
        chain then begins with the hash of the last one that was removed. Raises InvalidArgument when there are not that
        many."""


class SettingCatalog(Protocol):
    """Settings of the cluster that all processes share: small JSON values by name."""

    async def get(self, name: str) -> Any:
        """None when it was never set."""

    async def put(self, name: str, value: Any) -> None:
        """Set or replace."""

    async def put_if_absent(self, name: str, value: Any) -> Any:
        """Set unless there; returns what is there afterwards. Safe from several processes at once."""

    async def all(self) -> Mapping[str, Any]:
        """Every setting."""


class MoveCatalog(Protocol):
    """Moves, each saved with the route that belongs to its phase. One method is one transaction.

    ``fence`` is the fencing number of the caller's lease on ``move.lease``: a caller who lost it gets `Conflict`
    and has changed nothing.
    """

    async def begin(self, move: Move, expected_epoch: int) -> Tenant:
        """Record a new move (phase PREPARE) with its route, which reserves room on the target and raises the
        tenant's generation to that of the target's namespace. Returns the tenant as it is now.

        Raises:
            AlreadyExists: a move of this tenant is running.
            NotFound: no such tenant.
            Conflict: the tenant has another epoch; or the target is gone, not active, full (of tenants, or of what
                they are expected to hold) or dedicated to another.
        """

    async def get(self, id: str) -> Move:
        """Raises NotFound."""

    async def list(
        self,
        index: str | None = None,
        *,
        open_only: bool = False,
        tenant: str | None = None,
        limit: int = 100,
        before: Move | None = None,
    ) -> list[Move]:
        """Newest first (created_at, then id, both descending); go on with ``before`` = the last one seen."""

    async def set_wish(self, id: str, wish: Wish) -> Move:
        """Change what is wanted. The same wish again is harmless. Raises NotFound; Refused, with the reason, when
        `tenantry.model.moves.check_wish` says so."""

    async def advance(self, move: Move, fence: int, *, head: int | None = None) -> tuple[Move, Tenant]:
        """Save a move in its new phase, and the tenant's route for it (`route_of`, one epoch higher, when it
        differs from the present one in more than the epoch), in one transaction.

        Args:
            head: when given, the tenant's log must end exactly there.

        The wish is not written; it is read. Of a deleted tenant only the move is saved, and only with an ended
        phase. With DONE and the source still there, the source becomes a retired copy.

        Raises:
            Conflict: the fence is not the lease's, the log went on, the shard does not take it, or the wish (CANCEL
                at the commit, ROLL_BACK at the closing) forbids this step.
            NotFound: the tenant was deleted, and the phase is not an ended one.
        """

    async def save(self, move: Move, fence: int) -> None:
        """Save marks, progress, proof and error within a phase; marks never go back. Raises Conflict (fence)."""


class LeaseCatalog(Protocol):
    """Named leases: who routes (``router/ID``), who runs a move (``move/ID``).

    Leases hold no times: a holder counts from before its last `beat` that succeeded, an observer from the moment it
    first saw the present beat. So clocks of different machines are never compared.
    """

    async def claim(self, name: str, owner: str, seen: Lease | None) -> Lease:
        """Take a lease that is free (``seen`` None or without an owner), or that another let lapse: it must still be
        exactly as ``seen``. The fence grows with each claim. Raises Conflict."""

    async def beat(self, owner: str) -> dict[str, int]:
        """Renew every lease of the owner; name to fence of those that it still has."""

    async def release(self, name: str, owner: str) -> None:
        """Give a lease up: it stays, with its fence, without an owner. Not holding it is success."""

    async def expel(self, seen: Lease) -> bool:
        """Take a lapsed lease from its owner, if it is still exactly as seen."""

    async def list(self, prefix: str) -> list[Lease]:
        """Leases that have an owner, by name."""

    async def get(self, name: str) -> Lease | None:
        """One lease, owned or free; None when there never was one."""


class BarrierCatalog(Protocol):
    """Which router has seen which route."""

    async def acknowledge(self, router: str, index: str, tenant: str, epoch: int) -> None:
        """Note that this router (name of its lease) will not use an older route of the tenant any more."""

    async def acknowledged(self, index: str, tenant: str) -> dict[str, int]:
        """Router to the highest epoch that it acknowledged."""

    async def forget(self, index: str, tenant: str, through: int) -> None:
        """Drop a tenant's acknowledgements up to an epoch, when its move has ended; those of its next one stay."""


class WriteLog(Protocol):
    """The log of each tenant's writes while it moves; the one place that can refuse a stale writer."""

    async def append(self, index: str, tenant: str, epoch: int, change: Change) -> int:
        """Add a change, durably; returns its place in the tenant's log.

        Raises:
            Conflict: the tenant's route is not at this epoch, or its mode is not LOGGED: look again.
            NotFound: no such tenant.
            Refused: it is suspended or being deleted.
        """

    async def read(self, index: str, tenant: str, after: int, limit: int) -> list[LogEntry]:
        """Entries after ``after``, in order."""

    async def head(self, index: str, tenant: str) -> int:
        """The last place given out; 0 when there was none. Never goes back, over all moves of a tenant."""

    async def resolve(self, move: Move, fence: int, seq: int, change: Resolved) -> None:
        """Store what an entry came to, in its place. Raises Conflict (fence), NotFound (entry)."""

    async def trim(self, move: Move, fence: int, through: int) -> None:
        """Drop entries of the move's tenant up to and including ``through``. Raises Conflict (fence): an owner of
        long ago must not drop entries of a later move."""

    async def bytes(self, index: str, tenant: str) -> int:
        """Size of what the log holds."""


class CopyCatalog(Protocol):
    """Retired copies: physical namespaces that no route names any more, kept for a while."""

    async def due(self, now: float, limit: int) -> list[Copy]:
        """Those of any index whose time has come, oldest first."""

    async def list(self, index: str, *, shard: str | None = None, tenant: str | None = None) -> list[Copy]:
        """Oldest first."""

    async def keep(self, copy: Copy) -> None:
        """Add an entry; one for the same namespace is replaced. As long as a live tenant's route names the namespace,
        it is not `due`."""

    async def forget(self, copy: Copy) -> None:
        """Drop the entry, when the namespace is gone. Not there is success."""


class MeasureCatalog(Protocol):
    """What processes counted of late, in slices; the bytes mean something to them alone."""

    async def put(self, owner: str, slices: Mapping[int, bytes], oldest: int) -> None:
        """Store slices of a process by number, in place of what is there; drop its older ones."""

    async def read(self, after: Mapping[str, int]) -> dict[str, dict[int, bytes]]:
        """Of each process its slices by number: those over ``after``, of processes that it does not name all."""

    async def forget(self, owner: str) -> None:
        """Drop all of a process. Nothing there is success."""


class AutopilotCatalog(Protocol):
    """What the auto-pilot did or would do. Budgets are counted from it, so it must not lose what it took."""

    async def append(self, entry: PilotEntry) -> None:
        """Add an entry; durable when it returns. Raises Conflict unless its ``seq`` is one more than the last one's
        (1 in the beginning): of two that go on from the same entry one fails."""

    async def settle(self, entry: PilotEntry) -> None:
        """Replace an entry by what it has become. Raises NotFound."""

    async def list(
        self, *, limit: int, before: int | None = None, index: str | None = None, since: float | None = None
    ) -> list[PilotEntry]:
        """The newest first: those with a number below ``before``, of an index, from a moment on. Raises InvalidArgument
        (limit)."""

    async def prune(self, keep: int, since: float) -> int:
        """Drop all but the newest ``keep`` entries, and those from before a moment; the newest one stays in any case.
        Returns how many went."""


class UsageCatalog(Protocol):
    """What tenants used, by the hour."""

    async def add(self, source: str, part: int, rows: Sequence[Usage], at: float) -> bool:
        """Add what a process has counted, all or nothing, and at most once: a part whose number is not higher than the
        last one that was added of this source changes nothing, and the answer is False. So a call whose outcome is
        not known may be repeated. Raises InvalidArgument (part under 1)."""

    async def list(
        self,
        since: int,
        until: int,
        *,
        index: str | None = None,
        tenant: str | None = None,
        by_day: bool = False,
        after: tuple[int, str, str] | None = None,
        limit: int = 1_000,
    ) -> list[Usage]:
        """Hours that start in ``[since, until)``, or their sums by day, ordered by start, index and tenant; after the
        row of that start, index and tenant."""

    async def forget(self, before: int) -> int:
        """Drop the hours that ended before that time; how many rows those were."""


class MigrationCatalog(Protocol):
    """Migrations of tenants between shards, and how far each is. One method is one transaction."""

    async def begin(self, migration: Migration, items: Sequence[Item]) -> None:
        """Record a new migration with its tenants. Raises NotFound (index); AlreadyExists when one has this id, or one
        of the index has not ended."""

    async def get(self, id: str) -> Migration:
        """Raises NotFound."""

    async def items(self, id: str) -> list[Item]:
        """Its tenants, in the order of waves, then of risk, then by name; none when it does not exist."""

    async def list(self, index: str | None = None, *, open_only: bool = False, limit: int = 100) -> list[Migration]:
        """Newest first (created_at, then id, both descending)."""

    async def save(self, migration: Migration, items: Sequence[Item]) -> None:
        """Save it, and those of its tenants that are given, if it is as it was before: compare-and-set on the revision,
        which must be one higher than the stored one. Raises NotFound; Conflict, and nothing has changed."""


class Catalog(Protocol):
    """The truth: what exists and where. Not on the hot path."""

    @property
    def indexes(self) -> IndexCatalog:
        """Logical indexes."""

    @property
    def shards(self) -> ShardCatalog:
        """The shard registry."""

    @property
    def tenants(self) -> TenantCatalog:
        """Tenants and routes."""

    @property
    def keys(self) -> KeyCatalog:
        """API keys."""

    @property
    def audit(self) -> AuditCatalog:
        """The audit log."""

    @property
    def settings(self) -> SettingCatalog:
        """Shared settings."""

    @property
    def moves(self) -> MoveCatalog:
        """Moves."""

    @property
    def leases(self) -> LeaseCatalog:
        """Leases."""

    @property
    def barriers(self) -> BarrierCatalog:
        """Acknowledged epochs."""

    @property
    def log(self) -> WriteLog:
        """Write logs."""

    @property
    def copies(self) -> CopyCatalog:
        """Retired copies."""

    @property
    def measures(self) -> MeasureCatalog:
        """What processes counted."""

    @property
    def migrations(self) -> MigrationCatalog:
        """Migrations of tenants."""

    @property
    def rollups(self) -> RollupCatalog:
        """Roll-ups."""

    @property
    def autopilot(self) -> AutopilotCatalog:
        """The record of the auto-pilot."""

    async def image(self) -> CatalogImage:
        """Indexes, shards, live tenants, keys and settings, all as of one moment."""

    @property
    def usage(self) -> UsageCatalog:
        """What tenants used."""

    async def aclose(self) -> None:
        """Close connections; safe to call twice."""
