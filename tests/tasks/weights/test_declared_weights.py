"""What a configuration declares, met by a stage's weights: groups restored, targets from a file, and what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks import reweight
from tasks.errors import ConfigError
from tasks.lake import Version
from tasks.weights.balance import effective_sample_size
from tasks.weights.declarations import declare
from tests.tasks.small_version import map_inline, verdicts_of, version

GROUPS = """
[groups.woman]
terms = ["woman", "girl"]
[groups.man]
terms = ["man"]
[groups.asian]
terms = ["asian"]
[groups."asian woman"]
all = ["woman", "asian"]
[attributes.flagged]
terms = ["sexy"]
"""
FILLER = ("red", "dark", "tree", "lake", "snow", "boat", "hill", "road", "moon", "lamp", "door", "fish")


def pool(root: Path, n: int = 2000, filtered: float = 0.2) -> Version:
    """Captions of people; Asian women are flagged five times as often, and women are filtered more often than men."""
    rng = np.random.default_rng(0)
    woman, asian = rng.random(n) < 0.4, rng.random(n) < 0.3
    flagged = rng.random(n) < np.where(woman & asian, 0.3, 0.06)
    filler = rng.random((n, len(FILLER))) < 0.2
    captions = []
    for i in range(n):
        said = [word for word, true in (("asian", asian[i]), ("sexy", flagged[i])) if true]
        captions.append(" ".join([*np.array(FILLER)[filler[i]], "woman" if woman[i] else "man", *said]))
    embeddings = rng.normal(size=(n, 8))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    kept = rng.random(n) >= np.where(woman, filtered, filtered / 2)
    (root / "people.toml").write_text(GROUPS, "utf-8")
    return version(root / "lake", captions, embeddings, verdicts_of(kept))


Made = tuple[Version, dict[str, Any], np.ndarray]


def made(root: Path, targets: str = "", *, filtered: float = 0.2, **more: Any) -> Made:
    """The version, the stage's summary, and (n,) weights, 0 where nothing is kept."""
    drawn = pool(root, filtered=filtered)
    if targets:
        (root / "targets.toml").write_text(targets, "utf-8")
        more["targets"] = str(root / "targets.toml")
    done = reweight.run(drawn, reweight.Config(groups=str(root / "people.toml"), **more), map_inline)
    weight = done.table("decision", ["weight"])["weight"].to_numpy()
    return done, done.summary["reweight"], np.nan_to_num(weight)


def share(done: Version, weight: np.ndarray, *words: str) -> float:
    captions = done.table("samples", ["caption"])["caption"].to_pylist()
    has = np.array([all(word in caption.split() for word in words) for caption in captions])
    return float(weight[has].sum() / weight.sum())


INDEPENDENT = """[[independent]]
group = "asian woman"
attribute = "flagged"
"""


@pytest.mark.parametrize("method", ["balance", "propensity", "probe", "none"])
def test_a_margin_is_met_by_every_method(tmp_path: Path, method: str) -> None:
    done, facts, weight = made(tmp_path, '[[margin]]\ngroup = "woman"\nshare = 0.5\n', method=method)
    assert share(done, weight, "woman") == pytest.approx(0.5, abs=1e-6)
    (row,) = facts["targets"]
    assert (row["target"], row["group"], row["wanted"], row["reason"]) == ("margin", "woman", 0.5, None)
    assert facts["targets_file"] == "targets.toml"


@pytest.mark.parametrize("method", ["balance", "propensity", "probe"])
def test_a_group_that_is_restored_has_its_share_of_the_pool_by_every_method(tmp_path: Path, method: str) -> None:
    done, facts, weight = made(tmp_path, method=method, restore=("asian woman", "tree"))
    everyone = np.ones(len(weight))
    assert share(done, weight, "asian", "woman") == pytest.approx(share(done, everyone, "asian", "woman"), rel=1e-6)
    assert share(done, weight, "tree") == pytest.approx(share(done, everyone, "tree"), rel=1e-6)
    assert [row["term"] for row in facts["restored"]] == ["asian woman", "tree"]
    assert not facts["not_restored"]


def test_a_planted_association_is_removed_with_the_effective_sample_above_its_floor(tmp_path: Path) -> None:
    done, facts, weight = made(tmp_path, INDEPENDENT, ess_floor=0.6)
    row = next(row for row in facts["targets"] if row["target"] == "independent")
    assert row["before"][0] > 3 * row["before"][1]
    assert row["after"][0] == pytest.approx(row["after"][1], abs=1e-6)
    inside = share(done, weight, "asian", "woman", "sexy") / share(done, weight, "asian", "woman")
    assert inside == pytest.approx(share(done, weight, "sexy"), abs=1e-6)
    assert effective_sample_size(weight[weight > 0]) >= 0.6 * (weight > 0).sum()
    assert facts["beside_declared"]["verdict"]


def test_a_target_of_a_restored_group_goes_before_its_pool_share(tmp_path: Path) -> None:
    done, facts, weight = made(tmp_path, '[[margin]]\ngroup = "woman"\nshare = 0.5\n', restore=("woman", "asian"))
    assert share(done, weight, "woman") == pytest.approx(0.5, abs=1e-6)
    assert [row["term"] for row in facts["restored"]] == ["asian"]


def test_an_audited_keyword_is_a_word_and_what_restore_names_may_be_a_group(tmp_path: Path) -> None:
    drawn = pool(tmp_path).derive("audit", config={"keywords": ("woman",)})
    captions = drawn.table("samples", ["caption"])["caption"].to_pylist()
    (tmp_path / "people.toml").write_text('[groups.woman]\nterms = ["woman", "tree"]\n', "utf-8")
    counts = []
    for restore in (None, ("woman",)):
        config = reweight.Config(groups=str(tmp_path / "people.toml"), restore=restore)
        counts.append(reweight.run(drawn, config, map_inline).summary["reweight"]["restored"][0]["n_pool"])
    assert counts == [
        sum(any(w in c.split() for w in some) for c in captions) for some in (["woman"], ["woman", "tree"])
    ]


def test_no_kept_sample_is_weighted_away(tmp_path: Path) -> None:
    text = '[[margin]]\ngroup = "woman"\nshare = 0.9\n[[margin]]\ngroup = "asian"\nshare = 0.9\n'
    _, facts, weight = made(tmp_path, text, ess_floor=0.2)
    assert any(row["reason"] for row in facts["targets"])
    kept = weight[weight > 0]
    assert len(kept) == facts["kept"]
    assert kept.min() > 1e-4
    assert facts["cap_cost"] is None or facts["cap_cost"]["samples"] > 0


def test_what_the_file_says_of_restore_goes_before_the_configuration(tmp_path: Path) -> None:
    _, facts, _ = made(tmp_path, 'restore = ["asian"]', restore=("woman",))
    assert [row["term"] for row in facts["restored"]] == ["asian"]


def test_an_unreachable_target_is_met_as_nearly_as_can_be_and_says_so(tmp_path: Path) -> None:
    done, facts, weight = made(tmp_path, '[[margin]]\ngroup = "woman"\nshare = 0.95\n', ess_floor=0.5)
    (row,) = facts["targets"]
    assert "out of reach: a share of 95.0000% was wanted" in row["reason"]
    assert share(done, weight, "woman") == pytest.approx(row["after"], abs=1e-6)
    assert 0.5 < row["after"] < 0.95
    assert facts["ess_share"] >= 0.5 - 1e-6


def test_targets_are_met_also_where_the_filter_removed_nothing(tmp_path: Path) -> None:
    done, facts, weight = made(tmp_path, '[[margin]]\ngroup = "woman"\nshare = 0.5\n', filtered=0.0)
    assert share(done, weight, "woman") == pytest.approx(0.5, abs=1e-6)
    assert facts["notes"] == ["the filter removed nothing: weights only meet the targets"]


def test_a_name_that_is_no_group_is_a_term_and_one_without_captions_is_told(tmp_path: Path) -> None:
    text = '[[margin]]\ngroup = "Sexy"\nshare = 0.05\n[[margin]]\ngroup = "unicorn"\nshare = 0.1\n'
    done, facts, weight = made(tmp_path, text)
    assert share(done, weight, "sexy") == pytest.approx(0.05, abs=1e-6)
    assert {row["group"]: row["reason"] is None for row in facts["targets"]} == {"sexy": True, "unicorn": False}
    assert (weight[weight > 0] > 0).all()


def test_the_version_holds_the_digest_of_what_is_declared_and_no_path(tmp_path: Path) -> None:
    done, _, _ = made(tmp_path, INDEPENDENT)
    settings = done.config["reweight"]
    assert len(settings["targets"]) == len(settings["groups"]) == 64
    assert str(tmp_path) not in repr(settings)


def test_another_target_is_another_version_and_the_same_one_elsewhere_is_the_same(tmp_path: Path) -> None:
    drawn = pool(tmp_path)
    keys = []
    texts = {"a": INDEPENDENT, "b": f"# told again\n{INDEPENDENT}", "c": INDEPENDENT.replace("asian ", "")}
    for name, text in texts.items():
        (tmp_path / f"{name}.toml").write_text(text, "utf-8")
        config = reweight.Config(groups=str(tmp_path / "people.toml"), targets=str(tmp_path / f"{name}.toml"))
        keys.append(reweight.run(drawn, config, map_inline).columns["decision"])
    assert keys[0] == keys[1] != keys[2]


def test_a_score_above_a_threshold_can_be_declared(tmp_path: Path) -> None:
    drawn = pool(tmp_path)
    more = '[attributes.verdict]\nclassifier = "sexual"\nabove = 0.5\n'
    (tmp_path / "people.toml").write_text(GROUPS + more, "utf-8")
    (tmp_path / "targets.toml").write_text(INDEPENDENT.replace("flagged", "verdict"), "utf-8")
    config = reweight.Config(groups=str(tmp_path / "people.toml"), targets=str(tmp_path / "targets.toml"))
    with pytest.raises(ConfigError, match=r"no score of 'sexual'; add the category to the filter"):
        reweight.run(drawn, config, map_inline)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[margin]]\ngroup = "woman"\nshare = 1.2\n', "a number above 0 and below 1 was expected, 1.2 was found"),
        ('[[margin]]\ngroup = "Tree"\nshare = 0.2\n[[margin]]\ngroup = "tree"\nshare = 0.3\n', "of one name"),
        ('[[margin]]\ngroup = "..."\nshare = 0.2\n', "'...' has no letter or digit"),
    ],
)
def test_a_wrong_target_is_refused_before_any_work(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "targets.toml").write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=said):
        declare((), (), str(tmp_path / "targets.toml"), "")


def test_a_group_within_another_cannot_have_the_larger_share(tmp_path: Path) -> None:
    text = '[[margin]]\ngroup = "woman"\nshare = 0.3\n[[margin]]\ngroup = "asian woman"\nshare = 0.4\n'
    with pytest.raises(ConfigError, match=r"margin of 'asian woman': at most 0\.3"):
        made(tmp_path, text)
