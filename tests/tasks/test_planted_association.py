"""A group that is flagged five times as often is found, ranked first and made independent: from captions to weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks.weights.balance import effective_sample_size
from tests.benchmarks.planted_association import PAIR, audited, odds, planted, rank

ESS_FLOOR = 0.6


def test_a_planted_association_is_found_ranked_first_and_removed_by_an_independence_target(tmp_path: Path) -> None:
    done, summary, rows = audited(tmp_path, planted(tmp_path, 3000, seed=0), method="none", ess_floor=ESS_FLOOR)
    assert rank(summary, "before") == 1 and rank(summary, "after") is None
    assert odds(rows["pool", *PAIR])[1] > 1 and rows["kept", *PAIR]["significant"]
    figure, lower, upper = odds(rows["weighted", *PAIR])
    assert figure == pytest.approx(0, abs=1e-4) and lower < -0.1 and upper > 0.1
    assert not rows["weighted", *PAIR]["significant"]
    weights = done.table("decision", ["weight"])["weight"].drop_null().to_numpy()
    assert effective_sample_size(weights) >= ESS_FLOOR * len(weights) and np.isclose(weights.mean(), 1)


def test_where_nothing_is_planted_nothing_is_on_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.benchmarks.planted_association.INSIDE", 0.05)
    _, summary, _ = audited(tmp_path, planted(tmp_path, 2000, seed=1), method="none")
    assert not summary["associations"]["before"] and not summary["significant"]
