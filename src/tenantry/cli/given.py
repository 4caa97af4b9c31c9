"""Values of options: JSON, vectors, limits, durations, labels. Each raises a usage `Failure` that names the option."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tenantry.cli.failures import usage

TopK = Annotated[int, typer.Option("--top-k", "-k", metavar="N", min=1, help="How many hits.")]
Filter = Annotated[
    str | None,
    typer.Option("--filter", metavar="JSON", help="""Metadata filter, such as '{"year": {"$gte": 2020}}'."""),
]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)")
_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
NONE = ("none", "null", "")


def json_object(text: str | None, option: str) -> dict[str, Any] | None:
    """A JSON object."""
    if text is None:
        return None
    found = _json(text, option)
    if not isinstance(found, dict):
        raise usage(f"{option} must be a JSON object, such as " + '\'{"lang": "en"}\'')
    return found


def vector(text: str | None, file: Path | None) -> list[float] | None:
    """Numbers from ``--vector`` or from a file (``-``: stdin): a JSON list, or numbers between blanks or commas."""
    if text is not None and file is not None:
        raise usage("--vector and --vector-file cannot be given together")
    if file is not None:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    if text is None:
        return None
    option = "--vector" if file is None else "--vector-file"
    if not text.lstrip().startswith("["):
        try:
            return _finite([float(part) for part in text.replace(",", " ").split()], option)
        except ValueError:
            pass
    found = _json(text, option)
    if isinstance(found, dict) and "values" in found:
        found = found["values"]
    if not isinstance(found, list) or not all(isinstance(one, int | float) for one in found):
        raise usage(f"{option} must be a JSON list of numbers, such as '[0.1, 0.2, 0.3]'")
    return _finite(found, option)


def limit(text: str | None, option: str) -> int | None:
    """A whole number, or None for ``none``: no limit."""
    if text is None or text.lower() in NONE:
        return None
    try:
        return int(text.replace("_", "").replace(",", ""))
    except ValueError:
        raise usage(f"{option} {text!r} is not a whole number", "`none` takes the limit away") from None


def or_none(text: str | None) -> str | None:
    """A name, or None for ``none``."""
    return None if text is None or text.lower() in NONE else text


def duration_s(text: str | None, option: str) -> float | None:
    """Seconds of ``90s``, ``15m``, ``12h``, ``30d`` or ``2w``."""
    if text is None:
        return None
    match = _DURATION.fullmatch(text.strip().lower())
    if not match:
        raise usage(f"{option} {text!r} is not a length of time", "it looks like 90s, 15m, 12h, 30d or 2w")
    return float(match[1]) * _UNIT_S[match[2]]


def pairs(given: Sequence[str] | None, option: str) -> dict[str, str] | None:
    """``NAME=VALUE``, any number of times."""
    if not given:
        return None
    made = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise usage(f"{option} {one!r} is not of the form NAME=VALUE")
        made[name] = value
    return made


def _json(text: str, option: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise usage(
            f"{option} is not valid JSON: {error}", "put it in single quotes, so that the shell keeps it whole"
        ) from None


def _finite(values: list[float], option: str) -> list[float]:
    for place, value in enumerate(values):
        if isinstance(value, bool) or not math.isfinite(value):
            raise usage(f"{option}: number {place + 1} is {value}, which is not finite")
    return values
