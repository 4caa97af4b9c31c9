"""What benches share: spreads over rounds, verdicts against an aim, tables."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PASS, OVER, BEHIND = "PASS", "over", "behind"
ROWS_SHOWN = 200


@dataclass(frozen=True)
class Spread:
    """One figure, measured once a round: the median of the rounds, the least and the greatest."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, rounds: Sequence[float]) -> Spread:
        return cls(statistics.median(rounds), min(rounds), max(rounds), len(rounds))

    def together(self) -> str:
        """Median, and the range in brackets."""
        median, around = self.shown()
        return f"{median} ({around})" if around else median

    def shown(self) -> tuple[str, str]:
        if self.rounds == 1:
            return number(self.median), ""
        return number(self.median), f"{number(self.low)}..{number(self.high)}"


@dataclass(frozen=True)
class Row:
    """A line of a report; one without an aim is there to be read beside the others."""

    what: str
    figure: Spread
    unit: str
    aim: str = ""
    verdict: str = ""


@dataclass(frozen=True)
class Grid:
    """Figures side by side: a row for each figure, a column for each engine; cells as they are shown."""

    title: str
    columns: list[str]
    rows: list[list[str]]


@dataclass
class Report:
    """What a bench found."""

    bench: str
    title: str
    rows: list[Row] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    def info(self, what: str, rounds: Sequence[float], unit: str) -> None:
        self.rows.append(Row(what, Spread.of(rounds), unit))

    def at_most(self, what: str, rounds: Sequence[float], unit: str, limit: float) -> None:
        figure = Spread.of(rounds)
        verdict = PASS if figure.median <= limit else OVER
        self.rows.append(Row(what, figure, unit, f"<= {number(limit)} {unit}", verdict))

    def at_least(self, what: str, rounds: Sequence[float], unit: str, limit: float) -> None:
        figure = Spread.of(rounds)
        verdict = PASS if figure.median >= limit else BEHIND
        self.rows.append(Row(what, figure, unit, f">= {number(limit)} {unit}", verdict))

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def missed(self) -> list[Row]:
        return [row for row in self.rows if row.verdict not in ("", PASS)]


@dataclass(frozen=True)
class Context:
    """How to run: sizes, rounds, and a folder that is removed afterwards."""

    quick: bool
    rounds: int
    folder: Path
    options: dict[str, str]
    say: Callable[[str], None]

    def pick(self, full: int, quick: int) -> int:
        return quick if self.quick else full


def number(value: float) -> str:
    """Three or four digits that matter."""
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.3g}" if size >= 0.01 or size == 0 else f"{value:.1e}"


def median_us(seconds: Sequence[float]) -> float:
    return statistics.median(seconds) * 1e6


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of them lie; the nearest one that was measured."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def show(report: Report, console: Console) -> None:
    for grid in report.grids:
        side = Table(title=f"{report.bench}: {grid.title}", title_justify="left", header_style="bold")
        for i, column in enumerate(grid.columns):
            side.add_column(column, justify="right" if i else "left")
        for cells in grid.rows:
            side.add_row(*cells)
        console.print(side)
    table = Table(title=f"{report.bench}: {report.title}", title_justify="left", header_style="bold")
    table.add_column("what", overflow="fold")
    for heading in ("median", "min..max of rounds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("unit", "aim", "verdict"):
        table.add_column(heading, no_wrap=True)
    for row in report.rows[:ROWS_SHOWN]:
        style = {"": "", PASS: "green"}.get(row.verdict, "yellow")
        table.add_row(row.what, *row.figure.shown(), row.unit, row.aim, f"[{style}]{row.verdict}[/]" if style else "")
    console.print(table)
    for note in report.notes:
        console.print(f"  {note}", highlight=False)
