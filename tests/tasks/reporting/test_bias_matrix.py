import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.reporting.bias_matrix import ATTRIBUTES, GROUPS, Cell, apart, matrix, shade
from tasks.reporting.bias_pairs import Odds


def association(stage: str, group: str, attribute: str, odds: float | None = 0.5, **changes: Any) -> dict[str, Any]:
    known = odds is not None
    plain = {
        "stage": stage, "group": group, "attribute": attribute, "kind": "keywords", "samples": 5 if known else 0,
        "group_samples": 50, "attribute_samples": 60, "share_inside": 0.1, "share_outside": 0.05,
        "log_odds_ratio": odds, "log_odds_ratio_lower": odds - 0.3 if known else None,
        "log_odds_ratio_upper": odds + 0.3 if known else None, "p_value": 0.01, "by_construction": False,
        "significant": True,
    }  # fmt: skip
    return plain | changes


NO_SUPPORT = {"log_odds_ratio_lower": None, "log_odds_ratio_upper": None, "p_value": None, "significant": False}


def table(rows: list[dict[str, Any]]) -> pa.Table:
    schema = {
        "log_odds_ratio": pa.float64(),
        "log_odds_ratio_lower": pa.float64(),
        "log_odds_ratio_upper": pa.float64(),
    }
    columns = {name: pa.array([row[name] for row in rows], schema.get(name)) for name in rows[0]}
    return pa.table(columns)


def cell(before: dict[str, Any], after: dict[str, Any]) -> Cell:
    rows = [association("pool", "g", "a") | before, association("kept", "g", "a") | after]
    found = matrix(table(rows), "kept")
    assert found is not None
    return found.rows[0][1][0]


def test_a_cell_has_both_figures_their_change_and_what_they_rest_on() -> None:
    found = cell({}, {"log_odds_ratio": -1.5, "log_odds_ratio_lower": -2.0, "log_odds_ratio_upper": -1.0})
    assert (found.before.text, found.after.text, found.change, found.apart) == ("+0.5", "−1.5", "−2.0", True)
    assert (found.before.shade, found.after.shade) == (1, -3)
    assert found.before.hint == "10% inside, 5% outside; ×1.65 (×1.22 to ×2.23); 5 of 50 samples"


def test_what_is_significant_untested_or_so_by_construction_is_told_apart() -> None:
    quiet = cell({"significant": False}, NO_SUPPORT)
    assert (quiet.before.kind, quiet.after.kind) == ("tested", "unsupported")
    assert (quiet.before.shade, quiet.after.shade) == (1, 0)
    shared = cell({"by_construction": True}, {})
    assert (shared.before.kind, shared.before.shade, shared.after.kind) == ("construction", 0, "significant")


def test_none_of_a_group_is_minus_infinity_and_a_change_from_it_is_not_a_number() -> None:
    nothing = {"log_odds_ratio": None, "samples": 0, "log_odds_ratio_lower": None, "log_odds_ratio_upper": -0.4}
    found = cell({}, nothing)
    assert (found.after.text, found.after.shade, found.change, found.apart) == ("−∞", -4, "–", True)
    empty = cell({}, {**nothing, "group_samples": 0, "log_odds_ratio_upper": None})
    assert (empty.after.text, empty.after.kind) == ("–", "undefined")


def test_groups_and_attributes_stand_by_their_largest_association_that_is_not_by_construction() -> None:
    rows = []
    for stage in ("pool", "kept"):
        rows += [association(stage, "weak", name, 0.4) for name in ("x", "y")]
        rows += [association(stage, "strong", "x", 0.2), association(stage, "strong", "y", -3.0)]
        rows += [association(stage, "same words", name, 9.0, by_construction=True) for name in ("x", "y")]
    found = matrix(table(rows), "kept")
    assert found is not None
    assert [group for group, _ in found.rows] == ["strong", "weak", "same words"]
    assert found.attributes == ["y", "x"]


def test_more_than_a_page_holds_is_counted_and_not_shown() -> None:
    names = [f"g{i:03d}" for i in range(GROUPS + 5)], [f"a{i:02d}" for i in range(ATTRIBUTES + 2)]
    rows = [association(stage, g, a) for stage in ("pool", "weighted") for g in names[0] for a in names[1]]
    found = matrix(table(rows), "weighted")
    assert found is not None
    assert (len(found.rows), len(found.attributes)) == (GROUPS, ATTRIBUTES)
    assert (found.groups, found.all_attributes) == (GROUPS + 5, ATTRIBUTES + 2)


def test_groups_without_captions_are_no_rows() -> None:
    rows = [association(stage, "g", "a", None, group_samples=0) for stage in ("pool", "kept")]
    assert matrix(table(rows), "kept") is None


@given(one=st.floats(-20, 20), other=st.floats(-20, 20))
def test_shades_rise_with_the_association_and_mirror_it(one: float, other: float) -> None:
    assert shade(-one) == -shade(one)
    assert (shade(one) <= shade(other)) or one > other
    assert -4 <= shade(one) <= 4


@pytest.mark.parametrize(
    ("first", "last", "is_apart"),
    [
        (Odds(1, 0.5, 1.5), Odds(2, 1.6, 2.4), True),
        (Odds(1, 0.5, 1.5), Odds(1.4, 1.0, 1.8), False),
        (Odds(-math.inf, -math.inf, -1), Odds(0, -0.5, 0.5), True),
        (Odds(1, 0.5, 1.5), Odds(9), False),
    ],
)
def test_intervals_are_apart_only_where_both_are_known(first: Odds, last: Odds, is_apart: bool) -> None:
    assert apart(first, last) == apart(last, first) == is_apart
