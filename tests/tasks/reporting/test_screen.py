import dataclasses
from pathlib import Path

import pytest
from rich.console import Console

from tasks import publish
from tasks.lake import Version, open_lake
from tasks.reporting.screen import screen
from tests.tasks.decided_pool import CATEGORY, curated, ingested, samples, serial, write_tars


def printed(version: Version) -> list[str]:
    console = Console(width=100, record=True, file=None, quiet=True)
    with console.capture() as captured:
        console.quiet = False
        console.print(screen(version))
    return captured.get().splitlines()


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    folder = tmp_path_factory.mktemp("screen")
    return curated(folder / "lake", write_tars(folder / "pool", [*samples(24), ("jpg", b"", "nothing")]))


def test_the_screen_tells_the_funnel_the_words_the_clocks_and_what_to_try_next(version: Version) -> None:
    text = "\n".join(printed(publish.run(version, publish.Config(feature=("o'clock",)), serial)))
    for expected in (
        "25",
        "−7 near-duplicates",
        "zero bytes 1",
        "woman",
        "8 say “o'clock”",
        "report.html",
        "sluice why ",
    ):
        assert expected in text


def test_the_fullest_screen_fits_forty_five_lines_of_a_hundred_columns(version: Version) -> None:
    words = [{**version.summary["audit"]["keywords"][0], "keyword": f"{'long ' * 9}{i}"} for i in range(40)]
    gate = [{"metric": "kept", "passed": True}]
    log = {
        stage: {"stage": stage, "gate": gate, "parent": i - 1} for i, stage in enumerate(("ingest", "filter", "dedup"))
    }

    class Log:
        pool, home = "p" * 30, version.lake.home
        place, artifact_place = version.lake.place, version.lake.artifact_place
        artifact_path, column_path = version.lake.artifact_path, version.lake.column_path

        def manifest(self, number: int) -> dict[str, object]:
            return {0: {**log["ingest"], "parent": None}, 1: log["filter"], 2: log["dedup"]}[number]

    full = publish.run(version, publish.Config(feature=("clock",)), serial)
    many = {**full.summary, "audit": {**full.summary["audit"], "keywords": words}}
    many["filter"] = {"categories": {"romance": CATEGORY}}
    parts = tuple(dataclasses.replace(part, failed_rows=9) for part in full.parts)
    top = {"stage": "reweight", "gate": gate, "parent": 2, "digest": "0" * 64}
    shown = printed(dataclasses.replace(full, summary=many, parts=parts, lake=Log(), manifest=top))  # type: ignore[arg-type]
    assert len(shown) <= 45 + max(0, len(str(full.lake.home)) // 100 + 1)
    assert max(map(len, shown)) <= 100


def test_an_unfinished_and_an_empty_version_have_a_screen(tmp_path: Path) -> None:
    plain = ingested(tmp_path / "lake", write_tars(tmp_path / "pool", samples(3)))
    assert any("sluice versions" in line for line in printed(plain))
    assert printed(Version(open_lake(tmp_path / "lake", "empty", "nowhere")))


def test_markup_in_captions_is_text(tmp_path: Path) -> None:
    items = [(ending, image, f"[red]{caption}[/red]") for ending, image, caption in samples(24)]
    draft = curated(tmp_path / "lake", write_tars(tmp_path / "pool", items))
    assert "[red]clock" in "\n".join(printed(draft))
