"""Groups that the filter or the captions contradict are listed, the most doubtful first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tasks import reporting
from tasks.lake import Version
from tasks.reporting.review import NAME, REVIEW, compare, context, review, summary, write_review
from tasks.reporting.wording import count, short
from tasks.samples import DUPLICATE, FILTERED, KEPT
from tests.tasks import small_version

CAPTIONS = (
    "a clock at one", "a clock at two", "a clock at three, blue",  # exchanged words
    "a red house", "a red house by the sea",  # one says more
    "a knife", "a knife",  # judged differently
    "a dog", "portrait of somebody else entirely",  # says something else
    "alone",
)  # fmt: skip
VERDICTS = (KEPT, DUPLICATE, DUPLICATE, DUPLICATE, KEPT, FILTERED, KEPT, KEPT, DUPLICATE, KEPT)
GROUPS = ((0, 1, 2), (3, 4), (5, 6), (7, 8))


def version(root: Path, groups: tuple[tuple[int, ...], ...] = GROUPS) -> Version:
    return small_version.version(root, CAPTIONS, np.ones((len(CAPTIONS), 4)), VERDICTS, groups)


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def test_exchanged_words_are_those_that_each_caption_has_alone() -> None:
    found = compare(words("clock at one"), words("clock at two"))
    assert found is not None and found.exchanged == {"one", "two"}
    assert found.jaccard == 0.5


def test_a_caption_that_only_says_more_exchanges_nothing() -> None:
    found = compare(words("red house"), words("red house by the sea"))
    assert found is not None and not found.exchanged
    assert compare(words("red house"), frozenset()) is None


def test_groups_are_listed_with_their_reasons_and_mixed_verdicts_come_first(tmp_path: Path) -> None:
    found = review(version(tmp_path)).to_pylist()
    assert [(row["group"], row["reasons"]) for row in found] == [(2, "verdicts"), (0, "words"), (3, "captions")]
    clocks = found[1]
    assert clocks["words"].split()[0] == "one"
    assert clocks["disagreeing"] == 2
    assert clocks["unlike_caption"] == CAPTIONS[2]


def test_captions_are_compared_with_the_one_that_stays(tmp_path: Path) -> None:
    row = review(version(tmp_path)).to_pylist()[0]
    assert (row["stays"], row["filtered"], row["kept"]) == (small_version.uid(6), 1, 1)


def test_a_version_without_groups_has_nothing_to_review(tmp_path: Path) -> None:
    found = review(version(tmp_path, ()))
    assert found.schema == REVIEW and not len(found)
    assert context(version(tmp_path, ()), found)["counts"]["groups"] == 0


def test_the_files_hold_every_row(tmp_path: Path) -> None:
    table = review(version(tmp_path))
    write_review(tmp_path, table)
    assert pq.read_table(tmp_path / f"{NAME}.parquet") == table
    assert pyarrow.csv.read_csv(tmp_path / f"{NAME}.csv")["group"].to_pylist() == [2, 0, 3]


def test_the_page_shows_who_stays_and_who_is_unlike_first(tmp_path: Path) -> None:
    made = version(tmp_path)
    table = review(made)
    shown = context(made, table, pictures=False)
    assert shown["counts"] == summary(table) == {"groups": 3, "verdicts": 1, "captions": 1, "words": 1}
    (clocks,) = shown["kinds"][2]["groups"]
    assert [member["caption"] for member in clocks["members"]] == [CAPTIONS[0], CAPTIONS[2], CAPTIONS[1]]
    assert clocks["members"][0]["note"] == "stays"


def test_the_fragment_shows_groups_with_captions_escaped(tmp_path: Path) -> None:
    made = version(tmp_path)
    shown = context(made, review(made), pictures=False)
    shown["kinds"][2]["groups"][0]["members"][0]["caption"] = "<b>bold</b>"
    pages = Environment(
        loader=FileSystemLoader(Path(reporting.__path__[0])), autoescape=True, undefined=StrictUndefined
    )
    pages.filters |= {"count": count, "short": short}
    strip = "{% macro strip(all) %}{% for one in all %}<i>{{ one.caption }}</i>{% endfor %}{% endmacro %}"
    text = pages.from_string(strip + '{% include "duplicates_review.html" %}').render(review=shown)
    assert "Judged differently by the filter" in text and "exchanged" in text
    assert "&lt;b&gt;bold&lt;/b&gt;" in text and "<b>" not in text
