import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import publish
from tasks.lake import Version, open_lake
from tasks.reporting import card
from tasks.reporting.wording import share
from tests.tasks.audited_pool import audited
from tests.tasks.decided_pool import WEIGHTS, curated, ingested, samples, write_tars


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    folder = tmp_path_factory.mktemp("card")
    return curated(folder / "lake", write_tars(folder / "pool", samples(24)))


def test_the_card_says_what_was_removed_how_biased_it_is_and_how_sure_that_is(version: Version) -> None:
    text = card.render(version)
    assert "15 of 24 samples kept" in text
    assert "Recall 97.5%, at least 88% at 95% confidence, on 40 labelled positives" in text
    assert "an estimate on positives like those" in text and "Certificate: Not certified: at least 94.9%" in text
    assert "Of what is removed 60% (45% to 73%) is benign" in text
    assert "99.1% of the pairs were found, by estimate (95% interval 98% to 99.7%)" in text
    assert "| woman |" in text
    assert "- not restored, clock: no support" in text
    assert "trained on drawn clocks" in text


def test_the_card_of_an_unfinished_or_empty_version_says_what_is_missing(tmp_path: Path) -> None:
    plain = ingested(tmp_path / "lake", write_tars(tmp_path / "pool", samples(3)))
    for draft in (plain, Version(open_lake(tmp_path / "lake", "empty", "nowhere"))):
        text = card.render(draft)
        assert "No category was filtered." in text
        assert "Near-duplicates were not searched." in text
        assert "Each kept sample counts the same." in text


def test_the_card_says_in_plain_words_whom_the_filter_removed_more_often(tmp_path: Path) -> None:
    text = card.render(audited(tmp_path))
    assert "- **What was removed more often.** The filter removed 65 of the 400 usable samples" in text
    assert "- **Groups.** By the filter, 3 of the 4 groups tested became rarer or more frequent" in text
    assert "- **Who is described as what.** In the pool, 4 pairs of a group and an attribute" in text
    assert "| `associations.csv` |" in text and "| `groups.csv` |" in text


def test_the_card_says_what_was_declared_and_what_is_out_of_reach(tmp_path: Path) -> None:
    row = {"target": "margin", "group": "a|b", "of": None, "n_kept": 9, "effective_samples": 5.0, "wanted": 0.5}
    told = {"targets": [{**row, "before": 0.1, "after": 0.3, "reason": "out of reach: 30% is the nearest"}]}
    version = audited(tmp_path)
    text = card.render(version.derive("reweight", summary={**WEIGHTS, **told}))
    assert "| “a\\|b” has 50% of all weight | 50% | 10% | 30% | out of reach: 30% is the nearest |" in text
    assert "The one declared target is not met." in text


@given(name=st.text(max_size=30))
def test_text_from_the_pool_is_one_line_without_markup(name: str) -> None:
    out = card.text(name)
    assert "\n" not in out
    for mark in "`*_[]<>|":
        assert out.count(mark) == out.count("\\" + mark)


KEYS = {"license", "license_name", "license_link", "pretty_name", "task_categories", "size_categories", "configs"}


def yaml_of(version: Version, **options: bool) -> dict[str, Any]:
    """The card's metadata as the hub's own library reads it."""
    from huggingface_hub import DatasetCard

    found: dict[str, Any] = DatasetCard(card.render(version, **options)).data.to_dict()
    return found


def test_the_hub_reads_what_the_card_begins_with(version: Version) -> None:
    found = yaml_of(version, tars=True)
    assert (found["license"], found["pretty_name"]) == ("unknown", "small")
    assert (found["task_categories"], found["size_categories"]) == (["text-to-image"], ["n<1K"])
    assert [(one["config_name"], one["data_files"]) for one in found["configs"]] == [
        ("samples", [{"split": "train", "path": "samples.parquet"}]),
        ("images", [{"split": "train", "path": "**/*.tar"}]),
    ]
    assert set(found) <= KEYS
    declared = version.derive("publish", config=dataclasses.asdict(publish.Config(license="LicenseRef-our-own")))
    assert yaml_of(declared)["license_name"] == "licenseref-our-own" and set(yaml_of(declared)) <= KEYS


@given(st.integers(0, 10**11))
def test_a_size_is_in_the_class_that_names_it(rows: int) -> None:
    from tasks.reporting.card import SIZES, _size

    bounds = [0, 10**3, 10**4, 10**5, 10**6, 10**7, 10**8, 10**9]
    assert SIZES.index(_size(rows)) == max(i for i, bound in enumerate(bounds) if rows >= bound)


def test_changes_stand_with_their_intervals(tmp_path: Path) -> None:
    row = next(line for line in card.render(audited(tmp_path)).splitlines() if line.startswith("| woman |"))
    assert re.search(r"−\d+\.\d% \(−\d+\.\d% to −\d+\.\d%\)", row)


def test_words_that_nobody_asked_for_stand_with_the_wider_intervals_of_those_picked_from_many(tmp_path: Path) -> None:
    version = audited(tmp_path, keywords=())
    level = version.summary["audit"]["listed_level"]
    assert level > 0.95
    assert f"the {share(level)} interval of another pool" in card.render(version)
    assert "the 95% interval of another pool" in card.render(audited(tmp_path))
