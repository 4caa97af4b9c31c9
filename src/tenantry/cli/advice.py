"""``tenantry advise`` and ``tenantry cost``: shard or not, and what it costs whom."""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenantry.cli.command import DEFAULT_INDEX, Data, Index, Json, Key, Session, Url, command, converse
from tenantry.cli.command import local_command as local
from tenantry.cli.failures import usage

if TYPE_CHECKING:
    from tenantry.model.cost import PriceBook

GROUP = "Cost and advice"
IMAGINE = "A cluster that does not exist yet"
_SCALE = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9}
_QUANTITY = re.compile(r"(\d+(?:[._]?\d+)*(?:\.\d+)?)\s*([kmbg]?)", re.IGNORECASE)
MOST_TRIED = 64

Offer = Annotated[str | None, typer.Option("--offer", metavar="NAME", help="What a shard is rented as; see the docs.")]
Overhead = Annotated[
    str | None,
    typer.Option("--overhead", metavar="NAMES", help="Besides shards: redis,postgresql,operations, or none."),
]
Budget = Annotated[str | None, typer.Option("--budget", metavar="USD", help="Of a month; told of when over it.")]
Prices = Annotated[
    Path | None,
    typer.Option("--prices", metavar="FILE", dir_okay=False, help="Your prices, laid over the book; TENANTRY_PRICES."),
]
Shards = Annotated[
    str | None, typer.Option("--shards", metavar="N..M", help="Try these numbers of shards out: 1..8, or 2,4,6.")
]


def _of(option: str, metavar: str | None, help: str) -> Any:
    """An option about a cluster that does not exist."""
    return typer.Option(option, metavar=metavar, help=help, rich_help_panel=IMAGINE)


Tenants = Annotated[str | None, _of("--tenants", "N", "Tenants.")]
Vectors = Annotated[str | None, _of("--vectors", "N", "Vectors: 1200000, 1.2M.")]
Dimension = Annotated[int, _of("--dimension", "D", "Numbers in a vector.")]
Writes = Annotated[str | None, _of("--writes", "N", "Records written a second.")]
TopShare = Annotated[str | None, _of("--top-share", "PART", "Vectors in the largest 10% of tenants.")]
Large = Annotated[str | None, _of("--large", "N", "Tenants of 100,000 vectors or more.")]
LargeVectors = Annotated[str | None, _of("--large-vectors", "N", "What these hold together.")]
Sigma = Annotated[float | None, _of("--sigma", "S", "Sizes are lognormal, of this spread: 0 to 5.")]
Seed = Annotated[int, _of("--seed", "N", "Of those sizes.")]
Pinecone = Annotated[
    str | None, typer.Option("--pinecone", metavar="NAME", help="An existing Pinecone index; key: PINECONE_API_KEY.")
]
PineconeHost = Annotated[
    str | None, typer.Option("--pinecone-host", metavar="URL", help="Its host, instead of looking the name up.")
]
Qps = Annotated[str | None, typer.Option("--qps", metavar="N", help="Queries a second, on average.")]
P95 = Annotated[float | None, typer.Option("--p95", metavar="MS", help="P95 of queries, milliseconds.")]
CrossTenant = Annotated[
    str | None, typer.Option("--cross-tenant", metavar="PART", help="Queries that ask several tenants: 5%.")
]
Revenue = Annotated[str | None, typer.Option("--revenue", metavar="USD", help="What a tenant pays you a month.")]
Isolated = Annotated[bool, typer.Option("--isolated", help="Tenants must be apart, by contract or law.")]
Unpredictable = Annotated[bool, typer.Option("--unpredictable", help="Traffic comes and goes.")]
GrowthRate = Annotated[
    str | None, typer.Option("--growth", metavar="PART", help="Growth a month: 10%; default: as measured.")
]
Months = Annotated[int, typer.Option("--months", metavar="N", help="Months of the forecast.")]


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    examples = [
        "tenantry advise",
        "tenantry advise --tenants 90 --vectors 1.2M --qps 50 --cross-tenant 5% --budget 500",
        "tenantry advise --pinecone my-index",
    ]
    local(program, "advise", examples=examples, panel=GROUP)(advise)
    examples = ["tenantry cost", "tenantry cost --shards 1..8", "tenantry cost --csv --url URL"]
    command(program, "cost", examples=examples, panel=GROUP)(cost)
    examples = ["tenantry cost-history", "tenantry cost-history --days 7 --tenant acme"]
    command(program, "cost-history", examples=examples, panel=GROUP)(cost_history)


def advise(
    *,
    tenants: Tenants = None,
    vectors: Vectors = None,
    dimension: Dimension = 1_536,
    writes: Writes = None,
    top_share: TopShare = None,
    large: Large = None,
    large_vectors: LargeVectors = None,
    sigma: Sigma = None,
    seed: Seed = 0,
    pinecone: Pinecone = None,
    pinecone_host: PineconeHost = None,
    qps: Qps = None,
    p95: P95 = None,
    cross_tenant: CrossTenant = None,
    budget: Budget = None,
    revenue: Revenue = None,
    isolated: Isolated = False,
    unpredictable: Unpredictable = False,
    growth: GrowthRate = None,
    months: Months = 12,
    shards: Shards = None,
    offer: Offer = None,
    overhead: Overhead = None,
    prices: Prices = None,
    index: Index = DEFAULT_INDEX,
    data: Data = None,
    url: Url = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Say whether to shard, how, how many shards, what it costs, and why.

    Of the cluster that runs; with --tenants and --vectors of one that does not exist yet (no folder is needed); with
    --pinecone of an index of yours. Only reads.
    """
    asked: dict[str, Any] = {
        "qps": quantity(qps, "--qps"),
        "p95_ms": p95,
        "cross_tenant": part(cross_tenant, "--cross-tenant"),
    }
    asked |= {"budget": quantity(budget, "--budget"), "revenue": quantity(revenue, "--revenue")}
    asked |= {"isolated": isolated, "unpredictable": unpredictable, "growth": part(growth, "--growth")}
    asked |= {"months": months, "shards": numbers(shards), "offer": offer, "overhead": names(overhead)}
    imagined: dict[str, Any] = {
        "tenants": whole(tenants, "--tenants"),
        "vectors": whole(vectors, "--vectors"),
        "dimension": dimension,
    }
    imagined |= {"writes": quantity(writes, "--writes"), "top_share": part(top_share, "--top-share")}
    imagined |= {"large": whole(large, "--large"), "large_vectors": whole(large_vectors, "--large-vectors")}
    imagined |= {"sigma": sigma, "seed": seed}
    asked, imagined = _given(asked), _given(imagined)
    there = [name for name in ("tenants", "vectors") if name in imagined]
    if pinecone is not None or pinecone_host is not None:
        if there:
            raise usage("--pinecone and --tenants, --vectors cannot be given together")
        _of_pinecone(pinecone or "", pinecone_host or "", asked, prices, as_json)
    elif len(there) == 1:
        raise usage(f"{'--vectors' if 'tenants' in there else '--tenants'} is missing", "give both, or neither")
    elif there:
        _imagined(imagined, asked, prices, as_json)
    else:
        where: dict[str, Any] = {"data": data, "url": url, "key": key, "as_json": as_json, "index": index}
        converse(_measured, {"asked": asked | _given({"prices": _tables(prices)})}, debug=False, **where)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


async def _measured(session: Session, asked: dict[str, Any]) -> None:
    from tenantry.cli.advice_shown import card_views

    found = await session.api.post(*session.path("advice"), body=asked)
    session.out.show(found, *card_views(found))


def _imagined(imagined: dict[str, Any], asked: dict[str, Any], file: Path | None, as_json: bool) -> None:
    import msgspec

    from tenantry.cli.advice_shown import card_views
    from tenantry.cli.output import Output
    from tenantry.control.consult import imagine
    from tenantry.model.advice import Imagined, Question

    card = imagine(Imagined(**imagined), Question(**asked), _book(file))
    found = msgspec.to_builtins(card)
    Output(as_json).show(found, *card_views(found))


def _of_pinecone(name: str, host: str, asked: dict[str, Any], file: Path | None, as_json: bool) -> None:
    import asyncio

    import msgspec

    from tenantry.cli.advice_shown import card_views
    from tenantry.cli.output import Output
    from tenantry.control.consult import consult
    from tenantry.errors import Unsupported
    from tenantry.model.advice import Question

    try:
        from tenantry.backends.pinecone.options import PineconeOptions
        from tenantry.backends.pinecone.survey import survey
    except ModuleNotFoundError as error:
        raise Unsupported(f"--pinecone needs {error.name}: pip install 'tenantry[pinecone]'") from error
    measured = asyncio.run(survey(PineconeOptions(index=name, host=host)))
    found = msgspec.to_builtins(consult(measured, Question(**asked), _book(file), ("redis", "postgresql")))
    Output(as_json).show(found, *card_views(found))


async def cost(
    session: Session,
    *,
    offer: Offer = None,
    overhead: Overhead = None,
    budget: Budget = None,
    shards: Shards = None,
    prices: Prices = None,
    rows: Annotated[int, typer.Option("--rows", metavar="N", min=1, help="Tenants shown; JSON and CSV have all.")] = 20,
    as_csv: Annotated[bool, typer.Option("--csv", help="Tenants as CSV on stdout, nothing else.")] = False,
) -> None:
    """Show what the cluster costs a month, and whose cost it is, by what each tenant stores and asks.

    The exit code is 0 also when it is over the budget; --json tells (budget.state).
    """
    from tenantry.cli.advice_shown import cost_views

    if as_csv and session.out.as_json:
        raise usage("--csv and --json cannot be given together")
    asked: dict[str, Any] = {
        "offer": offer,
        "overhead": names(overhead),
        "budget": quantity(budget, "--budget"),
        "shards": numbers(shards),
        "prices": _tables(prices),
    }
    found = await session.api.post(*session.path("cost"), body=_given(asked))
    if as_csv:
        writer = csv.DictWriter(
            sys.stdout, found["tenants"][0] if found["tenants"] else ["tenant"], lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(found["tenants"])
        return
    session.out.show(found, *cost_views(found, rows))
    if found["budget"]["state"] == "over":
        over = found["monthly"] - found["budget"]["budget"]
        session.out.warn(f"that is ${over:,.2f} over the budget of ${found['budget']['budget']:,.0f} a month")


async def cost_history(
    session: Session,
    *,
    days: Annotated[int, typer.Option("--days", metavar="N", min=1, max=92, help="Days, today among them.")] = 30,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Only this tenant's part.")] = None,
    rows: Annotated[int, typer.Option("--rows", metavar="N", min=0, max=1_000, help="Tenants of each day.")] = 5,
) -> None:
    """Show what each of the last days cost, as if a month were like that day, and whose cost it was."""
    from tenantry.cli.advice_shown import history_views

    found = await session.api.get(*session.path("cost", "history"), days=days, top=rows, tenant=tenant)
    session.out.show(found, *history_views(found, tenant))


def quantity(text: str | None, option: str) -> float | None:
    """A number such as 90, 1.2M, 500k or 1_000_000."""
    if text is None:
        return None
    match = _QUANTITY.fullmatch(text.strip().lstrip("$").replace(",", ""))
    if not match:
        raise usage(f"{option} {text!r} is not a number", "it looks like 90, 1.2M, 500k or 1_000_000")
    return float(match[1].replace("_", "")) * _SCALE[match[2].lower()]


def whole(text: str | None, option: str) -> int | None:
    """A whole number, as `quantity`."""
    found = quantity(text, option)
    if found is not None and found != round(found):
        raise usage(f"{option} {text!r} is not a whole number")
    return None if found is None else round(found)


def part(text: str | None, option: str) -> float | None:
    """A share: 5% or 0.05."""
    if text is None:
        return None
    try:
        return float(text.strip().removesuffix("%")) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        raise usage(f"{option} {text!r} is not a share", "it looks like 5% or 0.05") from None


def numbers(text: str | None) -> list[int] | None:
    """``1..8``, ``3``, or ``2,4,6``."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)\.\.(\d+)", text.strip())
    try:
        found = list(range(int(match[1]), int(match[2]) + 1)) if match else [int(one) for one in text.split(",")]
    except ValueError:
        found = []
    if not found or len(found) > MOST_TRIED:
        raise usage(f"--shards {text!r} is not a range", f"it looks like 1..8 or 2,4,6; at most {MOST_TRIED} numbers")
    return found


def names(text: str | None) -> list[str] | None:
    """Names between commas; ``none``: none of them."""
    if text is None:
        return None
    return [] if text.strip().lower() == "none" else [one.strip() for one in text.split(",")]


def _tables(file: Path | None) -> dict[str, Any] | None:
    from tenantry.control.prices import read_prices

    return None if file is None else read_prices(file)


def _book(file: Path | None) -> PriceBook:
    from tenantry.cli.target import load_settings
    from tenantry.control.prices import prices, read_prices

    own = load_settings().prices
    return prices(None if own is None else read_prices(own), _tables(file))
