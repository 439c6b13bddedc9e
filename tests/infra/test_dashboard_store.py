"""The dashboard of a pool and a lake in an object store, on a machine that has nothing of either."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tasks.storing import copying
from tasks.storing.addresses import located
from tasks.storing.copying import LISTED
from tests.benchmarks.dashboard_users import visit
from tests.drawn_pool import draw_pool
from tests.flows.runs import curated, settings
from tests.infra.browsing import SCREEN, Server, chromium
from tests.infra.browsing import serving as dashboard
from tests.infra.one_page import alone
from tests.infra.shown_pages import html
from tests.infra.test_dashboard_browser import NAMES, PATHS, rested
from tests.object_store import BUCKET, on_machine, serving, upload

LAKE = f"s3://{BUCKET}/lakes/shown"
POOL = "pools/shown/shapes"


class Stored(NamedTuple):
    """A store with a pool and its lake."""

    address: str
    pool: Path  # what was uploaded
    first: Path  # the cache of the machine that curates

    def curate(self, patch: pytest.MonkeyPatch) -> int:
        """A run on the first machine; the version's number."""
        on_machine(patch, self.address, self.first)
        copying.forget_listings()
        upload(self.address, self.pool, POOL)
        found = curated(Path(f"s3://{BUCKET}/{POOL}"), Path(LAKE), settings(self.pool))
        return int(found["version"])


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    folder = tmp_path_factory.mktemp("stored")
    draw_pool(folder / "shapes", 120, shard_rows=40)
    with serving() as address, pytest.MonkeyPatch.context() as patch:
        found = Stored(address, folder / "shapes", folder / "first")
        found.curate(patch)
        yield found


@pytest.fixture
def _elsewhere(stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on this process is another machine, which has nothing of the lake."""
    on_machine(monkeypatch, stored.address, tmp_path / "cache")
    copying.forget_listings()


@pytest.fixture
def server(_elsewhere: None) -> Iterator[Server]:
    with dashboard(located(LAKE), "shapes") as found:
        yield found


def copied() -> set[str]:
    """What the machine has of the store, names of artifacts' and groups' files without their keys."""
    home = located(LAKE) / "shapes"
    names = [path.relative_to(home).parts for path in home.rglob("*") if path.is_file()]
    return {"/".join([*(part.rsplit("-", 1)[0] for part in parts[:-1]), parts[-1]]) for parts in names}


def test_every_page_opens_and_copies_what_it_shows_and_no_more(server: Server) -> None:
    user = visit(server)
    user.ask(PATHS["Overview"])
    first = copied()
    for name in NAMES:
        user.ask(PATHS[name])
        assert user.title in (name, "")
    assert user.errors == []
    assert {name.split("/")[1] for name in first if name.startswith("columns/")} == {"decision"}
    assert not [name for name in first if name.startswith(("artifacts/", "cache/"))]
    later = copied()
    assert {name.split("/")[1] for name in later if name.startswith("columns/")} >= {"decision", "samples"}
    unshown = ("columns/embedding", "artifacts/tokens", "artifacts/weights")
    assert not [name for name in later if name.startswith(unshown) or name.endswith("samples.parquet")]
    cache = [path for path in located(LAKE).parents[1].rglob("*") if path.is_file()]
    assert not [path for path in cache if path.suffix == ".tar"]


@pytest.mark.usefixtures("_elsewhere")
def test_pictures_come_from_the_pool_in_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["server.py", str(located(LAKE)), "shapes"])
    app = alone("Steps", "Duplicates").run()
    assert not app.exception and html(app).pictures


def test_a_new_version_is_there_on_the_next_click(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_machine(monkeypatch, stored.address, tmp_path / "cache")
    copying.forget_listings()
    monkeypatch.setattr(sys, "argv", ["server.py", str(located(LAKE)), "shapes"])
    app = alone("Dataset", "Overview").run()
    before = app.sidebar.caption[0].value
    draw_pool(stored.pool, 160, shard_rows=40)
    with pytest.MonkeyPatch.context() as patch:
        number = stored.curate(patch)
    time.sleep(LISTED)
    app.run()
    assert app.sidebar.caption[0].value.startswith(f"Version {number},") and f"Version {number}," not in before
    assert str(number) in app.sidebar.selectbox[0].options


@pytest.mark.slow
def test_every_page_is_shown_in_a_browser_without_a_word_of_error(server: Server) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport=SCREEN)
        for name in NAMES:
            page.goto(f"{server.address}/{PATHS[name]}")
            page.get_by_role("link", name=name, exact=True).wait_for()
            rested(page)
            assert page.locator('[data-testid="stException"], [data-testid="stAlert"]').count() == 0, name
        page.goto(f"{server.address}/")
        rested(page)
        with page.expect_download() as report:
            page.get_by_role("button", name="Report").click()
        assert Path(report.value.path()).read_bytes().lstrip().startswith(b"<!doctype html>")
        page.close()
