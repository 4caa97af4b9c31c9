"""Cards and bills, as people see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

MARKS = {"stop": "-", "mind": "!", "go": "+"}
LEVELS = {"stop": "against", "mind": "mind", "go": "for"}
STYLES = {"stop": "red", "mind": "yellow", "go": "green"}


def card_views(card: Mapping[str, Any]) -> list[RenderableType]:
    """The decision card: advice, why, signals, size, comparison, forecast, assumptions."""
    from rich.text import Text

    load, size = card["workload"], card["sizing"]
    views: list[RenderableType] = [
        Text(card["headline"], style="bold green" if card["shard"] else "bold cyan"),
        _workload(load),
        "",
        _bullets(("", why, "") for why in card["why"]),
    ]
    if card["flags"]:
        views += ["", Text("Signals", style="bold")]
        views.append(
            _bullets(
                (f"{MARKS[one['level']]} {LEVELS[one['level']]}", one["text"], STYLES[one["level"]])
                for one in card["flags"]
            )
        )
    views += ["", Text("Shards needed", style="bold"), _sizing(size), "", Text("Compared", style="bold")]
    views.append(_choices(card["choices"]))
    if card["what_if"]:
        views += ["", Text("What if", style="bold"), what_if_table(card["what_if"])]
    if card["forecast"]:
        views += ["", Text("Forecast", style="bold"), _forecast(card["forecast"])]
    budget = card["budget"]
    if budget is not None:
        views += ["", f"budget: ${budget['monthly']:,.0f} of ${budget['budget']:,.0f} a month, {budget['state']}"]
    views.append(_bullets(("note", note, "dim") for note in [*card["notes"], *card["prices"]]))
    return views


def history_views(history: Mapping[str, Any], tenant: str | None) -> list[RenderableType]:
    """A row for each day: the bill, and the tenants' parts of it."""
    from tenantry.cli.output import table

    cells = []
    for day in history["days"]:
        date = datetime.fromtimestamp(day["start"], UTC).date().isoformat()
        parts = [f"{one['tenant']} {one['cost']:,.2f}" for one in day["tenants"]]
        if tenant is not None:
            parts = [f"{one['cost']:,.2f}" for one in day["tenants"]] or ["0.00"]
        cells.append([date, f"{day['monthly']:,.2f}", ", ".join(parts)])
    columns = ["day", f">{history['currency']} a month", "dearest tenants" if tenant is None else f"=of it {tenant}"]
    views: list[RenderableType] = [table(columns, cells, empty="nothing was counted yet"), ""]
    return [*views, _bullets(("note", note, "dim") for note in history["notes"])]


def cost_views(report: Mapping[str, Any], rows: int) -> list[RenderableType]:
    """The bill, shard by shard and tenant by tenant."""
    from rich.text import Text

    from tenantry.cli.output import many, table

    each = "" if report["per_tenant"] is None else f", ${report['per_tenant']:,.2f} a tenant on average"
    views: list[RenderableType] = [Text(f"${report['monthly']:,.2f} a month{each}", style="bold")]
    lines = ([line["what"], f"{line['amount']:,.2f}", line["source"]] for line in report["lines"])
    views += [table(["=what", ">USD", "price of"], lines, empty="nothing"), ""]
    views += [_shards(report["shards"]), ""]
    shown = report["tenants"][:rows]
    cells = (
        [
            one["tenant"],
            one["shard"],
            f"{one['vectors']:,}",
            f"{one['qps']:,.2f}",
            f"{one['storage_share']:.0%}",
            f"{one['load_share']:.0%}",
            f"{one['used']:,.2f}",
            f"{one['cost']:,.2f}",
        ]
        for one in shown
    )
    columns = ["tenant", "shard", ">vectors", ">qps", ">storage", ">load", ">used", ">USD"]
    views.append(table(columns, cells, empty="no tenants"))
    left = len(report["tenants"]) - len(shown)
    if left:
        views.append(f"and {many(left, 'tenant')} more; --rows, --csv or --json show them")
    views.append("")
    saving = f", ${report['saving']:,.0f} a month less" if report["saving"] else ""
    views.append(f"shards needed: {report['shards_needed']} of {len(report['shards'])}{saving}")
    views.append(f"idle capacity: ${report['wasted']:,.2f} a month")
    if report["what_if"]:
        views += ["", Text("What if", style="bold"), what_if_table(report["what_if"])]
    if report["notes"]:
        views.append(_bullets(("note", note, "dim") for note in report["notes"]))
    return views


def what_if_table(tried: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Numbers of shards, one a row."""
    from tenantry.cli.output import table

    cells = (
        [
            one["shards"],
            "yes" if one["fits"] else "no",
            "" if one["fullest"] is None else f"{one['fullest']:.0%}",
            f"{one['skew']:.2f}",
            _money(one["monthly"]),
            _money(one["per_tenant"], 2),
            _money(one["wasted"]),
        ]
        for one in tried
    )
    return table([">shards", "=fits", ">fullest", ">skew", ">USD", ">a tenant", ">idle"], cells, empty="nothing tried")


def _workload(load: Mapping[str, Any]) -> RenderableType:
    from rich.text import Text

    words = [f"{load['tenants']:,} tenants", f"{load['vectors']:,} vectors of {load['dimension']:,}"]
    for value, text in (
        (load["qps"], "{:,.1f} queries/s"),
        (load["p95_ms"], "P95 {:,.0f} ms"),
        (load["cross_tenant"], "{:.0%} across tenants"),
        (load["top_share"], "{:.0%} of vectors in the largest tenth"),
        (load["shards"], "{:,} shards now"),
    ):
        if value is not None:
            words.append(text.format(value))
    return Text(", ".join(words), style="dim")


def _sizing(size: Mapping[str, Any]) -> RenderableType:
    from tenantry.cli.output import table

    rows = (
        ("by tenants", size["by_tenants"], size["tenants_per_shard"]),
        ("by vectors", size["by_vectors"], size["vectors_per_shard"]),
        ("by queries a second", size["by_qps"], size["qps_per_shard"]),
        ("by whole tenants", size["packed"], None),
        ("needed", size["shards"], None),
    )
    cells = ([name, shards, most] for name, shards, most in rows if shards is not None)
    return table(["constraint", ">shards", ">most on each"], cells, empty="")


def _choices(choices: Sequence[Mapping[str, Any]]) -> RenderableType:
    from tenantry.cli.output import table

    cells = (
        [
            ("> " if n == 0 else "  ") + one["architecture"],
            one["indexes"],
            _money(one["monthly"]),
            _money(one["per_tenant"], 2),
            "yes" if one["fits"] else "no",
            one["note"],
        ]
        for n, one in enumerate(choices)
    )
    return table(["=  architecture", ">indexes", ">USD", ">a tenant", "=fits", "note"], cells, empty="")


def _forecast(months: Sequence[Mapping[str, Any]]) -> RenderableType:
    from tenantry.cli.output import table

    cells = (
        [one["month"], one["tenants"], one["vectors"], one["shards"], _money(one["monthly"])]
        for n, one in enumerate(months)
        if n in (0, 1, 3, 6, 12, 24, 36, 60, len(months) - 1) or one["shards"] != months[n - 1]["shards"]
    )
    return table([">month", ">tenants", ">vectors", ">shards", ">USD"], cells, empty="")


def _shards(shards: Sequence[Mapping[str, Any]]) -> RenderableType:
    from tenantry.cli.output import table

    cells = (
        [
            one["shard"],
            one["offer"],
            one["tenants"],
            one["vectors"],
            "" if one["utilisation"] is None else f"{one['utilisation']:.0%}",
            f"{one['cost']:,.2f}",
            f"{one['wasted']:,.2f}" if one["wasted"] else "",
        ]
        for one in shards
    )
    columns = ["shard", "=rented as", ">tenants", ">vectors", ">used", ">USD", ">idle"]
    return table(columns, cells, empty="no shards")


def _bullets(lines: Iterable[tuple[str, str, str]]) -> RenderableType:
    """A mark and a text on each line; texts are wrapped beside their marks."""
    from rich.table import Table

    from tenantry.cli.output import plain

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    for mark, text, style in lines:
        made.add_row(mark or "-", plain(text), style=style or None)
    return made


def _money(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
