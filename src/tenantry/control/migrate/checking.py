"""Holds the options of a migration to their ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from tenantry.control import starting
from tenantry.errors import InvalidArgument
from tenantry.model import moves
from tenantry.model.limits import Limits, check_count
from tenantry.model.migration import MOST_TENANTS, Options

#: Least, most, and the unit; the least itself is allowed unless `OVER` has the field.
RANGES: dict[str, tuple[float, float, str]] = {
    "share": (0.0, 1.0, "a share (0.25 is 25%)"),
    "every_s": (0.0, starting.MOST_S, "seconds"),
    "fill": (0.0, 1.0, "a share (0.9 is 90%)"),
    "errors": (0.0, 1.0, "a share (0.01 is 1%)"),
    "p95_factor": (1.0, 1_000.0, "times the baseline"),
    "p95_least_ms": (0.0, 1e6, "milliseconds"),
    "p95_most_ms": (0.0, 1e6, "milliseconds"),
    "overlap": (0.0, 1.0, "a share (0.9 is 90%)"),
    "stall_s": (0.0, starting.MOST_S, "seconds"),
}
OVER = frozenset({"share", "fill", "stall_s", "p95_most_ms"})
MOST_AT_ONCE = 64


def options_given(given: Mapping[str, Any], limits: Limits) -> Options:
    """Options from what was given; None is the default. Raises InvalidArgument for the first that is out of range."""
    for name in given:
        if name not in Options.__struct_fields__:
            raise InvalidArgument(name, given[name], "one of " + ", ".join(Options.__struct_fields__))
    options = msgspec.structs.replace(
        Options(), **{name: value for name, value in given.items() if value is not None}
    )  # fmt: skip
    for field, (least, most, unit) in RANGES.items():
        value = getattr(options, field)
        good = not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
        if not good or not least <= value <= most or (field in OVER and value == least):
            at_least = f"over {least:g}" if field in OVER else f"{least:g}"
            raise InvalidArgument(field, value, f"{at_least} to {most:g}, {unit}")
    check_count(options.at_once, "at_once", 1, MOST_AT_ONCE)
    check_count(options.least_operations, "least_operations", 1, 10**9)
    if options.canaries is not None:
        check_count(options.canaries, "canaries", 0, MOST_TENANTS)
    how = moves.Options(soak_s=options.soak_s, retention_s=options.retention_s, rate=options.rate)
    starting.check_options(how, limits)
    return options
