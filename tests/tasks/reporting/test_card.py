from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.lake import Version, open_lake
from tasks.reporting import card
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
    assert "- clock: no support" in text
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
