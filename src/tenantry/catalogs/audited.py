"""What every catalog holds to about keys and the audit log, whatever holds its rows. Pure."""

from __future__ import annotations

import msgspec

from tenantry.errors import InvalidArgument, Refused
from tenantry.model.audit import Chain, Deed, Entry, chained, extended
from tenantry.model.keys import ApiKey


def replaced(old: ApiKey, new: ApiKey, until: float) -> ApiKey:
    """A key once another is in its place. Raises Refused."""
    if old.replaced_by is not None:
        raise Refused(f"key {old.id!r} was replaced already, by {old.replaced_by!r}: rotate that one")
    if not old.usable(new.created_at):
        state = "revoked" if old.revoked_at is not None else "at its end"
        raise Refused(f"key {old.id!r} is {state} and cannot be rotated; create a new one")
    ends = until if old.expires_at is None else min(until, old.expires_at)
    return msgspec.structs.replace(old, expires_at=ends, replaced_by=new.id)


def pruned(chain: Chain, last: Entry | None, through: int, deed: Deed) -> tuple[Chain, Entry]:
    """The chain once entries up to ``through`` (the last of them is ``last``) are gone, with the entry that says so.
    Raises InvalidArgument."""
    if last is None or not chain.base_seq < through <= chain.seq:
        kept = f"{chain.base_seq + 1} to {chain.seq}" if chain.seq > chain.base_seq else "none: the log is empty"
        raise InvalidArgument("through", through, f"the number of an entry that is there, {kept}")
    entries = through - chain.base_seq
    noted = msgspec.structs.replace(
        deed, detail={**deed.detail, "through": through, "hash": last.hash, "entries": entries}
    )
    entry = chained(chain, noted)
    return extended(msgspec.structs.replace(chain, base_seq=through, base_hash=last.hash), entry), entry
