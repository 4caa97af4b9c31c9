"""The house rules that no linter knows; run by ``make check``.

Files stay under 500 lines, functions under 70; every setting is documented; ADRs are numbered without a gap.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

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
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MOST_FUNCTION_LINES:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {length} lines"


def undocumented_settings() -> Iterator[str]:
    """Settings that the reference does not name."""
    reference = ROOT / "docs" / "reference" / "settings.md"
    text = reference.read_text() if reference.is_file() else ""
    source = (ROOT / "src/tenantry/settings.py").read_text()
    for name in re.findall(r"^    (\w+): .*= Field\(", source, flags=re.MULTILINE):
        if f"`TENANTRY_{name.upper()}`" not in text:
            yield f"docs/reference/settings.md does not name TENANTRY_{name.upper()}"


def undocumented_errors() -> Iterator[str]:
    """Error codes that the reference does not name."""
    reference = ROOT / "docs" / "reference" / "errors.md"
    text = reference.read_text() if reference.is_file() else ""
    source = (ROOT / "src/tenantry/errors.py").read_text()
    for code in sorted(set(re.findall(r'^    code = "(\w+)"', source, flags=re.MULTILINE))):
        if f"`{code}`" not in text:
            yield f"docs/reference/errors.md does not name {code}"


def numbered_decisions() -> Iterator[str]:
    """ADRs are numbered 0001, 0002, ... without a gap."""
    for expected, path in enumerate(sorted((ROOT / "adr").glob("[0-9]*.md")), start=1):
        if not path.name.startswith(f"{expected:04d}-"):
            yield f"adr/{path.name}: expected number {expected:04d}"


def dead_links() -> Iterator[str]:
    """Relative links in the documentation that lead nowhere."""
    for page in [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "adr").glob("*.md")]:
        if not page.is_file():
            yield f"{page.relative_to(ROOT)} is missing"
            continue
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                yield f"{page.relative_to(ROOT)}: link to {target} leads nowhere"


def main() -> int:
    """Print every breach; 1 if there is one."""
    breaches = [
        breach
        for rule in (
            long_files,
            long_functions,
            undocumented_settings,
            undocumented_errors,
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
