from typing import Any

import pytest

from tasks.reporting.bias_weights import account, declared, given_back, held_out, not_restored, tail, targets

FACTS: dict[str, Any] = {
    "method": "balance", "kept": 300, "effective_sample_size": 240.0, "ess_share": 0.8, "pareto_k": 0.3,
    "max_weight": 4.0, "cap": 10.0, "cap_cost": None, "restored": [], "not_restored": [], "held_out": None, "notes": [],
}  # fmt: skip
CLIPPED = {"samples": 1, "weight_above": 0.02, "max_weight_without": 31.0, "ess_share_without": 0.4}
REASON = "out of reach: a share of 50% was wanted, 30% is the nearest that weights of at most 10, and so on, allow"


def target(kind: str, **changes: Any) -> dict[str, Any]:
    plain = {
        "target": kind, "group": "woman", "of": "doctor", "n_kept": 12, "effective_samples": 9.125, "wanted": 0.5,
        "before": 0.1, "after": 0.5, "reason": None,
    }  # fmt: skip
    return plain | changes


def restored(term: str) -> dict[str, Any]:
    return {"term": term, "change_before": -0.12, "change_after": 0.0}


def lost(term: str, **changes: Any) -> dict[str, Any]:
    return {"term": term, "change_after": -0.58, "reason": "no support: 41% of it was kept", **changes}


def test_each_figure_of_the_account_says_what_it_means() -> None:
    told = {fact.name: fact for fact in account(FACTS)}
    assert told["effective sample size"].value == "80%"
    assert "as uncertain as over 240 that count the same" in told["effective sample size"].meaning
    assert told["largest weight"].meaning == "the mean is 1; none reaches the cap of 10"
    assert account({}) == []


def test_what_the_cap_cost_is_told_where_it_was_reached() -> None:
    clipped = {fact.name: fact for fact in account({**FACTS, "max_weight": 10.0, "cap_cost": CLIPPED})}
    assert clipped["largest weight"].meaning == (
        "the mean is 1; 1 sample at the cap of 10, which took 2% of all weight; without it the largest would be 31 and "
        "the effective sample size 40%"
    )
    unknown = {fact.name: fact for fact in account({**FACTS, "max_weight": 10.0})}
    assert unknown["largest weight"].meaning == "the mean is 1; the largest are at the cap of 10"


@pytest.mark.parametrize(
    ("shape", "said"), [(None, "no tail"), (-0.1, "light"), (0.6, "settle slowly"), (0.71, "do not trust")]
)
def test_the_tail_is_judged_by_its_shape(shape: float | None, said: str) -> None:
    assert said in tail(shape)


def test_weights_that_are_all_the_same_are_told_with_their_reason() -> None:
    assert given_back({}) == ["There are no weights: each kept sample counts the same."]
    assert given_back({**FACTS, "ess_share": 1.0, "notes": ["the filter removed nothing: all weights are 1"]}) == [
        "The filter removed nothing: all weights are 1."
    ]
    assert given_back({**FACTS, "ess_share": 1.0}) == ["All weights are 1."]


def test_what_is_restored_is_called_by_construction_and_counted() -> None:
    one = given_back({**FACTS, "restored": [restored("woman")]})
    assert one[0] == (
        "By construction, the one term to be restored has its share of the pool back: “woman” (−12.0% without weights, "
        "0.0% with them)."
    )
    two = given_back({**FACTS, "restored": [restored("woman"), restored("man")]})
    assert two[0].startswith("By construction, all 2 terms to be restored have their share of the pool back: ")
    many = given_back({**FACTS, "restored": [restored(f"w{i}") for i in range(5)], "not_restored": [lost("heart")]})
    assert many[0].startswith("By construction, 5 of the 6 terms to be restored have")
    assert many[0].endswith(" and 2 more.")
    assert many[-1] == (
        "The weights cost some precision: means over the 300 kept samples are as uncertain as over 240 that count the "
        "same."
    )


def test_where_nothing_is_restored_no_construction_is_claimed() -> None:
    told = {**FACTS, "not_restored": [lost("heart"), lost("kiss", change_after=None, reason="no such term")]}
    assert "construction" not in " ".join(given_back(told))
    assert not_restored(told)[0] == (
        "“heart” (−58.0% by weight; no support: 41% of it was kept) and “kiss” (no such term)."
    )
    assert not_restored(FACTS) == []


@pytest.mark.parametrize(
    ("lower", "upper", "said"),
    [
        (-0.02, -0.01, "the weights help"),
        (0.01, 0.02, "the weights harm, and none would be better for these words"),
        (-0.01, 0.02, "the weights neither help nor harm beyond doubt"),
    ],
)
def test_held_out_words_are_judged_by_the_interval_of_the_difference(lower: float, upper: float, said: str) -> None:
    judged = {"terms": 1, "mean_abs_before": 0.0525, "mean_abs_after": 0.0644, "difference": 0.0119}
    told = held_out({**FACTS, "held_out": {**judged, "lower": lower, "upper": upper, "verdict": ""}})[0]
    assert told.startswith(
        "On 1 word that judged the weights without shaping them, the mean change, up or down, is 5.25%"
    )
    assert told.endswith(f" percentage points, 95% interval): {said}.")


def test_no_weights_help_is_said_where_it_is_so() -> None:
    judged = {"terms": 12, "mean_abs_before": 0.1, "mean_abs_after": 0.1, "difference": 0.0, "lower": 0.0, "upper": 0.0}
    assert held_out({**FACTS, "ess_share": 1.0, "held_out": judged})[0].endswith("; no weights helped, and all are 1.")
    few = {"difference": None, "verdict": "too few terms to judge the weights by"}
    assert held_out({**FACTS, "held_out": few}) == ["Too few terms to judge the weights by."]
    assert held_out(FACTS) == []


def test_every_kind_of_target_is_told_with_its_shares() -> None:
    rows = [
        target("margin", of=None), target("conditional", reason=REASON, after=0.3), target("held", of=None),
        target("independent", wanted=None, before=[0.052, 0.01], after=[0.012, 0.012]), target("restore", before=None),
    ]  # fmt: skip
    told = targets({**FACTS, "targets": rows})
    assert [one.declared for one in told] == [
        "“woman” has 50% of all weight",
        "“woman” has 50% of the weight of “doctor”",
        "“woman” keeps its share of the weight",
        "“doctor” is as frequent inside “woman” as outside",
        "“woman” has its share of the pool",
    ]
    assert [one.outcome for one in told] == ["met", "out of reach", "held as it was", "met", "met"]
    assert (told[3].before, told[3].after) == ("5.2% inside, 1% outside", "1.2% inside, 1.2% outside")
    assert (told[4].before, told[1].reason) == ("–", REASON)


def test_targets_are_counted_and_those_out_of_reach_named_with_the_nearest_share() -> None:
    rows = [target("margin"), target("conditional", reason=REASON), target("held"), target("margin")]
    assert declared({**FACTS, "targets": rows}) == [
        "2 of the 3 declared targets are met.",
        "Not met: “woman” has 50% of the weight of “doctor” (out of reach: a share of 50% was wanted, 30% is the "
        "nearest).",
    ]
    assert declared({**FACTS, "targets": [target("margin")]}) == ["The one declared target is met."]
    assert declared({**FACTS, "targets": []}) == declared(FACTS) == []


def test_what_the_targets_did_to_other_words_is_told() -> None:
    beside = {
        "terms": 46,
        "mean_abs_before": 0.06,
        "mean_abs_after": 0.25,
        "difference": 0.2,
        "lower": -0.02,
        "upper": 0.4,
    }
    told = declared({**FACTS, "targets": [target("margin")], "beside_declared": beside})
    assert told[-1] == (
        "Meeting what is declared took the mean change of 46 other words from 6.00% to 25.00% (difference −2.00 to "
        "+40.00 percentage points, 95% interval)."
    )
