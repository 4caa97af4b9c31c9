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
    from tenantry.cli.output import Output
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


def advise(
    *,
    tenants: Annotated[
        str | None, typer.Option("--tenants", metavar="N", help="Tenants.", rich_help_panel=IMAGINE)
    ] = None,
    vectors: Annotated[
        str | None, typer.Option("--vectors", metavar="N", help="Vectors: 1200000, 1.2M.", rich_help_panel=IMAGINE)
    ] = None,
    dimension: Annotated[
        int, typer.Option("--dimension", metavar="D", help="Numbers in a vector.", rich_help_panel=IMAGINE)
    ] = 1_536,
    writes: Annotated[
        str | None, typer.Option("--writes", metavar="N", help="Records written a second.", rich_help_panel=IMAGINE)
    ] = None,
    top_share: Annotated[
        str | None,
        typer.Option(
            "--top-share", metavar="PART", help="Vectors in the largest 10% of tenants.", rich_help_panel=IMAGINE
        ),
    ] = None,
    large: Annotated[
        str | None,
        typer.Option("--large", metavar="N", help="Tenants of 100,000 vectors or more.", rich_help_panel=IMAGINE),
    ] = None,
    large_vectors: Annotated[
        str | None,
        typer.Option("--large-vectors", metavar="N", help="What these hold together.", rich_help_panel=IMAGINE),
    ] = None,
    sigma: Annotated[
        float | None,
        typer.Option(
            "--sigma", metavar="S", help="Sizes are lognormal, of this spread: 0 to 5.", rich_help_panel=IMAGINE
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of those sizes.", rich_help_panel=IMAGINE)] = 0,
    pinecone: Annotated[
        str | None,
        typer.Option("--pinecone", metavar="NAME", help="An existing Pinecone index; key: PINECONE_API_KEY."),
    ] = None,
    pinecone_host: Annotated[
        str | None, typer.Option("--pinecone-host", metavar="URL", help="Its host, instead of looking the name up.")
    ] = None,
    qps: Annotated[str | None, typer.Option("--qps", metavar="N", help="Queries a second, on average.")] = None,
    p95: Annotated[float | None, typer.Option("--p95", metavar="MS", help="P95 of queries, milliseconds.")] = None,
    cross_tenant: Annotated[
        str | None, typer.Option("--cross-tenant", metavar="PART", help="Queries that ask several tenants: 5%.")
    ] = None,
    budget: Budget = None,
    revenue: Annotated[
        str | None, typer.Option("--revenue", metavar="USD", help="What a tenant pays you a month.")
    ] = None,
    isolated: Annotated[bool, typer.Option("--isolated", help="Tenants must be apart, by contract or law.")] = False,
    unpredictable: Annotated[bool, typer.Option("--unpredictable", help="Traffic comes and goes.")] = False,
    growth: Annotated[
        str | None, typer.Option("--growth", metavar="PART", help="Growth a month: 10%; default: as measured.")
    ] = None,
    months: Annotated[int, typer.Option("--months", metavar="N", help="Months of the forecast.")] = 12,
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
    from tenantry.cli.output import Output

    asked: dict[str, Any] = {
        "qps": quantity(qps, "--qps"),
        "p95_ms": p95,
        "cross_tenant": part(cross_tenant, "--cross-tenant"),
        "budget": quantity(budget, "--budget"),
        "revenue": quantity(revenue, "--revenue"),
        "isolated": isolated,
        "unpredictable": unpredictable,
        "growth": part(growth, "--growth"),
        "months": months,
        "shards": numbers(shards),
        "offer": offer,
        "overhead": names(overhead),
    }
    asked = {name: value for name, value in asked.items() if value is not None}
    out = Output(as_json)
    if pinecone is not None or pinecone_host is not None:
        if tenants is not None or vectors is not None:
            raise usage("--pinecone and --tenants, --vectors cannot be given together")
        _of_pinecone(pinecone or "", pinecone_host or "", asked, prices, out)
        return
    if tenants is None and vectors is None:
        converse(
            _measured,
            {"asked": asked | {"prices": _tables(prices)}},
            data=data, url=url, key=key, as_json=as_json, debug=False, index=index,
        )  # fmt: skip
        return
    if tenants is None or vectors is None:
        raise usage(f"{'--tenants' if tenants is None else '--vectors'} is missing", "give both, or neither")
    imagined = {
        "tenants": whole(tenants, "--tenants"),
        "vectors": whole(vectors, "--vectors"),
        "dimension": dimension,
        "writes": quantity(writes, "--writes"),
        "top_share": part(top_share, "--top-share"),
        "large": whole(large, "--large"),
        "large_vectors": whole(large_vectors, "--large-vectors"),
        "sigma": sigma,
        "seed": seed,
    }
    _imagined({name: value for name, value in imagined.items() if value is not None}, asked, prices, out)


async def _measured(session: Session, asked: dict[str, Any]) -> None:
    from tenantry.cli.advice_shown import card_views

    body = {name: value for name, value in asked.items() if value is not None}
    found = await session.api.post(*session.path("advice"), body=body)
    session.out.show(found, *card_views(found))


def _imagined(imagined: dict[str, Any], asked: dict[str, Any], file: Path | None, out: Output) -> None:
    import msgspec

    from tenantry.cli.advice_shown import card_views
    from tenantry.control.consult import imagine
    from tenantry.model.advice import Imagined, Question

    card = imagine(Imagined(**imagined), Question(**asked), _book(file))
    found = msgspec.to_builtins(card)
    out.show(found, *card_views(found))


def _of_pinecone(name: str, host: str, asked: dict[str, Any], file: Path | None, out: Output) -> None:
    import asyncio

    import msgspec

    from tenantry.cli.advice_shown import card_views
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
    out.show(found, *card_views(found))


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
    body = {name: value for name, value in asked.items() if value is not None}
    found = await session.api.post(*session.path("cost"), body=body)
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
