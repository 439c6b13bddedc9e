"""The labelling page as a labeller meets it: headless Chromium, and the server that `sluice dashboard` starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from flows.serving.listening import LOOPBACK
from infra.dashboard.show import CAPTION, shortened
from tasks.classifying.given import log_path
from tasks.labels.label_log import ADJUDICATION, NEGATIVE, POSITIVE, UNDO, UNSURE, Entry, read_log
from tasks.labels.rounds import Round, latest_round
from tasks.lake import Version
from tasks.reporting.thumbnail_cache import Thumbnail, ThumbnailCache
from tests.infra.browsing import PICTURE, SCREEN, Server, answer, chromium, gone, ready, serving, shown
from tests.tasks.queued import HOSTILE, pictured, queued, say, uids_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

COUNT = len(HOSTILE)
UNDO_BUTTON = ".st-key-undo button"  # the last that is drawn
MARK = '[class*="st-key-mark-"]'
KEYS = {"y": POSITIVE, "n": NEGATIVE, "u": UNSURE}
# Which sample's picture was there at each press of a key, noted before the page hears of the key.
NOTE = """
window.seen = [];
window.addEventListener("keydown", (event) => {
  const picture = document.querySelector('[class*="st-key-picture-large-"]');
  if (picture) window.seen.push([event.key, picture.className.match(/large-([0-9a-f]{32})/)[1]]);
}, true);
"""

Visit = Callable[..., "Page"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def version(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Version:
    return pictured(tmp_path_factory.mktemp("labelling"), HOSTILE, COUNT)


@pytest.fixture(scope="module")
def server(version: Version) -> Iterator[Server]:
    with serving(version.lake.root) as found:
        yield found


@pytest.fixture
def asked(version: Version) -> Round:
    """A new round of all samples, and nothing said of any."""
    log_path(version.lake, "clock").unlink(missing_ok=True)
    newest = latest_round(version.lake, "clock")
    return queued(version, number=newest.number + 1 if newest else 1)


@pytest.fixture
def beyond() -> Iterator[list[str]]:
    """Dialogs that open, and addresses other than the server's that are asked for: none in any test."""
    found: list[str] = []
    yield found
    assert found == []


@pytest.fixture
def visit(browser: Browser, server: Server, asked: Round, beyond: list[str]) -> Iterator[Visit]:
    """Opens the page in a window that shares nothing with another; what leads beyond the server is cut off."""
    contexts = []

    def visit(name: str | None = "anna", to: Server = server, sent: list[bytes] | None = None) -> Page:
        own = (f"http://{LOOPBACK}:{to.port}/", f"ws://{LOOPBACK}:{to.port}/", "data:", "blob:")

        def note(address: str) -> None:
            if not address.startswith(own):
                beyond.append(address)

        context = browser.new_context(viewport=SCREEN)
        contexts.append(context)
        context.add_init_script(NOTE)
        context.route(lambda address: not address.startswith(own), lambda route: route.abort())
        context.on("request", lambda request: note(request.url))
        context.on("dialog", lambda dialog: note(f"dialog: {dialog.message}"))
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("websocket", lambda socket: note(socket.url))
        if sent is not None:
            page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: sent.append(frame)))
        page.goto(f"{to.address}/label" + (f"?annotator={name}" if name else ""))
        if name:
            ready(page, UNDO_BUTTON)
        return page

    yield visit
    for context in contexts:
        context.close()


def entries(version: Version) -> list[Entry]:
    log = read_log(log_path(version.lake, "clock"), "clock")
    assert log.damaged == ()
    return list(log.entries)


def said(version: Version) -> list[tuple[str, str, str]]:
    return [(entry.uid, entry.label, entry.annotator) for entry in entries(version)]


def thumbnail(version: Version, uid: str) -> Thumbnail:
    row = uids_of(version).index(uid)
    found = ThumbnailCache(version).get([row])[row]
    assert found is not None
    return found


def test_who_gives_a_name_answers_by_keys_and_the_log_has_it_in_order(visit: Visit, version: Version) -> None:
    page = visit(None)
    page.get_by_label("Your name").fill("anna")
    page.keyboard.press("Enter")
    ready(page, UNDO_BUTTON)
    uids = [answer(page, key) for key in "ynu"]
    page.get_by_text(f"3 of {COUNT} answered by you").wait_for()
    answer(page, "z")
    assert shown(page) == uids[2]
    page.get_by_text(f"2 of {COUNT} answered by you").wait_for()
    wanted = zip([*uids, uids[2]], (POSITIVE, NEGATIVE, UNSURE, UNDO), strict=True)
    assert said(version) == [(uid, label, "anna") for uid, label in wanted]


def test_a_sharp_picture_leaves_the_server_only_when_it_is_asked_for(visit: Visit, version: Version) -> None:
    sent: list[bytes] = []
    page = visit(sent=sent)
    for _ in range(2):
        made = thumbnail(version, shown(page))
        assert page.locator(f"{PICTURE} img").get_attribute("src") == made.blurred
        assert made.blurred.encode() in b"".join(sent)
        assert made.sharp.encode() not in b"".join(sent)
        assert made.sharp not in page.content()
        page.keyboard.press("v")
        ready(page, f'[class*="{shown(page)}-sharp"]')
        assert page.locator(f"{PICTURE} img").get_attribute("src") == made.sharp
        answer(page, "n")


@pytest.mark.parametrize("pause", [0, 40])
def test_keys_pressed_in_haste_answer_once_what_was_seen_and_nothing_else(
    pause: int, visit: Visit, version: Version
) -> None:
    page = visit()
    for key in "ynuuynnyuy" * 3:
        page.keyboard.press(key)
        page.wait_for_timeout(pause)
    seen = {(uid, KEYS[key], "anna") for key, uid in page.evaluate("window.seen")}
    page.wait_for_timeout(500)  # the last key is on its way
    ready(page)
    log = said(version)
    page.get_by_text(f"{len(log)} of {COUNT} answered by you").wait_for()
    assert 0 < len(log) == len({uid for uid, _, _ in log})
    assert set(log) <= seen


def test_a_key_that_is_held_down_answers_once(visit: Visit, version: Version) -> None:
    page = visit()
    uid = shown(page)
    for _ in range(30):
        page.keyboard.down("n")  # all but the first are repeats
        page.wait_for_timeout(10)
    page.keyboard.up("n")
    gone(page, uid)
    assert said(version) == [(uid, NEGATIVE, "anna")]


def test_in_a_grid_clicks_and_hasty_digits_mark_and_n_says_no_to_the_rest(visit: Visit, version: Version) -> None:
    page = visit()
    page.get_by_text("Grid", exact=True).click()
    ready(page, f"{MARK} button")
    shown_first = [place.get_attribute("class").rpartition("mark-")[2][:32] for place in page.locator(MARK).all()]
    page.locator(f"{MARK} button").nth(1).click()
    for digit in "479":
        page.keyboard.press(digit)
    page.get_by_text(f"4 of {COUNT} answered by you").wait_for()
    ready(page)
    page.keyboard.press("n")
    page.get_by_text(f"9 of {COUNT} answered by you").wait_for()
    assert {uid: label for uid, label, _ in said(version)} == {
        uid: POSITIVE if place in (1, 3, 6, 8) else NEGATIVE for place, uid in enumerate(shown_first)
    }
    ready(page)
    page.keyboard.press("p")
    page.wait_for_function(f"document.querySelectorAll('{MARK}').length == {COUNT - 9}")


def plain(page: Page) -> bool:
    """Whether nothing stands on the page that Sluice did not put there, and nothing was hidden by it."""
    strange = '[href*="alert"], [onerror], iframe, object, script:text("alert"), style:text("display:none")'
    foreign = 'img:not([src^="data:image/webp;base64,"])'
    return page.locator(strange).count() == page.locator(foreign).count() == 0


def test_hostile_captions_and_names_are_text(visit: Visit, version: Version) -> None:
    names = "<img src=x onerror=alert(1)>", "[press](javascript:alert(1))"
    for name, label in zip(names, (POSITIVE, NEGATIVE), strict=True):
        say(version.lake, uids_of(version)[0], label, name)
    page, captions = visit(), set()
    page.get_by_text("Grid").click()
    for count in (9, COUNT - 9):
        page.wait_for_function(f"document.querySelectorAll('[class*=st-key-line-]').length == {count}")
        assert plain(page)
        ready(page)
        page.keyboard.press("p")
    page.get_by_text("Disagreements", exact=True).click()
    page.wait_for_selector("text=Who said what")
    assert plain(page)
    assert all(page.get_by_text(f": {name}, 2026-03-02 08:00").is_visible() for name in names)
    page.get_by_text("One at a time").click()
    page.wait_for_selector("text=Who said what", state="detached")
    for _ in range(COUNT):
        assert plain(page)
        captions.add(page.locator(".st-key-caption").inner_text())
        answer(page, "n")
    page.get_by_text("All answered").wait_for()
    assert captions >= {shortened(caption, CAPTION) or "(no caption)" for caption in HOSTILE}


def test_two_annotators_at_once_lose_no_answer(visit: Visit, version: Version) -> None:
    pages = {name: visit(name) for name in ("anna", "ben")}
    for _ in range(COUNT):
        before = {name: shown(page) for name, page in pages.items()}
        for page in pages.values():
            page.keyboard.press("y")
        for name, page in pages.items():
            gone(page, before[name])
    wanted = {(uid, POSITIVE, name) for uid in uids_of(version) for name in pages}
    assert set(said(version)) == wanted
    assert len(said(version)) == len(wanted)


def test_a_disagreement_is_shown_with_who_said_what_and_settled(visit: Visit, version: Version) -> None:
    for name, label in (("anna", POSITIVE), ("ben", NEGATIVE)):
        say(version.lake, uids_of(version)[5], label, name)
    page = visit("carla")
    page.get_by_text("disagreements: 1").wait_for()
    page.get_by_text("Disagreements", exact=True).click()
    ready(page, "text=Who said what")
    assert shown(page) == uids_of(version)[5]
    assert page.get_by_text("Yes: anna,").is_visible()
    assert page.get_by_text("No: ben,").is_visible()
    page.keyboard.press("n")
    page.get_by_text("No disagreements").wait_for()
    last = entries(version)[-1]
    assert (last.uid, last.label, last.annotator, last.source) == (
        uids_of(version)[5], NEGATIVE, "carla", ADJUDICATION,
    )  # fmt: skip


def test_what_was_answered_survives_the_server_and_the_page_goes_on_where_it_was(
    visit: Visit, version: Version
) -> None:
    with serving(version.lake.root) as own:
        page = visit(to=own)
        answered = [answer(page, key) for key in "yny"]
        own.kill()
        assert said(version) == list(zip(answered, (POSITIVE, NEGATIVE, POSITIVE), ["anna"] * 3, strict=True))
        page.keyboard.press("n")  # nobody is there to hear it
        then = shown(page)
        own.start()
        page.reload()
        ready(page, UNDO_BUTTON)
        assert shown(page) == then
        page.get_by_text(f"3 of {COUNT} answered by you").wait_for()
        assert answer(page, "u") == then
    assert len(said(version)) == 4


def test_the_page_loads_nothing_from_beyond_loopback(visit: Visit, beyond: list[str]) -> None:
    page = visit()
    page.wait_for_load_state("networkidle")
    assert beyond == []
    page.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://example.org/'}))")
    page.wait_for_timeout(200)
    assert beyond == ["http://example.org/"]  # it would have been noticed
    beyond.clear()
