import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.lake import Version
from tasks.reporting.bias_findings import GROUPS, LEVEL, at_level, bias, tree
from tasks.reporting.bias_pairs import Odds, odds_of
from tests.tasks.audited_pool import audited


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    return audited(tmp_path_factory.mktemp("bias"))


def test_what_was_not_audited_has_no_account(version: Version) -> None:
    assert bias(Version(version.lake)) is None


def test_listed_changes_and_pairs_stand_largest_first(version: Version) -> None:
    told = bias(version)
    assert told is not None
    assert [row["label"] for row in told.listed][:2] == ["sexy", "woman"]
    sizes = [abs(row["change_filter"]) for row in told.listed]
    assert sizes == sorted(sizes, reverse=True)
    assert [row["label"] for row in told.keywords] == ["man", "woman"]  # in the order asked, without what is not there
    assert (told.pairs[0].group, told.pairs[0].attribute) == ("person/woman", "sexy")
    assert set(told.pairs[0].stages) == {"pool", "weighted"}
    assert set(told.strongest[0].stages) == {"pool", "after_filter", "kept", "weighted"}


def test_groups_that_no_caption_is_in_are_left_out_and_the_others_stand_as_a_tree(version: Version) -> None:
    told = bias(version)
    assert told is not None
    assert [(row["label"], row["depth"]) for row in told.groups] == [
        ("person", 0), ("woman", 1), ("man", 1), ("old", 2),
    ]  # fmt: skip


paths = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join), min_size=1, max_size=12)


@given(names=paths, changes=st.lists(st.floats(-1, 3) | st.none(), min_size=200, max_size=200))
def test_every_group_stands_once_behind_what_it_is_part_of(names: list[str], changes: list[float | None]) -> None:
    everything = {name[:end] for name in names for end in (*[i for i, c in enumerate(name) if c == "/"], len(name))}
    rows = [
        {"group": name, "n_pool": 1, "change_filter": change, "change": change}
        for name, change in zip(sorted(everything), changes, strict=False)
    ]
    shown = tree(rows)
    placed = {row["group"]: place for place, row in enumerate(shown)}
    assert len(placed) == len(shown) == min(len(rows), GROUPS)
    for name, place in placed.items():
        if "/" in name:
            assert placed[name.rpartition("/")[0]] < place
        assert shown[place]["depth"] == name.count("/")


def pair(**changes: Any) -> dict[str, Any]:
    plain = {
        "log_odds_ratio": None, "log_odds_ratio_lower": None, "log_odds_ratio_upper": None, "samples": 3,
        "group_samples": 10, "attribute_samples": 20, "share_inside": 0.3, "share_outside": 0.1,
    }  # fmt: skip
    return plain | changes


def test_an_association_that_the_table_leaves_open_is_infinite_or_unknown() -> None:
    assert odds_of(pair(samples=0)).value == -math.inf
    assert odds_of(pair(samples=10)).value == math.inf
    assert odds_of(pair(attribute_samples=3)).value == math.inf
    assert odds_of(pair(samples=0, attribute_samples=0)).value is None
    assert odds_of(pair(samples=0, group_samples=0)).value is None
    assert odds_of(pair(samples=10, share_outside=1.0)).value is None
    assert odds_of(pair(samples=0, log_odds_ratio_upper=-1.0)) == Odds(-math.inf, -math.inf, -1.0)


def test_an_interval_that_holds_0_has_no_strength() -> None:
    assert Odds(0.3, -0.1, 0.7).strength == 0
    assert Odds(0.3).strength == 0
    assert Odds(0.8, 0.2, 1.4).strength == 0.2
    assert Odds(-math.inf, -math.inf, -0.5).strength == 0.5


def test_intervals_at_the_audits_own_level_are_the_audits_and_wider_at_a_higher_one(version: Version) -> None:
    told = bias(version)
    assert told is not None
    row = next(row for row in version.summary["audit"]["keywords"] if row["term"] == "woman")
    same, wider = (at_level(row, told.samples, level) for level in (LEVEL, 0.999))
    for name in ("change", "change_weighted"):
        for end in ("lower", "upper"):
            assert same[f"{name}_{end}"] == pytest.approx(row[f"{name}_{end}"], abs=1e-6)
        assert wider[f"{name}_lower"] < row[f"{name}_lower"] and wider[f"{name}_upper"] > row[f"{name}_upper"]
