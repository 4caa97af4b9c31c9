"""The native API's audit log."""

from __future__ import annotations

from typing import Any

import msgspec

from tenantry.errors import InvalidArgument
from tenantry.gateway.native import wire_audit as wire
from tenantry.gateway.table import Access, Call, Endpoint, Face
from tenantry.model.audit import Entry, Wanted

SECONDS_MOST = 1e11


async def list_entries(call: Call, asked: wire.ListAudit) -> wire.Entries:
    """One page."""
    wanted = Wanted(
        limit=asked.limit,
        after=_number(asked.after, "after"),
        before=_number(asked.before, "before"),
        index=asked.index,
        tenant=asked.tenant,
        actor=asked.actor,
        action=asked.action,
        since_us=_us(asked.since, "since"),
        until_us=_us(asked.until, "until"),
    )
    page = await call.cluster.audit.list(wanted)
    return wire.Entries([shown(entry) for entry in page], page[-1].seq if len(page) == asked.limit else None)


async def verify(call: Call, asked: wire.VerifyAudit) -> wire.Proof:
    """Look at every entry."""
    proof = await call.cluster.audit.verify(_number(asked.seq, "seq"), asked.hash)
    return wire.Proof(
        whole=proof.whole,
        entries=proof.entries,
        first=proof.first,
        last=proof.last,
        head=proof.head,
        pruned=proof.pruned,
        flaws=[wire.Flaw(flaw.seq, flaw.what) for flaw in proof.flaws],
    )


async def prune(call: Call, asked: wire.PruneAudit) -> wire.PrunedAudit:
    """Remove old entries."""
    _us(asked.before, "before")
    who = call.who
    entry = await call.cluster.audit.prune(
        asked.before, actor=who.actor, scope=str(who.scope), request_id=call.request_id
    )
    return wire.PrunedAudit(None if entry is None else shown(entry))


def shown(entry: Entry) -> wire.Entry:
    """An entry as the API shows it. One that was altered is shown as it is."""
    values: dict[str, Any] = msgspec.structs.asdict(entry)
    text = values.pop("detail")
    try:
        detail = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        detail = {"unreadable": text}
    return wire.Entry(**values, at=entry.at_us / 1_000_000, detail=detail, detail_text=text)


def routes(face: Face) -> list[Endpoint]:
    """The table."""
    return [
        Endpoint(
            face=face,
            method="GET",
            path="/v1/audit",
            handle=list_entries,
            access=Access.SEE,
            query=wire.ListAudit,
            response=wire.Entries,
            summary="List the audit log",
        ),
        Endpoint(
            face=face,
            method="POST",
            path="/v1/audit/verify",
            handle=verify,
            access=Access.SEE,
            request=wire.VerifyAudit,
            response=wire.Proof,
            patient=True,
            summary="Verify the audit log",
        ),
        Endpoint(
            face=face,
            method="POST",
            path="/v1/audit/prune",
            handle=prune,
            access=Access.ADMIN,
            request=wire.PruneAudit,
            response=wire.PrunedAudit,
            patient=True,
            action="audit.prune-asked",
            summary="Remove old entries of the audit log",
        ),
    ]


def _us(seconds: float | None, field: str) -> int | None:
    if seconds is None:
        return None
    if not 0 <= seconds < SECONDS_MOST:
        raise InvalidArgument(field, seconds, "a time in seconds since 1970")
    return int(seconds * 1_000_000)


def _number(given: int | None, field: str) -> int | None:
    if given is not None and not 0 <= given < 2**63:
        raise InvalidArgument(field, given, "the number of an entry")
    return given
