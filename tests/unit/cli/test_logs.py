"""Log lines never mix with answers."""

from __future__ import annotations

import pytest
import structlog

from tenantry.cli.failures import Failure
from tenantry.cli.logs import keep_quiet, log_to_stderr


def test_lines_of_the_level_and_above_go_to_stderr(capsys):
    log_to_stderr("INFO")
    log = structlog.get_logger("test")
    log.debug("too small")
    log.warning("request failed", route="/v1", good=False)
    said = capsys.readouterr()
    assert said.out == ""
    assert 'level=warning event="request failed" ' in said.err
    assert "route=/v1" in said.err
    assert "too small" not in said.err


def test_a_command_logs_nothing(capsys):
    keep_quiet()
    structlog.get_logger("test").error("request failed")
    assert capsys.readouterr() == ("", "")


def test_an_unknown_level_is_refused():
    with pytest.raises(Failure, match="TENANTRY_LOG_LEVEL"):
        log_to_stderr("loud")
