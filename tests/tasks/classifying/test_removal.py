"""What a threshold removes, and what a smaller removal would cost."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.classifying import certify, removal


def judged(threshold: float = 0.2, rows: int = 100) -> tuple[removal.Judged, np.ndarray]:
    """Scores 0.00, 0.01, …; the last ten labelled positive, one of them low; five high ones labelled negative."""
    scores = (np.arange(rows) / rows).astype(np.float32)
    scores[99] = 0.01
    positive, negative, usable = np.zeros((3, rows), bool)
    positive[90:100], negative[85:90], usable[1:] = True, True, True
    held_out = scores[90:100].copy()
    recall = certify.at_threshold(held_out, threshold, 0.95)
    return removal.Judged("c", 0.95, threshold, recall, held_out, scores, positive, negative), usable


def test_a_label_overrides_the_score() -> None:
    one, _ = judged()
    assert one.removed[99] and not one.reached[99]
    assert one.reached[85:90].all() and not one.removed[85:90].any()


def test_the_removed_are_counted_by_what_removed_them() -> None:
    one, usable = judged()
    facts = removal.facts(one, usable)
    assert facts["removed"] == 75 == facts["removed_by_label"] + facts["removed_by_score"]
    assert facts["removed_by_label"] == 10 and facts["kept_by_label"] == 5
    assert facts["share"] == round(75 / 99, 6)


def test_smaller_removals_keep_to_their_share_and_name_the_recall_left() -> None:
    one, usable = judged()
    points = removal.smaller_removals(one, usable)
    assert [point["share"] for point in points] == [0.20, 0.10, 0.05]
    twenty = points[0]
    assert twenty["removed"] == 19 and twenty["threshold"] == pytest.approx(0.76)
    assert twenty["recall_estimate"]["k"] == 9 and twenty["recall_estimate"]["n"] == 10
    assert points[1]["threshold"] is None  # the ten labelled positives alone are more than a tenth of 99


def test_no_smaller_removal_is_named_where_little_is_removed() -> None:
    one, usable = judged(rows=1000)
    one = one._replace(threshold=2.0)
    assert removal.smaller_removals(one, usable) == []


def test_nothing_is_suggested_where_no_recall_is_known() -> None:
    one, usable = judged()
    assert removal.smaller_removals(one._replace(positives=one.positives[:0]), usable) == []


def test_the_curve_goes_down_in_threshold_and_up_in_recall_and_removal() -> None:
    one, usable = judged()
    table = removal.curve(one, usable)
    threshold, recall = (np.asarray(table[name]) for name in ("threshold", "recall_estimate"))
    assert (np.diff(threshold) < 0).all() and (np.diff(recall) > 0).all()
    assert (np.diff(np.asarray(table["removed"])) >= 0).all()
    assert recall[-1] == 1 and (np.asarray(table["recall_lower"]) < recall).all()
    for t, removed in zip(threshold, table["removed"].to_pylist(), strict=True):
        assert removed == (one._replace(threshold=float(t)).removed & usable).sum()


def test_the_curve_of_many_positives_has_a_bounded_number_of_points() -> None:
    one, usable = judged()
    many = one._replace(positives=np.linspace(0.1, 0.9, 5000, dtype=np.float32))
    table = removal.curve(many, usable)
    assert table.num_rows == removal.POINTS and table["recall_estimate"].to_pylist()[-1] == 1


def test_few_positives_are_warned_of() -> None:
    one, _ = judged()
    assert removal.warnings(one) == []
    assert "only 4 images" in removal.warnings(one._replace(positives=one.positives[:4]))[0]
    assert "recall is unknown" in removal.warnings(one._replace(positives=one.positives[:0]))[0]


def test_a_sample_of_two_categories_is_counted_once_in_all() -> None:
    one, usable = judged()
    found = removal.summary([one, one._replace(name="d")], {}, usable)
    assert found["removed"] == 75 and found["usable"] == 99
