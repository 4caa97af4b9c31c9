"""How migrations look in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType


def plan_views(made: Mapping[str, Any]) -> list[RenderableType]:
    """A plan: waves, targets, what it comes to, what stands against it."""
    from tenantry.cli.output import many, size, table, when

    waves = (
        [
            f"{one['number']}{' canaries' if one['canary'] else ''}",
            len(one["tenants"]),
            one["vectors"],
            size(one["bytes"]),
            f"{one['risk_least']:.2f}-{one['risk_most']:.2f}",
            when(one["due_at"], short=True),
            duration(one["expected_s"]),
            ", ".join(one["tenants"]),
        ]
        for one in made["waves"]
    )
    columns = ["=wave", ">tenants", ">vectors", ">size", ">risk", "=not before", ">takes", "~tenants"]
    targets = (
        [
            one["shard"],
            one["backend"],
            _held(one["tenants_before"], one["tenants_after"], one["max_tenants"]),
            _held(one["vectors_before"], one["vectors_after"], one["max_vectors"]),
            size(one["coming_bytes"]),
            size(one["free_bytes"]) or "not told",
            one["problem"] or "ok",
        ]
        for one in made["capacity"]
    )
    found: list[RenderableType] = [table(columns, waves, empty="no waves"), ""]
    found += [table(["target", "=engine", ">tenants", ">vectors", ">comes", ">free", "room"], targets, empty=""), ""]
    whole = f"{many(len(made['items']), 'tenant')}, {many(made['vectors'], 'vector')}, {size(made['bytes']) or '0 B'}"
    time = f", {duration(made['expected_s'])} in all" if made["expected_s"] is not None else ""
    found.append(f"{whole} in {many(len(made['waves']), 'wave')}{time}")
    found.append(f"cost a month: {_bill(made['before'])} now, {_bill(made['after'])} once it is finished")
    found += [f"note: {one}" for one in made["notes"]]
    found += [f"would stop it: {one}" for one in made["blockers"]]
    return found


def fields_of(found: Mapping[str, Any]) -> RenderableType:
    """A migration in a few lines."""
    from tenantry.cli.output import fields, when

    return fields(
        {
            "migration": found["id"],
            "state": found["state"] + (f": {found['reason']}" if found["reason"] else ""),
            "from": ", ".join(found["sources"]) or "tenants by name",
            "to": ", ".join(found["targets"]),
            "tenants": f"{found['moved']} of {found['tenants']} moved"
            + (f", {found['failed']} failed" if found["failed"] else ""),
            "moving": ", ".join(found["moving"]),
            "started": when(found["created_at"], short=True),
            "next": when(found["next_at"], short=True),
        }
    )


def wave_table(found: Mapping[str, Any]) -> RenderableType:
    """Its waves and what their gates say."""
    from tenantry.cli.output import table, when

    rows = (
        [
            f"{one['number']}{' canaries' if one['canary'] else ''}",
            one["tenants"],
            one["moved"],
            one["failed"] or "",
            when(one["began_at"] or one["due_at"], short=True),
            "taken back" if one["number"] in found["rolling_back"] else _stage(one),
            _gate(one["gate"]),
        ]
        for one in found["waves"]
    )
    columns = ["=wave", ">tenants", ">moved", ">failed", "=begins", "=stage", "gate"]
    return table(columns, rows, empty="no waves")


def list_table(found: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Migrations, one a line."""
    from tenantry.cli.output import table, when

    rows = (
        [
            one["id"],
            one["state"],
            f"{one['moved']} of {one['tenants']}",
            ", ".join(one["sources"]) or "tenants by name",
            ", ".join(one["targets"]),
            when(one["created_at"], short=True),
            one["reason"],
        ]
        for one in found
    )
    return table(["=id", "=state", "=moved", "from", "to", "=started", "reason"], rows, empty="no migrations")


def items_table(found: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Tenants of a migration."""
    from tenantry.cli.output import table

    rows = (
        [
            one["tenant"],
            one["wave"],
            one["source"],
            one["target"],
            one["state"],
            f"{one['risk']:.2f}",
            one["vectors"],
            one["records"],
            "" if one["pause_ms"] is None else f"{one['pause_ms']:.0f} ms",
            one["error"],
        ]
        for one in found
    )
    columns = ["tenant", ">wave", "=from", "=to", "=state", ">risk", ">vectors", ">compared", ">pause", "note"]
    return table(columns, rows, empty="no tenants")


def next_step(found: Mapping[str, Any]) -> str:
    """What comes next, and who must do it."""
    from tenantry.cli.output import when

    state = found["state"]
    if state == "paused":
        return (
            "`tenantry migrate resume` goes on, `tenantry migrate rollback` takes it back"
            + ("; docs/how-to/runbook.md#migration-held says what to look at" if found["held"] else "")
        )  # fmt: skip
    if state == "done":
        return "every wave is through: `tenantry migrate finish` ends it for good, until then `tenantry migrate rollback` takes it back"  # noqa: E501
    if state == "running" and found["idle"]:
        return (
            f"next at {when(found['next_at'], short=True)}; `tenantry serve` carries it on, or "
            "`tenantry migrate resume`, with --now before that time"
        )
    return ""


def duration(seconds: float | None) -> str:
    """A length of time for people."""
    if seconds is None:
        return "unknown"
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _stage(wave: Mapping[str, Any]) -> str:
    if wave["passed_at"] is not None:
        return "passed"
    if wave["moved_at"] is not None:
        return "watched"
    return "moving" if wave["began_at"] is not None else "waiting"


def _gate(gate: Mapping[str, Any] | None) -> str:
    if gate is None:
        return ""
    if gate["regressions"]:
        return "held: " + "; ".join(gate["regressions"])
    if gate["notes"]:
        return "open; " + "; ".join(gate["notes"])
    before = "" if gate["baseline_p95_ms"] is None else f" ({gate['baseline_p95_ms']:.1f} before)"
    return f"open: {gate['error_rate']:.2%} failed, P95 {gate['p95_ms']:.1f} ms{before}"


def _held(before: int, after: int, most: int | None) -> str:
    limit = "" if most is None else f" of {most:,}"
    return f"{before:,} -> {after:,}{limit}"


def _bill(bill: Mapping[str, Any] | None) -> str:
    if bill is None or bill["monthly"] is None:
        return "unknown" if bill is None else f"unknown ({bill['why_not']})"
    each = "" if bill["per_tenant"] is None else f" (${bill['per_tenant']:,.2f} a tenant)"
    return f"${bill['monthly']:,.2f}{each}"
