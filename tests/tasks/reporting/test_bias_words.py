import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from tasks import audit
from tasks.reporting.bias_findings import Bias, bias
from tasks.reporting.bias_pairs import Corrected, Odds, Pair
from tasks.reporting.bias_words import points
from tests.tasks.audited_pool import GROUPS_FILE
from tests.tasks.captioned import captioned, map_here

CAPTIONS = ["a sexy woman"] * 60 + ["a woman"] * 40 + ["an old man"] * 50 + ["a man"] * 50 + ["a tree"] * 200
SOME = ["filtered"] * 60 + ["kept"] * 40 + ["filtered"] * 5 + ["kept"] * 295


def told(root: Path, verdicts: list[str], captions: list[str] = CAPTIONS, **settings: Any) -> Bias:
    (root / "groups.toml").write_text(GROUPS_FILE, "utf-8")
    config = audit.Config(
        **{"keywords": ("man", "woman"), "groups": str(root / "groups.toml"), "min_count": 2, **settings}
    )
    found = bias(audit.run(captioned(root, captions, verdicts), config, map_here))
    assert found is not None
    return found


def said(found: Bias) -> dict[str, str]:
    return {point.title: point.text for point in points(found)}


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> Bias:
    return told(tmp_path_factory.mktemp("words"), SOME)


def test_what_was_removed_more_often_is_told_with_counts_intervals_and_the_rate_of_false_findings(
    filtered: Bias,
) -> None:
    text = said(filtered)["What was removed more often"]
    assert "The filter removed 65 of the 400 usable samples (16.2%)." in text
    assert "10 of the 16 words and phrases that are frequent enough to be tested changed by more than 1% and" in text
    assert "false-discovery rate of 5%" in text
    fell = r"Fell most: “a sexy woman” −100\.0% \(96\.9% interval −100\.0% to −\d+\.\d%\) and “woman” −52\.2% \("
    assert re.search(fell, text)
    assert "Rose most: “a man” +19.4%" in text
    assert "Asked for: “man” +13.4% (95% interval" in text


def test_groups_are_told_with_the_odds_of_their_removal(filtered: Bias) -> None:
    text = said(filtered)["Groups"]
    assert "3 of the 4 groups tested became rarer or more frequent" in text
    assert "“person/woman” −52.2% (95% interval" in text
    assert "The odds of being removed were highest in “person/woman”: ×88.5 those of the rest (95% interval ×" in text


def test_a_filter_that_removed_nothing_changed_nothing(tmp_path: Path) -> None:
    found = said(told(tmp_path, ["kept"] * 400))
    assert "removed none of the 400 usable samples" in found["What was removed more often"]
    assert "Groups" not in found and "How sure that is" not in found
    assert "none of the 4 are nearer to even odds and none further" in found["Who is described as what"]


def test_a_filter_that_removed_everything_leaves_nothing_to_compare(tmp_path: Path) -> None:
    found = said(told(tmp_path, ["filtered"] * 400))
    assert found["What was removed more often"].endswith("no captions are left to compare.")
    assert "Among the kept, too little of them is left to tell" in found["Who is described as what"]
    assert "What the weights give back" not in found


def test_an_empty_pool_and_one_without_groups_or_frequent_words_are_told(tmp_path: Path) -> None:
    empty, rare = tmp_path / "empty", tmp_path / "rare"
    empty.mkdir()
    rare.mkdir()
    text = said(told(empty, [], [], groups=""))
    assert text == {"What was removed more often": "The pool has no usable sample."}
    text = said(told(rare, ["kept", "filtered"], ["a", "b"], groups="", keywords=(), min_count=20))
    assert "No word stands in enough captions" in text["What was removed more often"]
    assert "Who is described as what" not in text


def test_one_word_and_no_significant_one_read_as_a_person_would_say(filtered: Bias) -> None:
    one = dataclasses.replace(filtered, tested=1, significant=1, listed=[], groups_tested=1, groups=[])
    assert "The one word that is frequent enough to be tested changed by" in said(one)["What was removed more often"]
    assert (
        said(one)["Groups"]
        == "By the filter, none of the 1 group tested became rarer or more frequent beyond chance and 1%."
    )
    none = dataclasses.replace(filtered, significant=0, listed=[])
    assert "None of the 16 words and phrases that are frequent enough" in said(none)["What was removed more often"]


def pair(group: str, before: Odds, after: Odds) -> Pair:
    return Pair(group, "sexy", "keywords", {"pool": before, "weighted": after})


def test_associations_that_grew_and_shrank_are_counted_and_the_largest_named(filtered: Bias) -> None:
    pairs = [
        pair("a", Odds(2.0, 1.5, 2.5), Odds(0.1, -0.3, 0.5)),
        pair("b", Odds(1.0, 0.5, 1.5), Odds(0.9, 0.4, 1.4)),
        pair("c", Odds(-1.0, -1.5, -0.5), Odds(-3.0, -3.5, -2.5)),
        pair("d", Odds(1.0, 0.5, 1.5), Odds(None)),
    ]
    text = said(dataclasses.replace(filtered, pairs=pairs, strongest=pairs, after="weighted", pairs_level=0.95))[
        "Who is described as what"
    ]
    assert "In the pool, 4 pairs of a group and an attribute stand together" in text
    assert "The strongest is “a” with “sexy”: inside the group its odds are ×7.39 those outside (95% interval ×" in text
    assert "By weight, 2 of the 4 are nearer to even odds and 1 further from them, and of 1 too little is left" in text
    assert (
        "1 association shrank so far that the 95% intervals before and after have nothing in common: “a” with" in text
    )
    assert "1 association grew so far" in text and "“c” with “sexy”, from ×0.37 (×0.22 to ×0.61) to ×0.05" in text


def test_verdicts_of_the_filters_own_classifier_do_not_count_as_having_shrunk(filtered: Bias) -> None:
    own = pair("a", Odds(2.0, 1.5, 2.5), Odds(0.1, -0.3, 0.5))._replace(kind="classifier's verdict", own_filter=True)
    pairs = [own, pair("b", Odds(1.0, 0.5, 1.5), Odds(0.9, 0.4, 1.4))]
    text = said(dataclasses.replace(filtered, pairs=pairs, strongest=pairs, after="weighted"))[
        "Who is described as what"
    ]
    assert "The strongest is “a” with “sexy”, a classifier's verdict: inside" in text
    assert "By weight, it is nearer to even odds." in text and "so far" not in text
    assert "1 more is with the verdict of the filter's own classifier, which cannot judge what it let through." in text


def test_a_difference_that_labels_correct_is_told_with_its_interval(filtered: Bias) -> None:
    row = {
        "share_inside": 0.06,
        "share_outside": 0.01,
        "difference": 0.05,
        "difference_lower": 0.02,
        "difference_upper": 0.08,
    }
    unknown = {**row, "difference": None, "difference_lower": None, "difference_upper": None}
    found = [Corrected("man", "sexual", unknown, unknown), Corrected("woman", "sexual", row, row)]
    text = said(dataclasses.replace(filtered, corrected=found))["Who is described as what"]
    assert text.endswith(
        "Corrected by labels drawn at random, “sexual” is true of 6% of the pool inside “woman” and of 1% outside it "
        "(difference +2.00 to +8.00 percentage points, 95% interval)."
    )
    assert "Corrected" not in said(dataclasses.replace(filtered, corrected=found[:1]))["Who is described as what"]


def test_no_association_is_claimed_where_none_is_significant(filtered: Bias) -> None:
    text = said(dataclasses.replace(filtered, pairs=[], strongest=[]))["Who is described as what"]
    assert text == "In the pool, no group stands beside any attribute more or less often than chance explains."


def test_residual_harm_is_told_with_what_weights_did_to_it(filtered: Bias) -> None:
    rows = [
        {
            "attribute": "verdict",
            "stage": stage,
            "residual_harm": harm,
            "own_filter": False,
            "residual_harm_lower": None,
            "residual_harm_upper": None,
        }
        for stage, harm in (("pool", 0.03), ("after_filter", 0.01), ("kept", 0.01), ("weighted", 0.012))
    ]
    text = said(dataclasses.replace(filtered, residual=rows))["What is left of what was filtered"]
    assert text == (
        "The mean score of “verdict” is 0.03 in the pool, 0.01 among the kept and 0.012 by weight: weights raise it by "
        "20%, since they favour images like those that were removed."
    )
    text = said(dataclasses.replace(filtered, residual=rows[:3]))["What is left of what was filtered"]
    assert text == "The mean score of “verdict” is 0.03 in the pool and 0.01 among the kept."
