"""The house rules that no linter knows; run by ``make check``.

Files stay under 500 lines, functions under 70; settings, errors and metrics are documented; links lead somewhere;
ADRs are numbered without a gap.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from house_access import access_reference
from house_grafana import grafana_dashboard

ROOT = Path(__file__).resolve().parent.parent
MOST_LINES = 500
MOST_FUNCTION_LINES = 70


def sources() -> list[Path]:
    """The package's own Python files."""
    return sorted((ROOT / "src").rglob("*.py"))


def long_files() -> Iterator[str]:
    """Files over the limit."""
    for path in [*sources(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").rglob("*.py")]:
        lines = len(path.read_text().splitlines())
        if lines > MOST_LINES:
            yield f"{path.relative_to(ROOT)}: {lines} lines, at most {MOST_LINES}"


def long_functions() -> Iterator[str]:
    """Functions over the limit, in the package."""
    for path in sources():
        if path.parent.name == "versions":
            continue  # a migration is one list from top to bottom
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MOST_FUNCTION_LINES:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {length} lines"


def settings_reference() -> str:
    """The page that documents every setting, made from the settings themselves."""
    from tenantry.settings import Settings

    rows = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        rows.append(f"| `TENANTRY_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(
        [
            "# Settings",
            "",
            "Each setting comes from, in this order: an argument (of `open_cluster`, or an option of a command), the",
            "environment variable of its name, a `.env` file in the working folder, a file of its name in lower case",
            "(`tenantry_catalog_url`) in the folder that `TENANTRY_SECRETS_DIR` names, its default. Secrets are never",
            "printed or logged. `deploy/tenantry.env` lists all of them, ready to be filled in.",
            "",
            "| variable | default | meaning |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def settings_file() -> str:
    """A file of all settings, none of them set."""
    from tenantry.settings import Settings

    lines = ["# Every setting of Tenantry with its default; take away the # of what is to be different."]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else field.default
        lines += ["", f"# {field.description}", f"#TENANTRY_{name.upper()}={default}"]
    return "\n".join(lines) + "\n"


#: Files that are made from the settings, the routes and the list of panels.
MADE = {
    "docs/reference/settings.md": settings_reference,
    "docs/reference/access.md": access_reference,
    "deploy/tenantry.env": settings_file,
    "deploy/grafana/dashboards/tenantry.json": grafana_dashboard,
}


def stale_settings_reference() -> Iterator[str]:
    """A file that differs from what the settings, or the routes, say."""
    for path, make in MADE.items():
        if not (ROOT / path).is_file() or (ROOT / path).read_text() != make():
            yield f"{path} is stale: run `.venv/bin/python tests/house.py --write`"


def undocumented_errors() -> Iterator[str]:
    """Error codes that the reference does not name."""
    reference = ROOT / "docs" / "reference" / "errors.md"
    text = reference.read_text() if reference.is_file() else ""
    source = (ROOT / "src/tenantry/errors.py").read_text()
    for code in sorted(set(re.findall(r'^    code = "(\w+)"', source, flags=re.MULTILINE))):
        if f"`{code}`" not in text:
            yield f"docs/reference/errors.md does not name {code}"


def undocumented_metrics() -> Iterator[str]:
    """Metrics that the reference does not name."""
    text = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    source = "".join(path.read_text() for path in sorted((ROOT / "src/tenantry/telemetry").glob("*.py")))
    for kind, name in re.findall(r'(Counter|Gauge|Histogram)(?:MetricFamily)?\(\s*"(\w+)"', source):
        shown = f"{name}_total" if kind == "Counter" else name
        if f"`{shown}`" not in text:
            yield f"docs/reference/metrics.md does not name {shown}"


def numbered_decisions() -> Iterator[str]:
    """ADRs are numbered 0001, 0002, ... without a gap."""
    for expected, path in enumerate(sorted((ROOT / "adr").glob("[0-9]*.md")), start=1):
        if not path.name.startswith(f"{expected:04d}-"):
            yield f"adr/{path.name}: expected number {expected:04d}"


def dead_links() -> Iterator[str]:
    """Relative links in the documentation that lead nowhere."""
    for page in [
        ROOT / "README.md",
        ROOT / "ARCHITECTURE.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "adr").glob("*.md"),
    ]:
        if not page.is_file():
            yield f"{page.relative_to(ROOT)} is missing"
            continue
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                yield f"{page.relative_to(ROOT)}: link to {target} leads nowhere"


def main() -> int:
    """Print every breach; 1 if there is one."""
    if sys.argv[1:] == ["--write"]:
        for path, make in MADE.items():
            (ROOT / path).write_text(make())
    breaches = [
        breach
        for rule in (
            long_files,
            long_functions,
            stale_settings_reference,
            undocumented_errors,
            undocumented_metrics,
            numbered_decisions,
            dead_links,
        )
        for breach in rule()
    ]
    for breach in breaches:
        print(breach, file=sys.stderr)
    print(f"House rules: {len(breaches)} breaches" if breaches else "House rules: kept")
    return 1 if breaches else 0


if __name__ == "__main__":
    raise SystemExit(main())
