"""Where log lines go: to stderr, never among a command's answer."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from tenantry.cli.failures import usage

LEVELS = ("debug", "info", "warning", "error")


def log_to_stderr(level: str) -> None:
    """Write log lines of at least that level to stderr. Raises Failure for a level that there is not."""
    name = level.lower()
    if name not in LEVELS:
        raise usage(f"TENANTRY_LOG_LEVEL: {level!r} is not a level", "one of " + ", ".join(LEVELS))
    number = logging.getLevelNamesMapping()[name.upper()]
    logging.basicConfig(
        level=max(number, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
    structlog.configure(
        processors=[
            _said_already,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_on_stderr,
        cache_logger_on_first_use=False,
    )


def keep_quiet() -> None:
    """No log lines but of disasters: what goes wrong inside reaches people as the error of their command."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=_on_stderr,
        cache_logger_on_first_use=False,
    )


def _on_stderr(*names: Any) -> structlog.PrintLogger:
    return structlog.PrintLogger(sys.stderr)


def _said_already(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The command itself tells people that it serves, and where."""
    if event.get("event") == "serving":
        raise structlog.DropEvent
    return event
