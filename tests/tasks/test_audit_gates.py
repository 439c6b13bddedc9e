"""Any figure of the audit can be bounded: read from its tables, judged by the gate after reweighting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tasks import audit
from tasks.audit_gates import AuditBound, figures
from tasks.errors import ConfigError
from tasks.files import write_table
from tasks.gates import evaluate
from tasks.lake import Version
from tasks.suites import Config
from tests.tasks.groups.test_association import made as scored_pool
from tests.tasks.small_version import map_inline, version

TABLES = {
    "words": {"term": ["woman", "old man"], "change_weighted": [-0.12, 0.01], "change_weighted_lower": [-0.2, None]},
    "groups": {"group": ["gender/woman"], "change_weighted": [-0.03], "removal_odds_ratio": [1.7]},
    "associations": {
        "stage": ["pool", "weighted"],
        "group": ["gender/woman"] * 2,
        "attribute": ["sexy"] * 2,
        "log_odds_ratio": [0.2, 1.4],
    },
}


def audited(root: Path) -> Version:
    made = version(root, ["a woman", "an old man"], [[1.0, 0.0], [0.0, 1.0]] @ _eye(), ["kept"] * 2)
    with made.lake.new_artifact("audit", "a") as folder:
        for name, columns in TABLES.items():
            write_table(folder / f"{name}.parquet", pa.table(columns))
    return made.derive("reweight", artifacts={"audit": "a"})


def _eye() -> Any:
    import numpy as np

    return np.eye(2)


def figure(root: Path, **bound: Any) -> float | None:
    one = AuditBound(**bound, at_most=0.0)
    return figures(audited(root), [one])[one.metric]


def test_a_figure_of_every_kind_is_found(tmp_path: Path) -> None:
    assert figure(tmp_path, figure="change_weighted", of="Woman") == -0.12
    assert figure(tmp_path, figure="change_weighted", of="old man") == 0.01
    assert figure(tmp_path, figure="change_weighted", of="gender/woman") == -0.03
    assert figure(tmp_path, figure="removal_odds_ratio", of="gender/woman") == 1.7
    assert figure(tmp_path, figure="log_odds_ratio", of="gender/woman", attribute="sexy") == 1.4
    assert figure(tmp_path, figure="log_odds_ratio", of="gender/woman", attribute="sexy", stage="pool") == 0.2


def test_what_was_not_audited_or_has_no_interval_is_no_number(tmp_path: Path) -> None:
    assert figure(tmp_path, figure="change_weighted", of="unicorn") is None
    assert figure(tmp_path, figure="change_weighted_lower", of="old man") is None
    assert figure(tmp_path, figure="change_weighted_upper", of="woman") is None
    assert figure(tmp_path, figure="residual_harm", attribute="verdict") is None
    assert figures(version(tmp_path, ["a"], _eye()[:1], ["kept"]), [AuditBound("change", "a", at_most=0)]) == {
        "audit.change a": None
    }


def test_the_gate_after_reweighting_judges_it_and_fails_closed(tmp_path: Path) -> None:
    made = audited(tmp_path)
    bounds = (
        AuditBound("change_weighted", "woman", at_least=-0.05, at_most=0.05),
        AuditBound("change_weighted", "gender/woman", at_least=-0.05),
        AuditBound("change", "unicorn", at_most=1.0),
    )
    results = {result.metric: result for result in evaluate(made, "reweight", Config(audit=bounds))}
    assert not results["audit.change_weighted woman"].passed
    assert (
        "at least -0.05 and at most 0.05 was expected, -0.12 was found"
        in results["audit.change_weighted woman"].sentence()
    )
    assert results["audit.change_weighted gender/woman"].passed
    assert not results["audit.change unicorn"].passed
    assert "audit.keywords" in results["audit.change unicorn"].sentence()


def test_a_classifier_s_harm_is_judged_by_what_the_audit_found(tmp_path: Path) -> None:
    samples = [("a", "filtered", 1.0, 0), ("b", "kept", 0.5, 0), ("c", "kept", 1.5, 0)]
    listed = tmp_path / "groups.toml"
    listed.write_text('[attributes.unsafe]\nclassifier = "sexual"\nabove = 0.5\n[groups.a]\nterms = ["a"]\n', "utf-8")
    made = scored_pool(tmp_path / "lake", samples, [0.75, 0.5, 0.25])
    made = audit.run(made, audit.Config(min_count=1, groups=str(listed)), map_inline).derive("reweight")
    bounds = (
        AuditBound("residual_harm", attribute="unsafe", at_most=0.3),
        AuditBound("residual_harm", attribute="unsafe", stage="kept", at_most=0.4),
        AuditBound("residual_harm_upper", attribute="unsafe", at_most=1.0),
    )
    weighted, kept, upper = evaluate(made, "reweight", Config(audit=bounds))[-3:]
    assert (weighted.value, weighted.passed) == (0.3125, False)  # (0.5 × 0.5 + 1.5 × 0.25) / 2
    assert (kept.value, kept.passed) == (0.375, True)
    assert (upper.value, upper.passed) == (None, False)  # three samples carry no interval


@pytest.mark.parametrize(
    ("bound", "said"),
    [
        ({"figure": "chnge", "of": "a", "at_most": 1}, "no such figure is audited; known are: change, "),
        ({"figure": "change", "at_most": 1}, "of is needed"),
        ({"figure": "change", "of": "a", "attribute": "b", "at_most": 1}, "attribute does not belong here; it was 'b'"),
        ({"figure": "pmi", "of": "a", "at_most": 1}, "attribute is needed"),
        ({"figure": "residual_harm", "of": "a", "attribute": "b", "at_most": 1}, "of does not belong here"),
        ({"figure": "change", "of": "a"}, "found None and None"),
        ({"figure": "change", "of": "a", "at_least": 1, "at_most": 0}, "found 1 and 0"),
        ({"figure": "change", "of": "a", "at_most": float("nan")}, "found None and nan"),
        ({"figure": "pmi", "of": "a", "attribute": "b", "stage": "end", "at_most": 1}, "'end' was found"),
    ],
)
def test_a_bound_that_says_nothing_is_refused(bound: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        AuditBound(**bound)


def test_one_figure_is_bounded_once() -> None:
    with pytest.raises(ConfigError, match="bounded twice"):
        Config(audit=(AuditBound("change", "a", at_most=1), AuditBound("change", "a", at_least=-1)))
