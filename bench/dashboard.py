"""How fast the web dashboard is with many tenants: its requests, and what a real browser takes to show its pages."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from collections.abc import Callable

import httpx

from bench.health import DIMENSION, FEW_SHARDS, FEW_TENANTS, SHARDS, TENANTS, fill_small
from bench.measure import Context, Report, quantile
from bench.served import served
from tenantry.wiring import init_cluster

INDEX = "/v1/indexes/default"
#: Requests of the page, with the most that their P95 may be, milliseconds; None: only told.
REQUESTS: dict[str, tuple[str, float | None]] = {
    "overview": (f"{INDEX}/overview", 100.0),
    "timeline": (f"{INDEX}/timeline?shards=8", 100.0),
    "tenants, sorted by vectors": (f"{INDEX}/roster?sort=vectors&descending=true&limit=50", None),
    "tenants, searched": (f"{INDEX}/roster?text=tenant-99&limit=50", None),
}
PAINT_MS = 1_000.0
WAIT_S = 60.0
#: Pages with what is on them once they are whole.
PAGES = {"overview": ".heat a", "tenants": "tbody tr:nth-child(50)"}


def run(context: Context) -> Report:
    report = Report("dashboard", "the web dashboard: its requests, and its first paint in headless Chromium")
    tenants, shards = context.pick((TENANTS, SHARDS), (FEW_TENANTS, FEW_SHARDS))
    context.say(f"{tenants:,} tenants on {shards} shards: made")
    asyncio.run(_make(context, tenants, shards))
    key = secrets.token_hex(16)
    with served(context.folder / "large", key) as url:
        _requests(context, report, url, key)
        _paints(context, report, url, key)
    report.notes.append(
        f"{tenants:,} tenants on {shards} shards in one gateway with the embedded engine; client, browser and gateway "
        "share the machine's cores. First paint: 'first-contentful-paint' as the browser tells it, of the page opened "
        "with a key and an empty cache. 'Whole': from opening it until the heat map, or 50 rows of tenants, are there."
    )
    return report


async def _make(context: Context, tenants: int, shards: int) -> None:
    async with await init_cluster(context.folder / "large", dimension=DIMENSION, shards=shards, settings={}) as cluster:
        await fill_small(cluster, tenants)


def _requests(context: Context, report: Report, url: str, key: str) -> None:
    with httpx.Client(base_url=url, headers={"Api-Key": key}, timeout=WAIT_S) as client:
        _until_measured(client)
        client.get(f"{INDEX}/roster").raise_for_status()  # measures all tenants, once for all who ask
        for name, (path, most) in REQUESTS.items():
            p95 = []
            for _ in range(context.rounds):
                took = [
                    _timed(lambda path=path: client.get(path).raise_for_status()) for _ in range(context.pick(200, 50))
                ]  # type: ignore[misc]
                p95.append(quantile(took, 0.95) * 1_000)
            if most is None:
                report.info(f"{name}: P95", p95, "ms")
            else:
                report.at_most(f"{name}: P95", p95, "ms", most)


def _until_measured(client: httpx.Client) -> None:
    """Until the first regular check of the health has ended."""
    with client.stream("GET", f"{INDEX}/live") as events:
        for line in events.iter_lines():
            if line.startswith('data: {"overview"') and '"report":null' not in line:
                return
    raise AssertionError("the stream ended before the health was checked")


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _paints(context: Context, report: Report, url: str, key: str) -> None:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        report.notes.append("No Chromium is installed, so nothing was painted.")
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, mark in PAGES.items():
            first, whole = [], []
            for number in range(context.rounds + 1):  # the first starts the browser's processes
                profile = browser.new_context()
                profile.add_init_script(f"sessionStorage.setItem('tenantry-key', '{key}')")
                page = profile.new_page()
                begun = time.perf_counter()
                page.goto(f"{url}/#/default/{name}")
                page.locator(mark).first.wait_for()
                took = (time.perf_counter() - begun) * 1_000
                painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
                if number:
                    first.append(float(painted))
                    whole.append(took)
                profile.close()
            report.at_most(f"{name}: first paint", first, "ms", PAINT_MS)
            report.info(f"{name}: whole", whole, "ms")
        browser.close()
