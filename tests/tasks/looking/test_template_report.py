"""The report shows the largest families of one template, blurred until asked, with a frame around what differs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks import publish
from tasks.files import write_array, write_table
from tasks.lake import Version
from tasks.looking import template_report
from tasks.reporting.report import render
from tests.tasks.decided_pool import curated, samples, serial, with_clocks_alike, write_tars
from tests.tasks.reporting.test_report import Page

COUNT = 24  # every third a clock


def pool(folder: Path, caption: str = "") -> Version:
    """A version after every step, its clocks one near-duplicate group with cosines of about 0.97."""
    items = [(ending, image, caption or text) for ending, image, text in samples(COUNT)]
    made = curated(folder / "lake", write_tars(folder / "pool", items, per_shard=10))
    return with_clocks_alike(made)


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    return pool(tmp_path_factory.mktemp("templates"))


def report(version: Version, **config: bool) -> str:
    done = publish.run(version, publish.Config(**config), serial)
    return (done.artifact("published") / "report.html").read_text("utf-8")


def test_the_report_frames_what_differs_in_a_family_of_clocks(version: Version) -> None:
    section = report(version).partition("<h3>Pictures that differ in a region</h3>")[2].partition("</section>")[0]
    assert section.count('class="region"') == COUNT // 3 - 1
    assert section.count("data:image/webp;base64,") == COUNT // 3
    assert "8 pictures" in section and "1 family in " in section
    assert "frame kept" in section and "frame duplicate" in section


def test_its_pictures_are_blurred_until_asked(version: Version) -> None:
    text = report(version)
    section = text.partition("<h3>Pictures that differ in a region</h3>")[2].partition("</section>")[0]
    assert section.count("<img") == section.count('class="frame') and ".frame img" in text
    assert text.index('id="reveal"') < text.index("<h3>Pictures that differ")


def test_the_same_version_gives_the_same_families(version: Version) -> None:
    assert template_report.context(version) == template_report.context(version)


def test_where_the_pool_is_gone_the_report_says_how_many_pairs_could_not_be_read(tmp_path: Path) -> None:
    made = pool(tmp_path)
    whole = template_report.context(made)
    (tmp_path / "pool").rename(tmp_path / "gone")
    found = template_report.context(made)
    assert whole is not None and found is not None
    assert found == {"families": [], "found": 0, "compared": 0, "unread": whole["of"], "of": whole["of"]}
    assert f"Of {whole['of']} others a picture could not be read again from the pool." in report(made)


def test_hostile_captions_are_text(tmp_path: Path) -> None:
    text = report(pool(tmp_path, '<script>alert(1)</script>"><img src=x onerror=alert(2)>'))
    section = text.partition("<h3>Pictures that differ in a region</h3>")[2].partition("</section>")[0]
    assert "&lt;script&gt;" in section
    tags = Page(text).tags
    assert "script" not in {tag for tag, _ in tags}
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)


def test_where_pictures_may_not_leave_the_pool_none_is_compared(
    version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template_report, "find", lambda *_: pytest.fail("pictures were read"))
    assert "Pictures that differ in a region" not in report(version, pictures=False)


def test_a_version_whose_near_duplicates_were_not_searched_tells_nothing(version: Version) -> None:
    for kind, without in (("artifacts", "groups"), ("columns", "embedding")):
        left = {name: key for name, key in getattr(version, kind).items() if name != without}
        assert template_report.context(dataclasses.replace(version, **{kind: left})) is None


def test_a_version_without_near_duplicates_has_no_such_section(version: Version) -> None:
    with version.lake.new_artifact("groups", "none") as folder:
        empty = {
            "group": pa.array([], pa.int64()),
            "uid": pa.array([], pa.string()),
            "caption": pa.array([], pa.string()),
        }
        write_table(folder / "groups.parquet", pa.table(empty))
    start = 0
    for part in version.parts:
        rows = np.eye(COUNT, dtype=np.float16)[start : start + part.rows]
        write_array(version.lake.column_path("embedding", "apart", part.part), rows)
        start += part.rows
    alone = version.derive("dedup", artifacts={"groups": "none"}, columns={"embedding": "apart"})
    found = template_report.context(alone)
    assert found is not None and found["of"] == 0
    assert "Pictures that differ in a region" not in render(alone, (), found)


def test_the_work_does_not_grow_with_the_number_of_pairs(version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_report, "MOST", 20)
    few = template_report.context(version)
    assert few is not None and few["compared"] == 1 < few["of"]
