"""A file of declared targets: what it may say, what is said of a wrong one, and the weights that meet it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.errors import ConfigError
from tasks.weights.balance import Limits, effective_sample_size
from tasks.weights.target_weights import weigh
from tasks.weights.targets import Masks, Targets, check, read_targets

DECLARED = """
restore = ["man", "child"]
[[margin]]
group = "woman"
share = 0.5
[[conditional]]
group = "woman"
given = "doctor"
share = 0.4
[[independent]]
group = "asian woman"
attribute = "sexualised"
"""
LIMITS = Limits(cap=10.0, ess_floor=0.5)


def read(tmp_path: Path, text: str, name: str = "targets.toml") -> Targets:
    (tmp_path / name).write_text(text, "utf-8")
    return read_targets(tmp_path / name)


def declared(**more: object) -> Targets:
    return Targets(
        **{"source": "targets.toml", "margins": {}, "conditionals": {}, "independents": (), "restore": None} | more
    )


def planted(seed: int, m: int = 4000) -> dict[str, np.ndarray]:
    """A group that is flagged five times as often as others, and others that overlap with it."""
    rng = np.random.default_rng(seed)
    woman, asian = rng.random(m) < 0.4, rng.random(m) < 0.3
    group = woman & asian
    flagged = rng.random(m) < np.where(group, 0.25, 0.05)
    return {"woman": woman, "asian": asian, "asian woman": group, "sexualised": flagged, "doctor": rng.random(m) < 0.1}


def test_every_kind_of_target_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, DECLARED)
    assert found.margins == {"woman": 0.5}
    assert found.conditionals == {("woman", "doctor"): 0.4}
    assert found.independents == (("asian woman", "sexualised"),)
    assert found.restore == ("child", "man")
    assert found.groups() == ["asian woman", "child", "doctor", "man", "sexualised", "woman"]


def test_neither_order_nor_place_changes_the_digest_and_any_target_does(tmp_path: Path) -> None:
    one = read(tmp_path, DECLARED)
    head, *entries = DECLARED.split("\n[[")
    other = read(tmp_path, "# told otherwise\n" + "\n[[".join([head, *reversed(entries)]), "other.toml")
    assert one.digest() == other.digest()
    changed = [DECLARED.replace(*pair) for pair in (("0.5", "0.51"), ("doctor", "nurse"), ('"man", ', ""))]
    assert len({one.digest(), *(read(tmp_path, text).digest() for text in changed)}) == 4


def test_nothing_to_restore_is_not_the_same_as_saying_nothing_of_it(tmp_path: Path) -> None:
    assert read(tmp_path, "restore = []").restore == ()
    assert read(tmp_path, "").restore is None
    assert read(tmp_path, "restore = []").digest() != read(tmp_path, "").digest()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[[margin]]\ngroup = "woman"\nshare = 1.2',
            r"margin 1 \('woman'\): share: a number above 0 and below 1 .* 1.2",
        ),
        ('[[margin]]\ngroup = "woman"\nshare = "120%"', "'120%' was found; one half is written 0.5"),
        ('[[margin]]\ngroup = "woman"\nshare = 0', "above 0 and below 1 was expected, 0 was found"),
        ('[[margin]]\ngroup = "woman"\nshare = true', "True was found"),
        ('[[margin]]\ngroup = "woman"\nshare = nan', "nan was found"),
        ('[[margin]]\ngroup = ""\nshare = 0.5', "margin 1: group: the name of a group was expected, '' was found"),
        ('[[margin]]\ngroup = "woman"', "margin 1: the keys group, share were expected, found: group"),
        ('[[margin]]\ngroup = "woman"\nshare = 0.5\nof = "all"', "found: group, share, of"),
        ('[margin]\ngroup = "woman"\nshare = 0.5', r"margin: tables \[\[margin\]\] were expected"),
        ('[[margins]]\ngroup = "woman"\nshare = 0.5', "margins: .* correct its spelling"),
        ('[[margin]]\ngroup = "a"\nshare = 0.5\n[[margin]]\ngroup = "a"\nshare = 0.4', "margin of 'a': .* 0.5 and 0.4"),
        ('[[conditional]]\ngroup = "a"\ngiven = "a"\nshare = 0.4', "two different groups were expected, 'a' was found"),
        ('[[independent]]\ngroup = "a"\nattribute = 3', "attribute: the name of a group was expected, 3 was found"),
        ('restore = "woman"', "a list of names of groups was expected"),
        ("restore = [", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_entry_and_value(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        read(tmp_path, text)
    assert "targets.toml" in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: a file of targets was expected"):
        read_targets(tmp_path / "none.toml")


def test_the_same_target_twice_is_one_target(tmp_path: Path) -> None:
    entry = '[[margin]]\ngroup = "woman"\nshare = 0.5\n'
    assert read(tmp_path, entry * 2).digest() == read(tmp_path, entry).digest()


def test_an_unknown_group_is_named_with_those_that_are_known() -> None:
    with pytest.raises(ConfigError, match=r"targets.toml: 'nurse': .*known: asian, .*woman"):
        check(declared(margins={"nurse": 0.5}), planted(0))


def test_a_group_within_another_cannot_have_the_larger_share() -> None:
    margins = {"woman": 0.3, "asian woman": 0.4}
    with pytest.raises(ConfigError, match=r"margin of 'asian woman': at most 0.3 .* 0.4 was found"):
        check(declared(margins=margins), planted(0))
    check(declared(margins={"woman": 0.4, "asian woman": 0.3}), planted(0))


def test_a_planted_association_is_removed_and_the_effective_sample_stays_above_its_floor() -> None:
    masks = planted(1)
    found = weigh(declared(independents=(("asian woman", "sexualised"),)), masks, {}, np.ones(4000), Limits(10, 0.8))
    held, row = found.rows
    assert row["reason"] is None and held["reason"] is None
    assert row["before"][0] > 3.5 * row["before"][1]
    assert row["after"][0] == pytest.approx(row["after"][1], abs=1e-9)
    assert held["after"] == pytest.approx(held["before"], abs=1e-9)  # the group is not made rarer
    assert effective_sample_size(found.weights) >= 0.8 * 4000


def test_independence_holds_the_share_that_is_declared_or_restored() -> None:
    masks, pairs = planted(2), (("asian woman", "sexualised"),)
    for margins, pool_share in (({"asian woman": 0.2}, {}), ({}, {"asian woman": 0.2})):
        found = weigh(declared(margins=margins, independents=pairs), masks, pool_share, np.ones(4000), LIMITS)
        assert all(row["reason"] is None for row in found.rows)
        assert found.weights[masks["asian woman"]].sum() / 4000 == pytest.approx(0.2, abs=1e-9)
        rates = next(row["after"] for row in found.rows if row["target"] == "independent")
        assert rates[0] == pytest.approx(rates[1], abs=1e-9)


def test_independence_is_met_also_where_the_margin_of_its_group_is_out_of_reach() -> None:
    masks = planted(3)
    targets = declared(margins={"asian woman": 0.9}, independents=(("asian woman", "sexualised"),))
    found = weigh(targets, masks, {}, np.ones(4000), Limits(3.0, 0.4))
    rows = {row["target"]: row for row in found.rows}
    assert "90.0000% was wanted" in rows["margin"]["reason"]
    assert 0.15 < rows["margin"]["after"] < 0.37
    assert rows["independent"]["after"][0] == pytest.approx(rows["independent"]["after"][1], abs=1e-6)


def test_a_conditional_says_nothing_of_the_margin() -> None:
    masks = planted(4)
    found = weigh(declared(conditionals={("woman", "doctor"): 0.5}), masks, {}, np.ones(4000), LIMITS)
    (row,) = found.rows
    assert (row["before"], row["after"]) == (pytest.approx(0.4, abs=0.06), pytest.approx(0.5, abs=1e-9))
    assert found.weights[~masks["doctor"]] == pytest.approx(found.weights[~masks["doctor"]][0])


def test_what_is_declared_of_a_group_goes_before_the_share_that_it_had_in_the_pool() -> None:
    masks = planted(5)
    found = weigh(declared(margins={"woman": 0.5}), masks, {"woman": 0.45, "asian": 0.35}, np.ones(4000), LIMITS)
    assert [(row["target"], row["group"], row["wanted"]) for row in found.rows] == [
        ("margin", "woman", 0.5),
        ("restore", "asian", 0.35),
    ]
    assert [row["after"] for row in found.rows] == pytest.approx([0.5, 0.35], abs=1e-9)


def test_a_target_without_any_kept_sample_stays_in_the_account() -> None:
    masks = {**planted(6), "unicorn": np.zeros(4000, dtype=bool)}
    found = weigh(declared(margins={"unicorn": 0.1, "woman": 0.5}), masks, {}, np.ones(4000), LIMITS)
    unicorn, woman = found.rows
    assert "no kept sample" in unicorn["reason"]
    assert unicorn["after"] == 0
    assert woman["reason"] is None


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    woman=st.floats(0.02, 0.98),
    given_doctor=st.floats(0.02, 0.98),
    asian=st.floats(0.02, 0.98),
    cap=st.floats(1.5, 20),
)
@example(seed=1, woman=0.125, given_doctor=0.03125, asian=0.5, cap=1.5)
def test_each_target_is_met_or_has_a_reason(
    seed: int, woman: float, given_doctor: float, asian: float, cap: float
) -> None:
    masks: Masks = planted(seed, m=400)
    targets = declared(
        margins={"woman": woman},
        conditionals={("woman", "doctor"): given_doctor},
        independents=(("asian woman", "sexualised"),),
    )
    found = weigh(targets, masks, {"asian": asian}, np.ones(400), Limits(cap, 0.3))
    assert found.weights.min() > 0
    assert found.weights.max() <= cap
    assert found.weights.mean() == pytest.approx(1, abs=1e-8)
    assert len(found.rows) == 5
    for row in found.rows:
        if row["reason"] is None:
            first, second = row["after"] if row["target"] == "independent" else (row["after"], row["wanted"])
            assert first == pytest.approx(second, abs=1e-6)
