"""Everything that the dashboard offers, really done through the page, in a real browser, against a running gateway."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Locator, Page, expect

sys.path.insert(0, str(Path(__file__).parent))
from conftest import HEADERS, log_in, picture, watched

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
PAGES = (
    "overview",
    "tenants",
    "tenants/northwind",
    "moves",
    "plan?aim=balance",
    "migrations",
    "migrations/new",
    "autopilot",
    "cost",
    "backups",
    "keys",
    "audit",
)
LONG_MS = 60_000
expect.set_options(timeout=15_000)  # three times what Playwright waits: a busy machine answers late


def api(url: str, path: str) -> dict[str, object]:
    """What the gateway says of itself, apart from the page."""
    found = httpx.get(f"{url}/v1/{path}", headers=HEADERS).raise_for_status().json()
    assert isinstance(found, dict)
    return found


def show(page: Page, name: str, title: str) -> None:
    """Go to a page by its address."""
    page.goto(f"/#/default/{name}")
    expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()


def rows(page: Page, table: str) -> Locator:
    return page.get_by_role("table", name=table).locator("tbody tr")


def begin_move(page: Page, tenant: str, target: str, *, soak: str = "", rate: str = "") -> None:
    show(page, f"tenants/{tenant}", tenant)
    page.get_by_role("button", name="Move…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("To shard").select_option(target)
    dialog.get_by_label("Soak, minutes").fill(soak)
    dialog.get_by_label("At most records/s").fill(rate)
    dialog.get_by_role("button", name="Begin the move").click()
    expect(dialog).to_be_hidden()


def test_a_key_is_asked_for_and_kept_in_the_tab_alone(page: Page, gateway: str) -> None:
    page.goto("/")
    page.get_by_label("API key").fill("no-such-key")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("not good")
    picture(page, "login")
    log_in(page)
    assert page.evaluate("[sessionStorage.length, localStorage.length, document.cookie]") == [1, 0, ""]
    page.reload()
    expect(page.get_by_role("heading", level=1, name="Overview")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("API key")).to_be_focused()
    assert page.evaluate("sessionStorage.length") == 0


def test_the_overview_tells_what_is_wrong_and_what_to_do(page: Page, gateway: str) -> None:
    log_in(page)
    warning = page.get_by_role("listitem").filter(has_text="shard-0 has").first
    expect(warning).to_contain_text("its fair part is", timeout=LONG_MS)
    heat = page.get_by_role("link", name=re.compile("^shard-0"))
    assert "heat-6" in (heat.get_attribute("class") or "")  # it holds the most vectors
    expect(page.locator(".chart canvas")).to_be_visible(timeout=LONG_MS)
    page.wait_for_timeout(8_000)  # a line to be seen
    expect(page.locator(".chart .u-series").filter(has_text="shard-0")).to_be_visible()
    picture(page, "overview", whole=True)
    for figure, unit in (("Tenants", r"^shard-0\s*\d+$"), ("P95", r"ms$"), ("QPS", r"\d\.\d")):
        page.get_by_role("radio", name=figure).check()
        expect(page.get_by_role("link", name=re.compile("^shard-0"))).to_have_text(re.compile(unit))
    page.get_by_role("button", name="Measure now").click()
    expect(page.get_by_text("measured just now")).to_be_visible()
    warning.get_by_role("link", name=re.compile("^Plan")).click()
    expect(page.get_by_role("heading", level=1, name="Plan")).to_be_visible()
    expect(page.locator(".tile").filter(has_text="Skew of vectors")).to_be_visible()


def test_what_changes_is_shown_without_asking_again(page: Page, gateway: str) -> None:
    log_in(page)
    tile = page.locator(".tile").filter(has_text=re.compile("^Tenants"))
    expect(tile).to_contain_text("71")
    httpx.post(f"{gateway}/v1/indexes/default/tenants", json={"name": "newcomer"}, headers=HEADERS).raise_for_status()
    expect(tile).to_contain_text("72")
    httpx.delete(f"{gateway}/v1/indexes/default/tenants/newcomer", headers=HEADERS).raise_for_status()
    expect(tile).to_contain_text("71")


def test_tenants_are_searched_sorted_and_paged(page: Page, gateway: str) -> None:
    log_in(page)
    show(page, "tenants", "Tenants")
    table = "Tenants of default"
    expect(rows(page, table)).to_have_count(50)
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("51–71 of 71")).to_be_visible()
    page.get_by_role("button", name="Vectors").click()
    expect(rows(page, table).first).to_contain_text("northwind")
    expect(page.get_by_role("columnheader", name="Vectors")).to_have_attribute("aria-sort", "descending")
    page.wait_for_timeout(300)
    picture(page, "tenants")
    page.get_by_label("Search").fill("CUSTOMER-1")
    expect(rows(page, table)).to_have_count(10)
    page.get_by_label("Search").fill("nobody-at-all")
    expect(page.get_by_text("No such tenant")).to_be_visible()
    page.get_by_label("Search").fill("customer")
    page.get_by_label("Shard").select_option("shard-3")  # before what was typed is asked for
    page.wait_for_url(re.compile("(?=.*text=customer)(?=.*shard=shard-3)"))
    expect(rows(page, table).first).to_contain_text("shard-3")
    expect(rows(page, table).filter(has_not_text="shard-3")).to_have_count(0)
    page.reload()  # the address holds the search
    expect(page.get_by_label("Shard")).to_have_value("shard-3")
    expect(page.get_by_label("Search")).to_have_value("customer")


def test_a_tenant_is_suspended_and_resumed(page: Page, gateway: str) -> None:
    log_in(page)
    show(page, "tenants/wayne", "wayne")
    page.get_by_role("button", name="Suspend…").click()
    page.get_by_role("dialog").get_by_role("button", name="Suspend").click()
    expect(page.locator(".facts").get_by_text("suspended")).to_be_visible()
    assert api(gateway, "indexes/default/tenants/wayne")["state"] == "suspended"
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".facts").get_by_text("active", exact=True)).to_be_visible()
    assert api(gateway, "indexes/default/tenants/wayne")["state"] == "active"
    expect(rows(page, "Audit log").filter(has_text="tenant.resume").first).to_be_visible()


def test_a_tenant_is_moved_and_the_proof_is_shown(page: Page, gateway: str) -> None:
    log_in(page)
    begin_move(page, "stark", "shard-3", soak="10")
    card = page.get_by_role("article", name="Move of stark")
    expect(card.get_by_role("button", name="End the soak")).to_be_visible(timeout=LONG_MS)
    expect(card).to_contain_text("can be rolled back until")
    picture(page, "tenant", whole=True)
    card.get_by_role("button", name="End the soak").click()
    page.get_by_role("dialog").get_by_role("button", name="End the soak").click()
    expect(rows(page, "Moves").first).to_contain_text("done", timeout=LONG_MS)
    assert api(gateway, "indexes/default/tenants/stark")["shard"] == "shard-3"
    rows(page, "Moves").first.get_by_role("link", name=re.compile("Details")).click()
    expect(page.get_by_text("Nothing differed.")).to_be_visible()
    expect(page.locator(".facts").filter(has_text="Records compared")).to_contain_text("450")
    picture(page, "proof", whole=True)


def test_a_move_is_paused_resumed_and_cancelled(page: Page, gateway: str) -> None:
    log_in(page)
    begin_move(page, "northwind", "shard-4", rate="100")
    show(page, "moves", "Moves")
    card = page.get_by_role("article", name="Move of northwind")
    expect(card).to_contain_text("of 2,400 records")
    before = float(card.get_by_role("progressbar").get_attribute("value") or 0)
    expect(card.get_by_role("progressbar")).not_to_have_attribute("value", str(before))  # live
    picture(page, "moves")
    card.get_by_role("button", name="Pause").click()
    expect(card.get_by_text("paused")).to_be_visible()
    card.get_by_role("button", name="Go on").click()
    expect(card.get_by_text("paused")).to_be_hidden()
    card.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel", exact=True).click()
    expect(rows(page, "Moves").first).to_contain_text("cancelled", timeout=LONG_MS)
    assert api(gateway, "indexes/default/tenants/northwind")["shard"] == "shard-0"


def test_a_move_is_rolled_back(page: Page, gateway: str) -> None:
    log_in(page)
    here = api(gateway, "indexes/default/tenants/hooli")["shard"]
    begin_move(page, "hooli", "shard-5", soak="10")
    card = page.get_by_role("article", name="Move of hooli")
    card.get_by_role("button", name="Roll back").click(timeout=LONG_MS)
    assert api(gateway, "indexes/default/tenants/hooli")["shard"] == "shard-5"
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    expect(rows(page, "Moves").first).to_contain_text("rolled-back", timeout=LONG_MS)
    assert api(gateway, "indexes/default/tenants/hooli")["shard"] == here


def test_a_plan_is_made_shown_and_carried_out(page: Page, gateway: str) -> None:
    log_in(page)
    show(page, "plan", "Plan")
    page.get_by_label("At most moves").fill("3")
    page.get_by_role("button", name="Plan", exact=True).click()
    planned = rows(page, "Moves of the plan")
    expect(planned.first).to_be_visible()
    assert planned.count() <= 3
    picture(page, "plan", whole=True)
    assert api(gateway, "indexes/default/overview")["open_moves"] == 0  # a plan moves nothing
    page.get_by_role("radio", name="Operations/s").check()
    expect(page.get_by_role("table", name="Operations/s of each shard before and after the plan")).to_be_visible()
    page.get_by_role("button", name="Carry it out…").click()
    page.get_by_role("dialog").get_by_label("Soak, minutes").fill("0")
    page.get_by_role("dialog").get_by_role("button", name="Carry it out").click()
    expect(page.get_by_text("Carried out:")).to_be_visible(timeout=LONG_MS)
    expect(planned.filter(has_not_text="moved")).to_have_count(0)
    for row in planned.all():  # planned anew, from what was measured then
        shard = api(gateway, f"indexes/default/tenants/{row.get_by_role('link').inner_text()}")["shard"]
        assert shard == row.locator("td").nth(1).inner_text().split(" → ")[1]
    page.get_by_label("Aim").select_option("drain")
    page.get_by_label("Shard to empty").fill("no-such-shard")
    page.get_by_role("button", name="Plan", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("no-such-shard")


def test_a_migration_is_planned_begun_steered_and_rolled_back(page: Page, gateway: str) -> None:
    log_in(page)
    before = homes(gateway, "shard-4")
    assert len(before) > 1
    show(page, "migrations", "Migrations")
    page.get_by_role("link", name="Plan one…").click()
    page.get_by_label("Shards to empty").fill("shard-4")
    page.get_by_label("To shards").fill("shard-2, shard-3")
    page.get_by_label("Tenants a wave, %").fill("100")
    page.get_by_label("Canaries").fill("1")
    page.get_by_label("Soak, minutes").fill("0")
    page.get_by_role("button", name="Plan", exact=True).click()
    expect(rows(page, "Planned waves")).to_have_count(2)
    expect(rows(page, "Room on the targets")).to_have_count(2)
    assert homes(gateway, "shard-4") == before  # a plan moves nothing
    page.get_by_role("button", name="Begin…").click()
    page.get_by_role("dialog").get_by_role("button", name="Begin").click()
    card = page.get_by_role("article", name="Migration")
    expect(card).to_contain_text(f"1 of {len(before)} tenants moved", timeout=LONG_MS)
    expect(rows(page, "Waves").first).to_contain_text("open", timeout=LONG_MS)
    picture(page, "migration", whole=True)
    card.get_by_role("button", name="Pause").click()
    expect(card.get_by_text("paused", exact=True)).to_be_visible()
    card.get_by_role("button", name="Go on").click()
    card.get_by_role("button", name="Next wave now").click()
    page.get_by_role("dialog").get_by_role("button", name="Next wave now").click()
    expect(card.get_by_text("done", exact=True)).to_be_visible(timeout=LONG_MS)
    assert homes(gateway, "shard-4") == set()
    card.get_by_role("button", name="Roll back").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    expect(card.get_by_text("rolled-back", exact=True)).to_be_visible(timeout=LONG_MS)
    assert homes(gateway, "shard-4") == before
    page.get_by_role("link", name="Migrations").first.click()
    expect(rows(page, "Migrations")).to_have_count(1)
    page.goto("/#/default/migrations/new")
    page.get_by_label("Shards to empty").fill("no-such-shard")
    page.get_by_role("button", name="Plan", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("no-such-shard")


def test_the_auto_pilot_is_set_and_its_record_is_shown(page: Page, gateway: str) -> None:
    log_in(page)
    show(page, "autopilot", "Auto-pilot")
    expect(page.get_by_text("It does nothing by itself.")).to_be_visible()
    set_pilot(page, "observe", windows="")
    expect(page.get_by_text("It writes down which moves it would make")).to_be_visible()
    expect(rows(page, "Record of the auto-pilot").first).to_be_visible(timeout=LONG_MS)
    picture(page, "autopilot")
    set_pilot(page, "on", windows="")
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("windows")
    assert pilot(gateway) == ("observe", [])
    page.keyboard.press("Escape")
    set_pilot(page, "observe", windows="Sat 02:00-05:00 UTC")
    expect(page.locator(".facts")).to_contain_text("Sat 02:00-05:00 UTC")
    assert pilot(gateway) == ("observe", ["Sat 02:00-05:00 UTC"])
    set_pilot(page, "off", windows="")
    expect(page.get_by_text("It does nothing by itself.")).to_be_visible()


def set_pilot(page: Page, stance: str, *, windows: str) -> None:
    page.get_by_role("button", name="Set…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("It is").select_option(stance)
    dialog.get_by_role("textbox", name="Windows").fill(windows)
    dialog.locator("button[type=submit]").click()


def pilot(gateway: str) -> tuple[object, object]:
    policy = api(gateway, "autopilot")["policy"]
    assert isinstance(policy, dict)
    return policy["stance"], policy["windows"]


def homes(gateway: str, shard: str) -> set[object]:
    """The tenants of a shard."""
    found = api(gateway, "indexes/default/tenants?limit=100")["tenants"]
    assert isinstance(found, list)
    return {one["name"] for one in found if one["shard"] == shard}


def test_the_bill_and_other_sizes(page: Page, gateway: str) -> None:
    log_in(page)
    show(page, "cost", "Cost")
    expect(rows(page, "Cost of tenants")).to_have_count(71)
    over_time = page.get_by_role("img", name="Cost over time")
    expect(over_time).to_have_attribute("aria-label", re.compile(r"Now: everything \$[\d,.]+, northwind \$"))
    page.get_by_label("Numbers of shards to try").fill("2, 9")
    page.get_by_role("button", name="Try").click()
    expect(rows(page, "Numbers of shards")).to_have_count(2)
    expect(rows(page, "Numbers of shards").last).to_contain_text("9")
    expect(rows(page, "Architectures").filter(has_text="Serverless")).to_contain_text("$")
    picture(page, "cost")


def test_a_backup_is_made_and_tested(page: Page, gateway: str) -> None:
    log_in(page)
    show(page, "backups", "Backups")
    page.get_by_role("button", name="Back up…").click()
    page.get_by_role("dialog").get_by_role("button", name="Begin").click()
    expect(rows(page, "Backups")).to_have_count(1, timeout=LONG_MS)
    rows(page, "Backups").get_by_role("button", name=re.compile("^Test backup")).click()
    expect(page.get_by_text("It is whole: 71 tenants")).to_be_visible(timeout=LONG_MS)
    picture(page, "backups")


def test_keys_are_made_rotated_and_revoked_and_reach_no_more_than_they_say(
    page: Page, browser: Browser, gateway: str
) -> None:
    log_in(page)
    show(page, "keys", "Keys")
    page.get_by_role("button", name="New key…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Tenant").last.fill("globex")
    dialog.get_by_label("Label").fill("their app")
    dialog.get_by_role("button", name="Make it").click()
    secret = page.get_by_role("textbox", name="Secret: text").inner_text()
    page.get_by_role("button", name="I have it").click()
    for other in watched(browser, gateway):
        log_in(other, secret)
        expect(other.get_by_role("heading", level=1, name="globex")).to_be_visible()
        expect(other.get_by_role("navigation", name="Dashboard")).to_have_count(0)
        other.goto("/#/default/tenants/northwind")
        expect(other.get_by_role("heading", level=1, name="globex")).to_be_visible()
        expect(other.get_by_text("northwind")).to_have_count(0)
    row = rows(page, "API keys").filter(has_text="their app")
    row.get_by_role("button", name=re.compile("^Rotate")).click()
    page.get_by_role("dialog").get_by_role("button", name="Make the new key").click()
    fresh = page.get_by_role("textbox", name="Secret: text").inner_text()
    page.get_by_role("button", name="I have it").click()
    assert fresh != secret
    expect(rows(page, "API keys").filter(has_text="their app")).to_have_count(2)  # the new one is listed
    picture(page, "keys")
    active = rows(page, "API keys").filter(has=page.get_by_role("button", name=re.compile("^Revoke")))
    active.get_by_role("button", name=re.compile("^Revoke")).click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke", exact=True).click()
    expect(rows(page, "API keys").filter(has_text="revoked").first).to_be_visible()
    expect(active).to_have_count(0)
    for key in (secret, fresh):
        assert httpx.get(f"{gateway}/v1/whoami", headers={"Api-Key": key}).status_code == 401


def test_the_audit_log_is_searched_and_verified(page: Page, gateway: str) -> None:
    log_in(page)
    show(page, "audit", "Audit")
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_text("The log is whole")).to_be_visible()
    page.get_by_label("Action").fill("tenant.create")
    page.get_by_label("Tenant").fill("customer-07")
    page.get_by_role("button", name="Find").click()
    expect(rows(page, "Audit log").filter(has_not_text="customer-07")).to_have_count(0)
    expect(rows(page, "Audit log")).to_have_count(2)
    picture(page, "audit")


def test_all_of_it_can_be_done_with_the_keyboard(page: Page, gateway: str) -> None:
    page.goto("/")
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type(HEADERS["Api-Key"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Overview")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.get_by_role("link", name="Tenants", exact=True).first.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Tenants")).to_be_focused()
    show(page, "tenants/globex", "globex")
    page.get_by_role("button", name="Move…").press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("button", name="Move…")).to_be_focused()


def test_no_page_is_wider_than_a_phone(browser: Browser, gateway: str) -> None:
    for page in watched(browser, gateway, viewport={"width": 390, "height": 844}, has_touch=True):
        log_in(page)
        page.get_by_role("button", name="Menu").click()
        page.get_by_role("link", name="Moves").click()
        expect(page.get_by_role("heading", level=1, name="Moves")).to_be_visible()
        expect(page.get_by_role("link", name="Keys")).to_be_hidden()
        for name in PAGES:
            settled(page, name)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
            if name == "overview":
                picture(page, "phone")


def test_nothing_stands_in_the_way_of_assistive_technology(browser: Browser, gateway: str) -> None:
    for scheme in ("light", "dark"):
        for page in watched(browser, gateway, color_scheme=scheme):
            log_in(page)
            for name in PAGES:
                settled(page, name)
                page.evaluate(AXE)
                found = page.evaluate("axe.run().then((found) => found.violations)")
                told = [(one["id"], [each["html"] for each in one["nodes"][:3]]) for one in found]
                assert told == [], (scheme, name)
                if (scheme, name) == ("dark", "overview"):
                    picture(page, "dark")


def settled(page: Page, name: str) -> None:
    """A page with nothing of it still on its way."""
    page.goto(f"/#/default/{name}")
    page.get_by_role("heading", level=1).wait_for()
    expect(page.locator(".spinner, .again, [disabled]:has-text('…')")).to_have_count(0)


def test_the_page_may_load_nothing_from_elsewhere_and_run_nothing_inline(page: Page, gateway: str) -> None:
    served = httpx.get(gateway)
    policy = served.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*src=)|style=|https?://", served.text)
    files = re.findall(r'(?:href|src)="([^"]+)"', served.text)
    assert files
    for file in files:
        answer = httpx.get(gateway + file)
        assert answer.status_code == 200, file
        assert "immutable" in answer.headers["cache-control"], file
    log_in(page)  # the fixture fails if anything else was asked
