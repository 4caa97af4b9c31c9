"""How moves look: the progress bar, the table, the fields, the proof in words."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from rich.console import RenderableType

#: In the order in which they come; the bar goes through them.
PHASES = ("prepare", "capture", "copy", "catch-up", "verify", "flip", "settle", "soak")


class Bar:
    """Progress of one move on stderr: a bar on a terminal, a line for each phase otherwise, nothing with JSON."""

    def __init__(self, silent: bool, begun: Mapping[str, Any]) -> None:
        self._silent = silent
        self._begun = begun
        self._phase = ""
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if not self._silent and sys.stderr.isatty():
            from rich import progress

            from tenantry.cli.output import console_for

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(bar_width=20),
                progress.TextColumn("{task.fields[note]}"),
                console=console_for(sys.stderr),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(f"{self._begun['tenant']} prepare", total=1.0, note="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if isinstance(error, KeyboardInterrupt) and not self._silent:
            sys.stderr.write(f"the move goes on; watch it with `tenantry moves watch {self._begun['id']}`\n")

    def show(self, found: Mapping[str, Any]) -> None:
        """The move as it stands."""
        if self._silent:
            return
        if self._bar is not None:
            self._bar.update(
                self._task, description=f"{found['tenant']} {found['phase']}", completed=share(found), note=note(found)
            )
        elif found["phase"] != self._phase:
            sys.stderr.write(f"{found['tenant']}: {found['phase']}\n")
        self._phase = found["phase"]


def share(found: Mapping[str, Any]) -> float:
    """How far a move is on its way to the switch, 0 to 1; copying is the longest part of it."""
    phase = found["phase"]
    if phase not in PHASES:
        return 1.0
    if phase == "copy":
        return float(0.1 + 0.6 * found["progress"]["share"])
    return {"prepare": 0.0, "capture": 0.05, "catch-up": 0.7, "verify": 0.75, "flip": 0.95}.get(phase, 1.0)


def note(found: Mapping[str, Any]) -> str:
    """What happens at the moment, in a few words."""
    progress = found["progress"]
    if found["error"]:
        return f"waiting: {found['error']}"
    if found["phase"] != "copy":
        return ""
    words = f"{progress['copied']:,} of about {progress['vectors']:,} vectors"
    if progress["rate"]:
        words += f", {progress['rate']:,.0f}/s"
    if progress["eta_s"]:
        words += f", {progress['eta_s']:.0f} s left"
    return words


def move_table(moves: Iterable[Mapping[str, Any]]) -> RenderableType:
    """Moves, one a row."""
    from tenantry.cli.output import table, when

    columns = ["=id", "tenant", "source", "target", "=phase", ">vectors", "why", "=begun", "error"]
    rows = (
        [
            one["id"],
            one["tenant"],
            one["source"],
            one["target"],
            one["phase"] if one["wish"] != "pause" else f"{one['phase']} (paused)",
            f"{one['progress']['vectors']:,}",
            one["why"],
            when(one["created_at"], short=True),
            one["error"],
        ]
        for one in moves
    )
    return table(columns, rows, empty="no moves; `tenantry move TENANT --to SHARD` begins one")


def move_fields(found: Mapping[str, Any]) -> RenderableType:
    """One move, a field a line."""
    from tenantry.cli.output import fields, size, when

    progress = found["progress"]
    copied = f"{progress['copied']:,} of about {progress['vectors']:,} vectors ({size(progress['copied_bytes'])})"
    if progress["rate"]:
        copied += f", {progress['rate']:,.0f}/s"
    shown = {
        "id": found["id"],
        "tenant": found["tenant"],
        "from": f"{found['source']} ({found['source_namespace']})",
        "to": f"{found['target']} ({found['target_namespace']})",
        "phase": found["phase"],
        "wish": found["wish"] if found["wish"] != "run" else None,
        "why": found["why"],
        "begun": when(found["created_at"]),
        "copied": copied,
        "behind": f"{found['lag']:,} log entries" if found["lag"] else None,
        "writes waited at the switch": _ms(found["flip_ms"]),
        "writes waited at the way back": _ms(found["back_ms"]),
        "can be rolled back until": when(found["soak_until"]),
        "error": found["error"],
    }
    return fields(shown)


def phase_table(found: Mapping[str, Any]) -> RenderableType:
    """When each phase began, and how long it took."""
    from tenantry.cli.output import table, when

    begun = sorted(found["started"].items(), key=lambda item: item[1])
    following = [at for _, at in begun[1:]] + [None]
    rows = (
        [phase, when(at), "" if after is None else f"{after - at:.2f} s"]
        for (phase, at), after in zip(begun, following, strict=True)
    )
    return table(["=phase", "=begun", ">took"], rows, empty="")


def proof_in_words(found: Mapping[str, Any]) -> str:
    """What was compared."""
    proof = found["proof"]
    if proof is None:
        return "both sides have not been compared yet"
    healed = proof["missing"] + proof["extra"] + proof["different"]
    mended = f", after {healed:,} were mended" if healed else ""
    shadow = f"; {proof['samples']} queries agreed on {proof['overlap']:.0%} of their hits" if proof["samples"] else ""
    rounded = f", values within {proof['tolerance']:g} of their length" if proof["tolerance"] else ""
    logged = proof["log_to"] - proof["log_from"] + 1
    entries = f"log entries {proof['log_from']} to {proof['log_to']}" if logged > 0 else "nothing was logged meanwhile"
    return (
        f"proof: {proof['records']:,} records the same on both sides{mended}{rounded} (digest {proof['digest']})"
        f"{shadow}; {entries}; {proof['took_s']:.2f} s"
    )


def _ms(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f} ms"
