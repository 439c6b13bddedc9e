"""How far labelling is, and what a budget could certify."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks import embed
from tasks.certifying.certificate import CENSUS
from tasks.classifying.category_spec import Category
from tasks.classifying.given import log_path
from tasks.errors import UsageError
from tasks.labelling.active import Ask, open_round
from tasks.labelling.label_status import plan_of, status_of
from tasks.lake import Version
from tests.tasks.categorised import uid
from tests.tasks.labelled_pool import answer, here, labelled_pool, say, truth

KNIFE = Category("knife", recall=0.9)
NO_TEXT = embed.Config(embeddings="elsewhere")


@pytest.fixture
def version(tmp_path: Path) -> Version:
    made = labelled_pool(tmp_path / "lake")
    say(made.lake, truth(range(80)))
    return made


def test_a_category_that_nobody_touched_has_nothing_to_tell(tmp_path: Path) -> None:
    facts = status_of(labelled_pool(tmp_path / "lake").lake, KNIFE)
    assert facts["rounds"] == [] and facts["labels"] == {"positive": 0, "negative": 0, "unsure": 0}
    assert facts["certificate"] is None and facts["advice"] == []


def test_labels_disagreements_and_damaged_lines_are_counted(version: Version) -> None:
    say(version.lake, [(4, "0"), (300, "unsure")], annotator="grace")
    with log_path(version.lake, "knife").open("a", encoding="utf-8") as log:
        log.write("nonsense\n")
    facts = status_of(version.lake, KNIFE)
    assert facts["labels"] == {"positive": 20, "negative": 60, "unsure": 1}
    assert facts["disagreements"] == 1 and facts["disagreeing_uids"] == [uid(4)]
    assert len(facts["damaged_lines"]) == 1


def test_a_round_is_told_by_arm_and_its_certificate_as_it_is(version: Version) -> None:
    done = open_round(version, KNIFE, Ask(labels=0, certify=320), NO_TEXT, here)
    assert "not given yet" in status_of(version.lake, KNIFE)["certificate"]["sentence"]
    answer(version.lake, done)
    facts = status_of(version.lake, KNIFE)
    assert facts["rounds"][0]["by_arm"]["certification"][:2] == (320, 320)
    assert facts["certificate"]["recall_lower"] > 0.5 and facts["model"]["positives"] == 20


def test_a_plan_says_what_each_budget_certifies_at_best_and_what_the_target_takes(version: Version) -> None:
    facts = plan_of(version.lake, KNIFE, 5, [50, 320])
    few, all_of_it = facts["plans"]
    assert few["recall"] <= all_of_it["recall"] and few["elusion"] > all_of_it["elusion"] == 0
    assert all_of_it["method"] == CENSUS and facts["needed"]["labels"] <= 320
    assert facts["level"] == pytest.approx(0.025) and facts["look"] == 1


def test_a_second_look_is_paid_for_in_the_plan(version: Version) -> None:
    open_round(version, KNIFE, Ask(labels=0, certify=20), NO_TEXT, here)
    assert plan_of(version.lake, KNIFE, 5, [50])["level"] == pytest.approx(0.0125)


def test_a_plan_without_a_model_says_what_to_do(tmp_path: Path) -> None:
    lake = labelled_pool(tmp_path / "lake").lake
    with pytest.raises(UsageError, match=r"a plan needs a model.*sluice label next knife"):
        plan_of(lake, KNIFE, 5, [])
