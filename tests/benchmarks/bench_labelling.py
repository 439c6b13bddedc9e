"""Labelling a queue of 10,000 in Chromium: from the press of a key to the next picture, at its start and near its end.

The clock includes the key, the server's work (the answer is on the disk), the way back and the decoding of the picture
in the page. Run: python -m tests.benchmarks.bench_labelling
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tasks.labelling.desk import Desk, open_queue
from tasks.lake import Version
from tests.drawn_pool import draw_pool
from tests.infra.browsing import SCREEN, Server, answer, chromium, ready, serving
from tests.tasks.decided_pool import ingested
from tests.tasks.queued import committed, queued

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Times = NDArray[np.float64]
CLOCK = """
window.taken = [];
let pressed = null, uid = null;
addEventListener("keydown", () => { pressed = performance.now(); }, true);
new MutationObserver(() => {
  const picture = document.querySelector('[class*="st-key-picture-large-"]');
  const now = picture && picture.className.match(/large-([0-9a-f]{32})/)[1];
  const image = picture && picture.querySelector("img");
  if (!image || now === uid) return;
  const start = pressed;
  if (start) image.decode().then(() => window.taken.push(performance.now() - start));
  uid = now;
}).observe(document, {subtree: true, childList: true, attributes: true});
"""


def labelled(browser: Browser, server: Server, answers: int, pace: float) -> tuple[float, Times]:
    """Seconds until the page is open; (answers,) ms from key to picture, the keys `pace` seconds apart."""
    context = browser.new_context(viewport=SCREEN)
    context.add_init_script(CLOCK)
    page = context.new_page()
    start = time.perf_counter()
    page.goto(f"{server.address}/label?annotator=anna")
    ready(page, ".st-key-undo button")
    opened = time.perf_counter() - start
    for _ in range(answers):
        page.wait_for_timeout(1000 * pace)
        answer(page, "n")
    taken = np.array(page.evaluate("window.taken"))
    context.close()
    return opened, taken


def drawn_queue(folder: Path, samples: int) -> Version:
    draw_pool(folder / "pool", samples, shard_rows=1_000)
    version = committed(ingested(folder / "lake", folder / "pool"))
    queued(version)
    return version


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--answers", type=int, default=60, help="timed at the start and again near the end")
    parser.add_argument("--pace", type=float, default=0.3, help="seconds that the labeller looks")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    try:
        version = drawn_queue(folder, arguments.samples)
        with serving(version.lake.root) as server, chromium() as browser:
            first = labelled(browser, server, arguments.answers, arguments.pace)
            desk = Desk(open_queue(version.lake, "clock"), "anna")
            desk.answer(dict.fromkeys(desk.order[: arguments.samples - 100], "0"))
            last = labelled(browser, server, arguments.answers, arguments.pace)
    finally:
        shutil.rmtree(folder)
    print(
        f"{arguments.samples:,} samples queued, {arguments.answers} answers timed, a key every {arguments.pace:.1f} s"
    )
    for name, (opened, taken) in (("at the start", first), (f"{arguments.samples - 100:,} answered", last)):
        median, tail = np.percentile(taken, [50, 95])
        print(
            f"  {name:16} opened in {opened:.1f} s; next picture in {median:.0f} ms, p95 {tail:.0f} ms (n={len(taken)})"
        )
    print(f"  ratio of the medians {np.median(last[1]) / np.median(first[1]):.2f}")


if __name__ == "__main__":
    main()
