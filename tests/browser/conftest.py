"""A gateway with something to see, a real headless Chromium, and a page that reports whatever goes wrong in it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, Error, Page, Response, sync_playwright

from tenantry.catalogs.sql import open_catalog
from tenantry.cluster import Cluster
from tenantry.model.records import Record
from tenantry.model.topology import TenantSpec
from tenantry.model.usage import DAY_S, Usage
from tenantry.wiring import init_cluster

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))
from gateway_process import ADMIN_KEY, running_gateway

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
DIMENSION = 16
#: Vectors of the first tenants, which two shards get before there are others; then those of the many small ones.
LARGE = {"northwind": 2_400, "globex": 900, "initech": 700, "umbrella": 600, "hooli": 500, "stark": 450, "wayne": 400}
SMALL = 64
SETTINGS = {
    "health_check_s": "1",
    "health_window_s": "20",
    "autopilot_check_s": "1",
    "moves_at_once": "8",
    "moves_per_shard": "8",
}
HEADERS = {"Api-Key": ADMIN_KEY}
#: What tests ask for to be refused: a login with a wrong key, plans of a shard that is not there, an auto-pilot that is
#: on without a window.
REFUSALS = {
    (401, "/v1/whoami"),
    (404, "/v1/indexes/default/plan"),
    (404, "/v1/migrations/plan"),
    (400, "/v1/autopilot"),
}


async def _fill(folder: Path) -> None:
    rng = np.random.default_rng(7)

    async def write(cluster: Cluster, name: str, count: int) -> None:
        rows = rng.standard_normal((count, DIMENSION)).astype(np.float32)
        for start in range(0, count, 500):
            batch = [Record(f"r{start + i}", row) for i, row in enumerate(rows[start : start + 500])]
            await cluster.tenant(name).upsert(batch)

    async with await init_cluster(folder, dimension=DIMENSION, shards=2, settings={}) as cluster:
        for name, count in LARGE.items():
            await write(cluster, name, count)
        for number in range(2, 6):
            await cluster.shards.add(f"shard-{number}")
        for number in range(SMALL):
            await cluster.tenants.create(name := f"customer-{number:02}", spec=TenantSpec())
            await write(cluster, name, int(rng.integers(20, 90)))


async def _remember(folder: Path) -> None:
    """Two weeks of use before today, growing."""
    rng = np.random.default_rng(9)
    today = int(time.time()) // DAY_S * DAY_S
    rows = [
        Usage(
            "default",
            name,
            today - back * DAY_S,
            queries=int(vectors * (15 - back) * rng.uniform(80, 120)),
            vectors_stored=vectors * (20 - back) // 20,
            bytes_stored=vectors * (20 - back) * 6,
        )
        for back in range(14, 0, -1)
        for name, vectors in LARGE.items()
    ]
    async with await open_catalog(f"sqlite:///{folder}/catalog.db") as catalog:
        await catalog.usage.add("before", 1, rows, time.time())


class Traffic:
    """Queries on all tenants, the large ones most, until it is stopped."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        rng = np.random.default_rng(8)
        names = [*LARGE, *(f"customer-{number:02}" for number in range(SMALL))]
        with httpx.Client(base_url=self._url, headers=HEADERS) as client:
            while not self._over.wait(0.02):
                name = names[min(len(names) - 1, int(rng.zipf(1.5)) - 1)]
                vector = rng.standard_normal(DIMENSION).tolist()
                try:
                    client.post("/query", json={"namespace": name, "topK": 5, "vector": vector})
                except httpx.HTTPError:
                    return  # the gateway has ended

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> Iterator[str]:
    """The URL of a gateway with 71 tenants on six shards, unevenly spread, and queries going on."""
    folder = tmp_path_factory.mktemp("dashboard")
    asyncio.run(_fill(folder / "cluster"))
    asyncio.run(_remember(folder / "cluster"))
    with (
        running_gateway(
            folder / "cluster", dimension=DIMENSION, backup_url=str(folder / "archive"), **SETTINGS
        ) as running,
        Traffic(running.url),
    ):
        yield running.url


@pytest.fixture(scope="module")
def chromium() -> str:
    """The path of a Chromium; skips on a laptop without one, fails in CI."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    fetched = sorted((ROOT / ".venv-browser").glob("chromium*/**/chrome*"))
    programs = [str(path) for path in fetched if path.is_file() and os.access(path, os.X_OK)]
    if found is None and not programs:
        told = "no Chromium is installed: Debian's package chromium has it, and `make browser` fetches one"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"{told} (a missing tool fails in CI)")
        pytest.skip(told)
    return found or programs[0]


@pytest.fixture(scope="module")
def browser(chromium: str, gateway: str) -> Iterator[Browser]:
    """A running browser. It comes after the gateway and goes with the module: nothing can run an event loop while it is
    there."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, gateway: str) -> Iterator[Page]:
    """An empty page in a profile of its own. Fails the test when something of the page went wrong in it, or when
    anything was asked of anybody but the gateway."""
    yield from watched(browser, gateway)


def watched(browser: Browser, url: str, **options: object) -> Iterator[Page]:
    """A page of a new profile, held to what `page` says."""
    context = browser.new_context(base_url=url, **{"viewport": {"width": 1280, "height": 860}} | options)  # type: ignore[arg-type]
    context.set_default_timeout(15_000)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda told: wrong.append(told.text) if told.type in ("error", "warning") else None)
    page.on("response", lambda got: wrong.append(f"{got.status} {got.url}") if _bad(got) else None)
    page.on("request", lambda sent: None if _own(sent.url, url) else wrong.append(f"asked {sent.url}"))
    yield page
    context.close()
    # Browsers write every refusal into the console, without saying of what; they are judged above.
    assert [one for one in wrong if not one.startswith("Failed to load resource: the server responded")] == []


def _bad(got: Response) -> bool:
    return got.status >= 400 and (got.status, urlsplit(got.url).path) not in REFUSALS


def _own(asked: str, url: str) -> bool:
    return urlsplit(asked).netloc == urlsplit(url).netloc


def log_in(page: Page, key: str = ADMIN_KEY, at: str = "/") -> None:
    """Come as somebody who has a key."""
    page.goto(at)
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="Log out").wait_for()


def picture(page: Page, name: str, *, whole: bool = False) -> None:
    """A picture for the docs; written into them when asked to, as pictures differ from run to run."""
    if os.environ.get("WRITE_IMAGES") != "1":
        return
    IMAGES.mkdir(exist_ok=True)
    try:
        page.screenshot(path=IMAGES / f"dashboard-{name}.png", full_page=whole, animations="disabled", caret="hide")
    except Error as error:  # pragma: no cover - tells which picture it was
        raise AssertionError(f"no picture of {name}") from error
