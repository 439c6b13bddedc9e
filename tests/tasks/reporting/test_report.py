import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from tasks import audit
from tasks.files import write_table
from tasks.lake import Version, open_lake
from tasks.reporting.report import render
from tests.tasks.decided_pool import clock, curated, decided, encoded, ingested, samples, serial, write_tars

HOSTILE = "<script>alert('1')</script>\"><img src=x onerror=alert(2)> {{ 7*7 }} $x_1$ \u202e\x07 </style>"
BESIDE = {"words.csv", "groups.csv", "associations.csv", "corrected.csv", "residual.csv"}
VOID = {"meta", "img", "input", "br", "rect", "line", "circle", "path"}


class Page(HTMLParser):
    """Tags with their attributes, the text, and whether every tag that opens closes again."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == [], self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if not self.open or self.open[-1] != "style" else ""


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    folder = tmp_path_factory.mktemp("report")
    return curated(folder / "lake", write_tars(folder / "pool", samples(24)))


@pytest.fixture(scope="module")
def page(version: Version) -> Page:
    return Page(render(version, ("o'clock",)))


def test_the_page_tells_the_funnel_in_a_sentence_and_in_numbers(page: Page) -> None:
    assert "15 of 24 samples kept: 2 filtered out, 7 removed as near-duplicates." in page.text
    assert "1. From the pool to the dataset" in page.text


def test_the_page_tells_the_certificate_what_is_benign_and_whom_it_concerns(page: Page) -> None:
    assert "Not certified: at least 94.9% of the positives are flagged." in page.text
    assert "It covers 2 of the" in page.text and "1 parts came after the certificate" in page.text
    assert "≥ 94.9%" in page.text and "≤ 0.31%" in page.text  # rounded to the safe side
    assert "45% to 73%; labels drawn at random from the flagged samples" in page.text
    assert "Pointwise, not a certificate." in page.text
    assert "women" in page.text and "≥ 81.2%" in page.text and "men <b>" in page.text and "1 of 3" in page.text


def test_the_page_says_that_recall_is_an_estimate_and_what_the_encoder_was_trained_on(page: Page) -> None:
    assert "one on labelled positives, not a certificate" in page.text
    assert "trained on drawn clocks" in page.text
    assert "Not restored" in page.text


def test_the_page_runs_nothing_and_loads_nothing_from_elsewhere(version: Version, page: Page) -> None:
    assert "url(" not in render(version) and "@import" not in render(version)
    assert not {"script", "link", "iframe", "object", "base", "form"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#") or attributes["href"] in BESIDE
        assert (attributes.get("src") or "data:image/webp;base64,").startswith("data:image/webp;base64,")


def test_pictures_are_blurred_until_the_box_is_ticked(version: Version, page: Page) -> None:
    text = render(version)
    assert re.search(r"\.frame img \{[^}]*filter: blur", text)
    assert "#reveal:checked ~ .page .frame img { filter: none; }" in text
    box = next(attributes for tag, attributes in page.tags if attributes.get("id") == "reveal")
    assert box["type"] == "checkbox" and "checked" not in box
    assert sum(tag == "img" for tag, _ in page.tags) >= 8 + 2


def test_the_group_with_most_captions_of_a_featured_word_is_shown(version: Version) -> None:
    assert "The group with most captions that have “o&#39;clock”" in re.sub(
        r"</?bdi>", "", render(version, ("o'clock",))
    )
    assert "A group of 8 images" in render(version, ("no such word",))


def test_the_same_version_gives_the_same_bytes(version: Version) -> None:
    assert render(version, ("clock",)) == render(version, ("clock",))


def test_without_pictures_no_image_leaves_the_pool(version: Version) -> None:
    page = Page(render(version, pictures=False))
    assert not any(tag == "img" for tag, _ in page.tags)
    assert not any(attributes.get("id") == "reveal" for _, attributes in page.tags)


def test_a_pool_that_is_gone_gives_a_report_without_pictures(tmp_path: Path) -> None:
    draft = curated(tmp_path / "lake", write_tars(tmp_path / "pool", samples(24)))
    (tmp_path / "pool").rename(tmp_path / "gone")
    assert "no picture" in Page(render(draft)).text


def test_hostile_captions_and_shards_are_text(tmp_path: Path) -> None:
    items = [(ending, image, HOSTILE) for ending, image, _ in samples(24)]
    draft = curated(tmp_path / "lake", write_tars(tmp_path / "pool", items))
    parts = tuple(dataclasses.replace(part, path=HOSTILE, broken=HOSTILE) for part in draft.parts)
    text = render(dataclasses.replace(draft, parts=parts), (HOSTILE,))
    assert not {"script"} & {tag for tag, _ in Page(text).tags}
    assert "{{ 7*7 }}" in text
    assert "&lt;script&gt;" in text


def test_words_of_any_script_are_drawn_in_the_plot(tmp_path: Path) -> None:
    from tasks import audit
    from tests.tasks.decided_pool import serial

    items = [(ending, image, f"時計 женщина $a^$ {i % 4}") for i, (ending, image, _) in enumerate(samples(24))]
    draft = curated(tmp_path / "lake", write_tars(tmp_path / "pool", items))
    draft = audit.run(draft, audit.Config(keywords=("時計", "женщина")), serial)
    page = Page(render(draft))
    assert "時計" in page.text and "женщина" in page.text


def test_a_version_that_only_ingest_made_is_reported(tmp_path: Path) -> None:
    draft = ingested(tmp_path / "lake", write_tars(tmp_path / "pool", samples(5)))
    text = Page(render(draft)).text
    assert "5 of 5 samples kept: nothing was removed." in text
    assert "No category was declared" in text
    assert "Near-duplicates were not searched" in text
    assert "has no weights" in text


def test_an_empty_pool_and_one_that_is_all_quarantined_are_reported(tmp_path: Path) -> None:
    empty = Version(open_lake(tmp_path / "lake", "none", "nowhere"))
    assert "The pool holds no sample." in Page(render(empty, ("clock",))).text
    bad = [("jpg", b"", f"caption {i}") for i in range(3)]
    draft = ingested(tmp_path / "lake", write_tars(tmp_path / "pool", bad))
    text = Page(render(draft)).text
    assert "0 of 3 samples kept: 3 not usable." in text
    assert "zero bytes" in text


def test_a_filter_that_removed_all_is_reported(tmp_path: Path) -> None:
    draft = curated(tmp_path / "lake", write_tars(tmp_path / "pool", samples(9)))
    out = {"verdict": "filtered", "stage": "filter", "reason": "romance", "weight": None, "duplicate_of": None}
    assert "0 of 9 samples kept" in Page(render(decided(draft, dict.fromkeys(range(9), out)))).text


def test_the_gates_of_the_versions_that_led_here_are_listed(version: Version) -> None:
    gate = {"metric": "kept", "passed": True, "value": 15.0, "low": 1, "high": None, "meaning": "samples kept"}
    told = dataclasses.replace(version, manifest={"stage": "reweight", "gate": [gate], "parent": None})
    text = Page(render(told)).text
    assert "samples kept" in text and "at least 1" in text and "passed" in text


def test_a_large_group_shows_its_first_members_and_counts_the_rest(tmp_path: Path) -> None:
    items = [
        (e, image, text) if i % 3 else ("png", clock(i), f"clock {i}") for i, (e, image, text) in enumerate(samples(90))
    ]
    draft = curated(tmp_path / "lake", write_tars(tmp_path / "pool", items))
    assert "A group of 30 images" in render(draft)
    assert "and 6 more" in Page(render(draft)).text


def test_a_wide_picture_stays_small(tmp_path: Path) -> None:
    wide = ("png", encoded(Image.effect_noise((1500, 500), 90).convert("RGB"), "PNG"), "noise o'clock")
    draft = curated(tmp_path / "lake", write_tars(tmp_path / "pool", [wide, *samples(24)[1:]]))
    sizes = [len(data) for data in re.findall(r"data:image/webp;base64,[^\"]+", render(draft))]
    assert max(sizes) < 8000


def test_scores_that_are_null_are_left_out(tmp_path: Path) -> None:
    draft = curated(tmp_path / "lake", write_tars(tmp_path / "pool", samples(9)))
    empty = pa.table({"score": pa.nulls(9, pa.float32())})
    write_table(draft.lake.column_path("score.romance", "n", draft.parts[0].part), empty)
    assert "Nearest to the threshold" not in render(draft.derive("filter", columns={"score.romance": "n"}))


def test_groups_and_what_they_are_described_as_are_told_where_they_were_audited(tmp_path: Path) -> None:
    version = curated(tmp_path / "lake", write_tars(tmp_path / "pool", samples(24)))
    listed = tmp_path / "groups.toml"
    listed.write_text('[groups.clock]\nterms = ["clock"]\n', "utf-8")
    page = render(audit.run(version, audit.Config(groups=str(listed), min_count=2), serial), pictures=False)
    assert "Groups of terms" in page and "<bdi>clock</bdi>" in page and "declares no attributes" in page
    assert "Groups of terms" not in render(version, pictures=False)
