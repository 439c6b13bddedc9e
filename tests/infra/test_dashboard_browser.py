"""The dashboard as its visitors meet it: headless Chromium, and the server that `sluice dashboard` starts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from infra.dashboard.access import TOKEN
from infra.dashboard.app import PAGES
from tasks.lake import Version, find_pool
from tests.benchmarks.dashboard_users import visit
from tests.flows.serving.test_dashboard import SECRET, certificate
from tests.infra.browsing import AT_REST, SCREEN, Server, chromium, serving
from tests.tasks.queued import uids_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = [name for pages in PAGES.values() for name in pages]
PATHS = {name: "" if name == "Overview" else name.lower() for name in NAMES}


@pytest.fixture(scope="module")
def version(curated_lake: Path) -> Version:
    return find_pool(curated_lake, None).version("latest")


@pytest.fixture(scope="module")
def server(version: Version) -> Iterator[Server]:
    with serving(version.lake.root, version.lake.pool) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def test_the_first_visitor_of_a_new_server_gets_the_page_that_was_asked_for(server: Server) -> None:
    user = visit(server)
    for name in NAMES:
        user.ask(PATHS[name])
        assert user.title in (name, "")  # the labelling page has no title
    assert user.errors == []


@pytest.mark.slow
def test_every_page_is_shown_and_loads_nothing_from_elsewhere(browser: Browser, server: Server) -> None:
    page = browser.new_page(viewport=SCREEN)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: asked.append(dialog.message))
    for name in NAMES:
        page.goto(f"{server.address}/{PATHS[name]}")
        page.get_by_role("link", name=name, exact=True).wait_for()
        rested(page)
        assert page.locator('[data-testid="stException"], [data-testid="stAlert"]').count() == 0, name
        if name != "Label":
            assert page.locator("h1").inner_text() == name
    assert [url for url in asked if not url.startswith((f"{server.address}/", "data:", "blob:"))] == []
    page.close()


@pytest.mark.slow
def test_the_version_of_a_link_is_shown_on_the_next_page_too_until_another_is_chosen(
    browser: Browser, server: Server
) -> None:
    page = browser.new_page(viewport=SCREEN)
    page.goto(f"{server.address}/?version=1")
    for name in ("Bias", "Lineage"):
        page.get_by_role("link", name=name, exact=True).click()
        page.locator("h1", has_text=name).wait_for()
        rested(page)
        assert "Version 1," in page.get_by_test_id("stSidebar").inner_text()
        assert page.url.endswith("version=1")
    page.get_by_test_id("stSidebar").get_by_test_id("stSelectbox").click()
    page.get_by_role("option", name="latest", exact=True).click()
    page.wait_for_function("() => location.search === ''")
    rested(page)
    page.get_by_role("link", name="Bias", exact=True).click()
    page.locator("h1", has_text="Bias").wait_for()
    rested(page)
    assert "Version 1," not in page.get_by_test_id("stSidebar").inner_text()
    page.close()


@pytest.mark.slow
def test_a_click_on_a_row_tells_the_sample_and_a_link_of_the_graph_its_version(
    browser: Browser, server: Server, version: Version
) -> None:
    page = browser.new_page(viewport=SCREEN)
    page.goto(f"{server.address}/samples")
    rested(page)
    table = page.locator('[data-testid="stDataFrame"]').first
    box = table.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 16, box["y"] + 35 + 32)  # the first row's mark
    field = page.get_by_label("Uid or key")
    page.wait_for_function("() => location.search.includes('why=')")
    rested(page)
    assert field.input_value() == uids_of(version)[0]
    assert page.get_by_text(f"Version {version.number}: ").count() == 1
    page.goto(f"{server.address}/lineage")
    rested(page)
    page.locator('a[href="?version=1"]').click()
    page.get_by_role("heading", name="Version 1").wait_for()
    page.close()


@pytest.mark.slow
def test_with_a_token_a_browser_logs_in_once_and_comes_to_what_it_asked_for(
    browser: Browser, version: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, SECRET)
    with serving(version.lake.root, version.lake.pool, **certificate(tmp_path)) as server:
        context = browser.new_context(viewport=SCREEN, ignore_https_errors=True)
        page = context.new_page()
        page.goto(f"{server.address}/samples?verdict=filtered")
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button").click()
        page.get_by_text("That is not the token.").wait_for()
        page.get_by_label("Token").fill(SECRET)
        page.get_by_role("button").click()
        page.get_by_text(f"{version.manifest['counts']['filtered']:,} of the").wait_for()
        assert page.url == f"{server.address}/samples?verdict=filtered"
        context.close()


def rested(page: Page) -> None:
    """Wait until the page has been made."""
    page.wait_for_selector(AT_REST, state="attached")
    page.wait_for_selector('[data-testid="stSkeleton"]', state="detached")
    page.wait_for_timeout(500)
    page.wait_for_selector(AT_REST, state="attached")
