"""What people and scripts see: one JSON document or a table on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

from tenantry.cli.failures import ExitCode, Failure, usage

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

#: Columns of text when it goes to a file or pipe: rows are not wrapped there.
UNBOUNDED = 10_000
CELL_CHARS = 160
LONG_LEAST = 16
NAME_LEAST = 24
BETWEEN = 2
#: Progress is drawn for work that takes longer than this.
MOMENT_S = 0.5

Row: TypeAlias = Sequence[Any]


class Output:
    """Where a command writes.

    Args:
        as_json: the answer is one JSON document on stdout.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def show(self, document: Any, *views: RenderableType) -> None:
        """The answer: ``document`` for scripts, or the views for people."""
        if self.as_json:
            write_json(document)
            return
        console = console_for(sys.stdout)
        room = console.width
        for view in views:
            console.width = max(room, getattr(view, "min_width", None) or 0)
            console.print(view, soft_wrap=isinstance(view, str))

    def line(self, text: str) -> None:
        """One line of an answer that is nothing but lines, such as ids; not in JSON."""
        sys.stdout.write(text + "\n")

    def say(self, message: str) -> None:
        """Tell people something that is not the answer."""
        console_for(sys.stderr).print(plain(message), soft_wrap=True)

    def warn(self, message: str, hint: str = "") -> None:
        """Tell people that something is not as it should be."""
        say_error("warning", message, hint)

    def confirm(self, question: str, yes: bool) -> None:
        """Go on only with ``--yes`` or a person's yes. Raises Failure."""
        if yes:
            return
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise usage(f"this needs confirmation: {question}", "repeat the command with --yes")
        sys.stderr.write(f"{plain(question)} [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise Failure("not confirmed; nothing was changed")

    @contextmanager
    def progress(self, what: str, total: float | None, *, as_bytes: bool = False) -> Iterator[Progress]:
        """A bar on stderr, when that is a terminal and the work takes more than a moment."""
        bar = Progress(what, total, as_bytes)
        try:
            yield bar
        finally:
            bar.stop()


class Progress:
    """A bar that appears only once the work has taken a moment."""

    def __init__(self, what: str, total: float | None, as_bytes: bool) -> None:
        self._what, self._total, self._as_bytes = what, total, as_bytes
        self._done = 0.0
        self._started = time.monotonic()
        self._shown: Any = None
        self._task: Any = None

    def advance(self, amount: float, note: str = "") -> None:
        """That much more is done."""
        self._done += amount
        if self._shown is None and sys.stderr.isatty() and time.monotonic() - self._started > MOMENT_S:
            self._start()
        if self._shown is not None:
            self._shown.update(self._task, completed=self._done, note=note)

    def of(self, total: float) -> None:
        """There is so much in all."""
        self._total = total
        if self._shown is not None:
            self._shown.update(self._task, total=total)

    def stop(self) -> None:
        """Take the bar away."""
        if self._shown is not None:
            self._shown.stop()

    def _start(self) -> None:
        from rich import progress

        size = progress.DownloadColumn() if self._as_bytes else progress.MofNCompleteColumn()
        self._shown = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=24),
            size,
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[note]}"),
            console=console_for(sys.stderr),
            transient=True,
        )
        self._shown.start()
        self._task = self._shown.add_task(self._what, total=self._total, completed=self._done, note="")


def console_for(stream: TextIO) -> Console:
    """Plain text in, no markup: names and texts of tenants are shown as they are."""
    from rich.console import Console

    width = None if stream.isatty() or "COLUMNS" in os.environ else UNBOUNDED
    return Console(file=stream, markup=False, highlight=False, emoji=False, width=width)


def write_json(document: Any) -> None:
    """The one document on stdout, whole or not at all."""
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=ascii_only, allow_nan=False) + "\n")


def say_error(kind: str, message: str, hint: str = "") -> None:
    """``error: ...`` or ``warning: ...``, and a hint, on stderr."""
    from rich.text import Text

    console = console_for(sys.stderr)
    style = "bold red" if kind == "error" else "bold yellow"
    console.print(Text.assemble((f"{kind}: ", style), plain(message)), soft_wrap=True)
    if hint:
        console.print(Text.assemble(("hint: ", "bold cyan"), plain(hint)), soft_wrap=True)


def say_failure(failure: Failure) -> None:
    """A failure, as people see it."""
    kind = "error" if failure.exit_code is not ExitCode.INTERRUPTED else "interrupted"
    say_error(kind, failure.message, failure.hint)


def table(columns: Sequence[str], rows: Iterable[Row], *, empty: str) -> RenderableType:
    """A table without a box. Columns that are empty in every row are left out, except the first.

    The first character of a column's name may say what it holds: ``>`` numbers, ``=`` short words that are never
    broken, ``~`` long texts that get the room that is left, of which the beginning will do. Other columns are
    folded where they must, so that nothing of a name is lost. A terminal that is too narrow even so breaks lines.
    """
    from rich.table import Table

    filled = [[cell(value) for value in row] for row in rows]
    if not filled:
        return empty
    made = Table(box=None, pad_edge=False, padding=(0, BETWEEN, 0, 0), header_style="bold", show_edge=False)
    kept = [i for i in range(len(columns)) if i == 0 or any(row[i] for row in filled)]
    made.min_width = sum(_least(columns[i], [row[i] for row in filled]) for i in kept) - BETWEEN
    made.expand = sys.stdout.isatty() and any(columns[i][0] == "~" for i in kept)
    for i in kept:
        kind, name = (columns[i][0], columns[i][1:]) if columns[i][0] in ">=~" else ("", columns[i])
        made.add_column(
            name,
            justify="right" if kind == ">" else "left",
            no_wrap=bool(kind),
            overflow="ellipsis" if kind == "~" else "fold",
            min_width=max(len(name), LONG_LEAST if kind == "~" else 0),
            ratio=1 if kind == "~" and made.expand else None,
        )
    for row in filled:
        made.add_row(*(row[i] for i in kept))
    return made


def _least(column: str, cells: Sequence[str]) -> int:
    """The room that a column needs, with what is between it and the next."""
    from rich.cells import cell_len

    longest = max(map(cell_len, cells))
    match column[0]:
        case "~":
            longest = LONG_LEAST
        case ">" | "=":
            column = column[1:]
        case _:
            longest = min(longest, NAME_LEAST)
    return max(len(column), longest) + BETWEEN


def fields(document: Mapping[str, Any]) -> RenderableType:
    """One thing, a field a line; fields without a value are left out."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in document.items():
        shown = cell(value)
        if shown:
            made.add_row(name.replace("_", " "), shown)
    return made


def cell(value: Any) -> str:
    """A value as people read it; the empty string for one that says nothing."""
    if value is None or value == "" or (isinstance(value, dict | list | tuple) and not value):
        return ""
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.4f}".rstrip("0").rstrip(".")
        case dict():
            return plain(", ".join(f"{name}={_inline(one)}" for name, one in value.items()))
        case list() | tuple():
            return plain(", ".join(_inline(one) for one in value))
    return plain(str(value))


def many(count: int, noun: str, plural: str = "") -> str:
    """``1 shard``, ``1,200 shards``, ``2 copies``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def size(count: int | None) -> str:
    """Bytes for people."""
    if not count:
        return ""
    amount, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"


def lasting(seconds: float) -> str:
    """A duration in its largest whole unit: ``1 d``, ``15 min``, ``0.5 s``."""
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} s"


def when(seconds: float | None, *, short: bool = False) -> str:
    """A moment, in UTC."""
    if not seconds:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%MZ" if short else "%Y-%m-%d %H:%M:%SZ")


def plain(text: str) -> str:
    """Text of unknown origin, safe for a terminal: control characters become visible or blank."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else " " if one.isspace() else "\N{REPLACEMENT CHARACTER}" for one in text)


def short(text: str, chars: int = CELL_CHARS) -> str:
    """One line of at most that many characters."""
    line = " ".join(plain(text).split())
    return line if len(line) <= chars else line[: chars - 1] + "…"


def _inline(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
