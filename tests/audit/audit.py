"""Look the locked dependencies up among known vulnerabilities: ``make audit``.

Exit codes: 0 nothing is known against them, or no vulnerability service can be reached (then it says that nothing was
audited); 1 something is, and is not in `ignored.toml`; 2 `ignored.toml` is wrong.

pip-audit itself ends with 0 when the service knows none of the packages, as behind a mirror that has no such data; here
a package that was not looked up is never counted as clean.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LOCKS = ("requirements.lock", "deploy/requirements.lock")
#: Asked in this order; the first that answers counts.
SERVICES = ("pypi", "osv")
LIMIT_S = 240
FIELDS = {"id": str, "package": str, "reason": str, "until": date}


class IgnoredError(Exception):
    """The list of what is ignored is wrong."""


@dataclass
class Verdict:
    """What a report comes to. ``found``, ``waived``: in words. ``unknown``: packages that the service did not know."""

    audited: int = 0
    found: list[str] = field(default_factory=list)
    waived: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def ignored_in(text: str) -> list[dict[str, Any]]:
    """The entries of `ignored.toml`. Raises IgnoredError, naming what is wrong."""
    entries: list[dict[str, Any]] = tomllib.loads(text).get("ignored", [])
    for number, entry in enumerate(entries, 1):
        if entry.keys() != FIELDS.keys():
            raise IgnoredError(f"entry {number}: it has {', '.join(entry) or 'nothing'}; it needs {', '.join(FIELDS)}")
        for name, kind in FIELDS.items():
            if not isinstance(entry[name], kind) or (kind is str and not entry[name].strip()):
                raise IgnoredError(f"entry {number}: {name} = {entry[name]!r} is not a {kind.__name__}, or is empty")
    return entries


def judge(report: dict[str, Any], ignored: list[dict[str, Any]], today: date) -> Verdict:
    """What pip-audit's JSON comes to. What is ignored counts only for its package, and until its day."""
    verdict = Verdict()
    for one in report["dependencies"]:
        if "skip_reason" in one:
            verdict.unknown.append(one["name"])
            continue
        verdict.audited += 1
        for hole in one["vulns"]:
            ids = {hole["id"], *hole.get("aliases", ())}
            better = ", ".join(hole.get("fix_versions", ())) or "no version yet"
            words = f"{one['name']} {one['version']}: {hole['id']}, mended in {better}"
            waiver = next((w for w in ignored if w["id"] in ids and w["package"] == one["name"]), None)
            if waiver is None:
                verdict.found.append(words)
            elif waiver["until"] < today:
                verdict.found.append(f"{words} (ignored until {waiver['until']}: look again)")
            else:
                verdict.waived.append(f"{words} (ignored until {waiver['until']}: {waiver['reason']})")
    return verdict


def asked(lock: str, service: str) -> dict[str, Any] | None:
    """The report on one lock; None: the service does not answer."""
    command = [sys.executable, "-m", "pip_audit", "-r", str(ROOT / lock), "--disable-pip", "--require-hashes"]
    command += ["-s", service, "-f", "json", "--progress-spinner", "off"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return None
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return None
    return report


def main() -> int:
    """Audit every lock; returns the exit code."""
    try:
        ignored = ignored_in((HERE / "ignored.toml").read_text())
    except (IgnoredError, tomllib.TOMLDecodeError) as error:
        print(f"audit: tests/audit/ignored.toml: {error}")
        return 2
    bad = False
    for lock in LOCKS:
        verdict = Verdict()
        for service in SERVICES:
            report = asked(lock, service)
            verdict = Verdict() if report is None else judge(report, ignored, datetime.now(UTC).date())
            if verdict.audited:
                break
        if not verdict.audited:
            print(f"audit: {lock}: NOT AUDITED: no vulnerability service ({', '.join(SERVICES)}) answers from here")
            continue
        print(f"audit: {lock}: {verdict.audited} packages looked up, {len(verdict.found)} with holes")
        for line in [*verdict.found, *verdict.waived]:
            print(f"  {line}")
        if verdict.unknown:
            print(f"  not looked up, as the service does not know them: {', '.join(verdict.unknown)}")
        bad = bad or bool(verdict.found)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
