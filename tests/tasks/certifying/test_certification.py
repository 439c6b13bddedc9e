"""A certification from its draw to the version's certificate, on a pool whose truth is known."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tasks import embed
from tasks import filter as stage
from tasks.certifying import certificate_files, certification
from tasks.certifying.certificate import CENSUS, LARGE_POOL, Goal
from tasks.certifying.certification import EVERYONE, Frozen, certificates, draw, equal_beta, pending, truth
from tasks.classifying.category_spec import Category
from tasks.errors import UsageError
from tasks.labelling.active import Ask, open_round
from tasks.labels.label_log import Standing
from tasks.lake import Version
from tests.tasks.categorised import belongs, uid
from tests.tasks.labelled_pool import answer, here, labelled_pool, recall_of, say
from tests.tasks.labelled_pool import truth as said

KNIFE = Category("knife", recall=0.9, subgroups={"women": ("woman",), "men": ("man",)})
YES = Standing(True, ("ada",), (), ())
NO = Standing(False, (), ("ada",), ())
UNSURE = Standing(None, (), (), ("ada",))


@pytest.fixture
def version(tmp_path: Path) -> Version:
    made = labelled_pool(tmp_path / "lake")
    say(made.lake, said(range(80)))
    return made


def pool(rows: int, caught: float = 0.9, seed: int = 0) -> tuple[Frozen, np.ndarray]:
    rng = np.random.default_rng(seed)
    positive = rng.random(rows) < 0.1
    flagged = np.where(positive, rng.random(rows) < caught, rng.random(rows) < 0.05)
    groups = {"half": np.arange(rows) % 2 == 0}
    return Frozen([uid(i) for i in range(rows)], flagged, ~flagged, groups), positive


def labels(positive: np.ndarray, uids: list[str]) -> dict[str, Standing]:
    return {one: YES if positive[int(one, 16)] else NO for one in uids}


@pytest.mark.parametrize("method", [CENSUS, LARGE_POOL])
def test_certificates_of_the_whole_and_of_subgroups_stay_below_the_truth(method: str) -> None:
    """At 95% each; 40 draws of both, so that six failures have a chance below 2%."""
    frozen, positive = pool(3000)
    wrong = dict.fromkeys((EVERYONE, "half"), 0)
    for seed in range(40):
        drawn = draw(frozen, {}, 1200, method, seed)
        found = certificates(frozen, drawn, labels(positive, drawn["asked"]), Goal(0.8, 0.9, 1), None)
        for name, mask in {EVERYONE: positive | True, **frozen.groups}.items():
            real = (frozen.flagged & positive & mask).sum() / (positive & mask).sum()
            lower = found[name].recall_lower
            wrong[name] += lower is not None and lower > real
            left = (frozen.unflagged & positive & mask).sum() / (frozen.unflagged & mask).sum()
            assert found[name].elusion_upper < 5 * left + 0.05
    assert max(wrong.values()) <= 5


def test_a_census_asks_for_every_flagged_sample_and_a_large_pool_for_draws() -> None:
    frozen, positive = pool(3000)
    known = labels(positive, [uid(i) for i in range(500)])
    census, large = (draw(frozen, known, 900, method, 0) for method in (CENSUS, LARGE_POOL))
    open_flagged = {uid(i) for i in np.flatnonzero(frozen.flagged) if i >= 500}
    assert open_flagged <= set(census["asked"]) and len(census["asked"]) == 900
    assert not set(census["asked"]) & known.keys() and not set(large["asked"]) & known.keys()
    assert len(large["draws"]) == 900 and len(large["asked"]) < 900


def test_a_part_of_the_labels_certifies_nothing() -> None:
    frozen, positive = pool(3000)
    drawn = draw(frozen, {}, 500, CENSUS, 0)
    assert len(pending(drawn, labels(positive, drawn["asked"][:-1]))) == 1


def test_unsure_counts_against_the_certificate_on_either_side() -> None:
    assert truth(UNSURE, flagged=False) and not truth(UNSURE, flagged=True)
    assert truth(YES, flagged=True) and not truth(NO, flagged=False)


def test_a_subgroup_keeps_each_samples_chance_to_be_drawn() -> None:
    beta = equal_beta(0.1, (100, 900), (10, 300))
    assert beta / 10 / ((1 - beta) / 300) == pytest.approx((0.1 / 100) / (0.9 / 900))


def test_the_certificate_holds_for_the_version_that_the_same_model_filters(version: Version) -> None:
    done = open_round(version, KNIFE, Ask(labels=0, certify=320), embed.Config(), here)
    waiting = stage.run(version, stage.Config((KNIFE,)), here)
    assert "not given yet" in certificate_files.read(waiting, "knife")["sentence"]
    answer(version.lake, done)
    filtered = stage.run(version, stage.Config((KNIFE,)), here)
    assert filtered.artifacts["model.knife"] == done.model == waiting.artifacts["model.knife"]
    found = certificate_files.read(filtered, "knife")
    flagged = certificate_files.frozen(version.lake, KNIFE, done).flagged
    assert found["recall_lower"] == pytest.approx(recall_of(flagged))  # everything is labelled: nothing is uncertain
    assert found["covers"] == len(version.parts) and found["not_covered"] == []
    assert set(found["subgroups"]) == {"women"}  # nobody's caption says "man"
    assert found["subgroups"]["women"]["counts"]["flagged"] < found["counts"]["flagged"]
    assert found.pop("parts") == [part.path for part in version.parts]
    assert filtered.summary["filter"]["categories"]["knife"]["certificate"] == found
    assert filtered.summary["filter"]["categories"]["knife"]["reserved"] == 320


def test_a_part_that_came_later_is_not_covered(version: Version) -> None:
    answer(version.lake, open_round(version, KNIFE, Ask(labels=0, certify=320), embed.Config(), here))
    fewer = version.parts[:-1]
    done = certificate_files.write(stage.run(version, stage.Config((KNIFE,)), here), KNIFE, 2.0)
    assert "the certification of round 1 is of threshold" in _facts(version, done)["sentence"]
    draft = stage.run(dataclasses.replace(version, parts=fewer), stage.Config((KNIFE,)), here)
    more = dataclasses.replace(draft, parts=(*fewer, dataclasses.replace(version.parts[0], part="f" * 16, path="new")))
    threshold = draft.summary["filter"]["categories"]["knife"]["threshold"]
    assert certificate_files.of(more, KNIFE, threshold)["not_covered"] == ["new"]


def test_labels_that_change_the_model_end_its_certificate(version: Version) -> None:
    answer(version.lake, open_round(version, KNIFE, Ask(labels=0, certify=100), embed.Config(), here))
    open_round(version, KNIFE, Ask(labels=0, certify=50), embed.Config(), here)
    done = stage.run(version, stage.Config((KNIFE,)), here)
    found = certificate_files.read(done, "knife")
    assert found["verdict"] == "not certified" and "not given yet" in found["sentence"]
    say(version.lake, said(range(390, 399)))
    found = certificate_files.read(stage.run(version, stage.Config((KNIFE,)), here), "knife")
    assert "which labels have changed since" in found["sentence"]


def test_each_look_is_paid_for(version: Version) -> None:
    first = open_round(version, KNIFE, Ask(labels=0, certify=60), embed.Config(), here)
    second = open_round(version, KNIFE, Ask(labels=0, certify=60), embed.Config(), here)
    assert (first.certification or {})["look"] == 1 and (second.certification or {})["look"] == 2


def test_nothing_is_certified_before_there_is_a_model(tmp_path: Path) -> None:
    version = labelled_pool(tmp_path / "lake", 100)
    with pytest.raises(UsageError, match="no model to certify yet; label some of both classes"):
        open_round(version, KNIFE, Ask(labels=0, certify=50), embed.Config(), here)


def _facts(version: Version, artifacts: dict[str, str]) -> dict:
    ((kind, key),) = artifacts.items()
    return json.loads((version.lake.artifact_path(kind, key) / "certificate.json").read_text("utf-8"))


def test_truth_of_the_drawn_pool_is_what_the_tests_take_it_for() -> None:
    assert recall_of(belongs(400)) == 1.0 and certification.EVERYONE == ""
