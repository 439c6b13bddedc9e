"""The stage: a version's weights, what is said of them, and what it does with pools that leave nothing to weigh."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks import audit, committing, reweight
from tasks.errors import ConfigError
from tasks.lake import Version
from tasks.samples import DUPLICATE, KEPT
from tests.tasks.small_version import map_inline, verdicts_of, version

WORDS = ("fox", "owl", "red", "dark", "tree", "lake", "snow", "boat", "hill", "road", "moon", "lamp", "door")


def pool(root: Path, n: int = 1200, seed: int = 0, **more: Any) -> Version:
    """Captions of a few words each; captions with "fox" were removed half as often again as the others' third."""
    rng = np.random.default_rng(seed)
    has = rng.random((n, len(WORDS))) < np.linspace(0.4, 0.1, len(WORDS))
    captions = [" ".join(np.array(WORDS)[row]) or "nothing" for row in has]
    embeddings = has @ rng.normal(size=(len(WORDS), 16)) + rng.normal(size=(n, 16))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    kept = rng.random(n) > np.where(has[:, 0], 0.3, 0.1)
    return version(root, captions, embeddings, more.pop("verdicts", verdicts_of(kept, [5])), **more)


def weights(made: Version) -> tuple[np.ndarray, np.ndarray]:
    """(n,) weights, NaN where null, and (n,) whether kept."""
    table = made.table("decision", ["verdict", "weight"])
    column = table["weight"].to_numpy()
    return column, np.array([verdict == KEPT for verdict in table["verdict"].to_pylist()])


@pytest.mark.parametrize("method", ["balance", "propensity", "probe", "none"])
def test_kept_samples_have_a_positive_weight_of_mean_one_and_no_other_has_one(tmp_path: Path, method: str) -> None:
    made = reweight.run(pool(tmp_path), reweight.Config(method=method), map_inline)
    found, kept = weights(made)
    assert np.isnan(found[~kept]).all()
    assert (found[kept] > 0).all()
    assert found[kept].mean() == pytest.approx(1, abs=1e-8)
    assert made.summary["reweight"]["method"] == method
    assert made.config["reweight"]["method"] == method


def test_the_audited_keywords_are_restored_where_nothing_else_is_said(tmp_path: Path) -> None:
    made = pool(tmp_path, keywords=["Fox", "fox", "red", "unicorn"])
    summary = reweight.run(made, reweight.Config(), map_inline).summary["reweight"]
    assert [row["term"] for row in summary["restored"]] == ["fox", "red"]
    assert summary["restored"][0]["change_before"] < -0.1
    assert all(abs(row["change_after"]) < 1e-6 for row in summary["restored"])
    assert [row["term"] for row in summary["not_restored"]] == ["unicorn"]
    chosen = reweight.run(made, reweight.Config(restore=("owl",)), map_inline).summary["reweight"]
    assert [row["term"] for row in chosen["restored"]] == ["owl"]


def test_a_phrase_can_be_restored(tmp_path: Path) -> None:
    summary = reweight.run(pool(tmp_path), reweight.Config(restore=("fox owl",)), map_inline).summary["reweight"]
    (row,) = summary["restored"]
    assert 0 < row["n_kept"] < row["n_pool"] < 1200
    assert abs(row["change_after"]) < 1e-6


def test_the_reference_counts_near_duplicates_once(tmp_path: Path) -> None:
    captions = ["fox"] * 40 + ["fox", "owl"] * 10 + ["owl"] * 40
    verdicts = verdicts_of(np.arange(100) >= 4)
    for i in range(41, 60, 2):
        verdicts[i] = DUPLICATE
    made = version(
        tmp_path, captions, np.eye(100, 8), verdicts, groups=[(i, i + 1) for i in range(40, 60, 2)], keywords=["fox"]
    )
    (row,) = reweight.run(made, reweight.Config(), map_inline).summary["reweight"]["restored"]
    assert row["share_reference"] == pytest.approx((40 + 10 * 0.5) / 90)
    assert (row["n_pool"], row["n_kept"]) == (50, 46)


def test_the_audit_finds_restored_what_the_weights_say_is_restored(tmp_path: Path) -> None:
    groups = [(i, i + 1, i + 2) for i in range(0, 300, 3)]
    verdicts = verdicts_of(np.random.default_rng(1).random(1200) > 0.15)
    for members in groups:
        for i in members[1:]:
            verdicts[i] = DUPLICATE
    made = pool(tmp_path, verdicts=verdicts, groups=groups, keywords=["fox", "owl", "red"])
    made = reweight.run(made, reweight.Config(), map_inline)
    audited = audit.run(made, audit.Config(keywords=("fox", "owl", "red")), map_inline).summary["audit"]["keywords"]
    for row, seen in zip(made.summary["reweight"]["restored"], audited, strict=True):
        assert row["term"] == seen["term"]
        assert seen["change"] == pytest.approx(row["change_before"], abs=1e-5)
        assert seen["change_weighted"] == pytest.approx(0, abs=1e-5)


def test_a_filter_that_removed_nothing_leaves_weights_of_one_and_is_said(tmp_path: Path) -> None:
    made = reweight.run(pool(tmp_path, verdicts=[KEPT] * 1200), reweight.Config(), map_inline)
    assert (weights(made)[0] == 1).all()
    assert made.summary["reweight"]["notes"] == ["the filter removed nothing: all weights are 1"]


def test_a_filter_that_removed_everything_leaves_no_weights_and_is_said(tmp_path: Path) -> None:
    made = reweight.run(pool(tmp_path, verdicts=["filtered"] * 1200), reweight.Config(), map_inline)
    assert np.isnan(weights(made)[0]).all()
    assert made.summary["reweight"]["notes"] == ["nothing is kept: there are no weights"]
    assert made.summary["reweight"]["effective_sample_size"] == 0


def test_the_version_names_what_made_its_weights(tmp_path: Path) -> None:
    made = reweight.run(pool(tmp_path, keywords=["fox"]), reweight.Config(), map_inline)
    folder = made.artifact("weights")
    model = json.loads((folder / "model.json").read_text("utf-8"))
    assert model["features"][0] == "fox"
    assert len(model["features"]) == len(model["theta"]) == len(model["moments"])
    assert np.load(folder / "basis.npy").shape == (16, 16)
    assert "Infinity" not in json.dumps(made.summary) and "NaN" not in json.dumps(made.summary)


def test_work_that_was_done_is_not_done_again(tmp_path: Path) -> None:
    def refuse(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        raise AssertionError("the parts were worked on again")

    made = pool(tmp_path)
    first = reweight.run(made, reweight.Config(), map_inline)
    again = reweight.run(made, reweight.Config(), refuse)
    assert again.summary == first.summary
    assert again.columns == first.columns


def test_weights_depend_on_neither_threads_nor_lake(tmp_path: Path) -> None:
    import torch

    before, found = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(reweight.run(pool(tmp_path / str(threads)), reweight.Config(), map_inline))
    torch.set_num_threads(before)
    assert committing.content(found[0]) == committing.content(found[1])


def test_what_the_weights_depend_on_is_in_their_key(tmp_path: Path) -> None:
    made = pool(tmp_path)
    configs = [
        reweight.Config(),
        reweight.Config(method="none"),
        reweight.Config(cap=5.0),
        reweight.Config(restore=("owl",)),
    ]
    keys = {reweight.run(made, config, map_inline).columns["decision"] for config in configs}
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"method": "magic"}, "balance, propensity, probe, none"),
        ({"cap": 1.0}, "cap between 1"),
        ({"ess_floor": 1.0}, "ess_floor"),
        ({"folds": 2}, "folds of at least 3"),
        ({"restore": ("...",)}, "no letter or digit"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        reweight.Config(**values)


def test_propensities_say_whether_they_are_a_density_ratio(tmp_path: Path) -> None:
    facts = reweight.run(pool(tmp_path), reweight.Config(method="propensity"), map_inline).summary["reweight"]
    assert facts["notes"][0].startswith("the weights are ") and "density ratio" in facts["notes"][0]
    assert set(facts["propensity"]) >= {"supported_share", "removed_below_0.05", "overlap"}
    assert facts["held_out"]["verdict"]
