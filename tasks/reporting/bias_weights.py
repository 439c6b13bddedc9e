"""The account of the weights in words: how much they cost, how far their tail can be trusted, what was declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from tasks.reporting.wording import count, figures, listing, of, percentage_points, plural, sentence, share, signed

NAMED: Final = 3  # terms or targets that a sentence names
MET: Final = "met"
HELD: Final = "held as it was"
NOT_MET: Final = "out of reach"


class Fact(NamedTuple):
    name: str
    value: str
    meaning: str


class Target(NamedTuple):
    """A declared target, and what became of it."""

    declared: str
    outcome: str  # MET | HELD | NOT_MET
    wanted: str
    before: str  # with the weights that the method made
    after: str
    kept: int  # samples with what is declared
    effective: float  # as how many they count
    reason: str

    @property
    def chip(self) -> str:
        return {MET: "passed", HELD: "", NOT_MET: "failed"}[self.outcome]


def account(told: Mapping[str, Any]) -> list[Fact]:
    """Method, effective sample size, largest weight and tail; empty where there is no account."""
    if not told:
        return []
    kept, size = told.get("kept"), told.get("effective_sample_size")
    return [
        Fact("method", str(told.get("method", "–")), ""),
        Fact(
            "effective sample size",
            share(told.get("ess_share")),
            f"a mean over these {count(kept)} samples is as uncertain as over {count(size)} that count the same",
        ),
        Fact("largest weight", figures(told.get("max_weight")), _cap(told)),
        Fact("Pareto k", figures(told.get("pareto_k")), tail(told.get("pareto_k"))),
    ]


def _cap(told: Mapping[str, Any]) -> str:
    cap, cost = figures(told.get("cap")), told.get("cap_cost")
    if not cost:
        reached = told.get("max_weight") is not None and told["max_weight"] >= told["cap"] * (1 - 1e-9)
        return f"the mean is 1; {'the largest are at' if reached else 'none reaches'} the cap of {cap}"
    took, free = share(cost["weight_above"]), figures(cost["max_weight_without"])
    return (
        f"the mean is 1; {plural(cost['samples'], 'sample')} at the cap of {cap}, which took {took} of all weight; "
        f"without it the largest would be {free} and the effective sample size {share(cost['ess_share_without'])}"
    )


def tail(shape: float | None) -> str:
    """What the tail's shape means (Vehtari et al. 2024)."""
    if shape is None:
        return "no tail to judge: hardly any weight stands out"
    if shape < 0.5:
        return "a light tail: no few samples carry the rest"
    if shape <= 0.7:
        return "a heavy tail: means by weight can be trusted, but settle slowly"
    return "so heavy a tail that a few samples carry much of the weight: do not trust means by weight"


def outcome(told: Mapping[str, Any]) -> dict[str, Any]:
    """What the weights met and what they did not; `tone`: good where held-out words gain, "" where they lose."""
    judged = told.get("held_out") or {}
    tone = "plain"
    if judged.get("upper") is not None:
        tone = "good" if judged["upper"] < 0 else "" if judged["lower"] > 0 else "plain"
    return {
        "verdict": judged.get("verdict"),
        "tone": tone,
        "restored": [row["term"] for row in told.get("restored", [])],
        "not_restored": [(row["term"], row["reason"]) for row in told.get("not_restored", [])],
        "notes": told.get("notes", []),
    }


def targets(told: Mapping[str, Any]) -> list[Target]:
    """What was declared, in its order."""
    return [_target(row) for row in told.get("targets") or []]


def _target(row: Mapping[str, Any]) -> Target:
    outcome = NOT_MET if row["reason"] else HELD if row["target"] == "held" else MET
    kept, effective, reason = row["n_kept"], row["effective_samples"], row["reason"] or ""
    if row["target"] != "independent":
        before, after = share(row["before"]), share(row["after"])
        return Target(says(row), outcome, share(row["wanted"]), before, after, kept, effective, reason)
    before, after = (_sides(row[name]) for name in ("before", "after"))
    return Target(says(row), outcome, "the same in both", before, after, kept, effective, reason)


def _sides(shares: Sequence[float | None]) -> str:
    inside, outside = shares
    return f"{share(inside)} inside, {share(outside)} outside"


def says(row: Mapping[str, Any]) -> str:
    """What a target declares."""
    group, of = f"“{row['group']}”", f"“{row['of']}”"
    said = {
        "margin": f"{group} has {share(row['wanted'])} of all weight",
        "conditional": f"{group} has {share(row['wanted'])} of the weight of {of}",
        "independent": f"{of} is as frequent inside {group} as outside",
        "held": f"{group} keeps its share of the weight",
        "restore": f"{group} has its share of the pool",
    }
    return said[row["target"]]


def equal(told: Mapping[str, Any]) -> bool:
    """Whether all weights are the same, or there is none."""
    return told.get("ess_share") is None or told["ess_share"] >= 1


def given_back(told: Mapping[str, Any]) -> list[str]:
    """What the weights meet exactly, and what they cost. Sentences; each list here is empty where nothing is to say."""
    if not told:
        return ["There are no weights: each kept sample counts the same."]
    if equal(told):
        notes = told.get("notes") or ["all weights are 1"]
        return [f"{sentence('; '.join(notes))}."]
    return [*_by_construction(told), f"The weights cost some precision: {_cost(told)}."]


def _cost(told: Mapping[str, Any]) -> str:
    size = count(told["effective_sample_size"])
    return f"means over the {plural(told['kept'], 'kept sample')} are as uncertain as over {size} that count the same"


def _by_construction(told: Mapping[str, Any]) -> list[str]:
    restored = told.get("restored", [])
    if not restored:
        return []
    names = [
        f"“{row['term']}” ({signed(row['change_before'])} without weights, {signed(row['change_after'])} with them)"
        for row in restored
    ]
    asked = len(restored) + len(told.get("not_restored", []))
    which = "the one term" if asked == 1 else f"{of(len(restored), asked)} terms"
    have = "has its share" if len(restored) == 1 else "have their share"
    return [
        f"By construction, {which} to be restored {have} of the pool back: {some(names)}.",
        "A share that the weights solve for is met; that says nothing of other words.",
    ]


def some(names: Sequence[str]) -> str:
    """The first ones by name, and how many more there are."""
    more = [f"{len(names) - NAMED:,} more"] if len(names) > NAMED else []
    return listing([*names[:NAMED], *more])


def not_restored(told: Mapping[str, Any]) -> list[str]:
    lost = told.get("not_restored", [])
    if not lost:
        return []
    names = [f"“{row['term']}” ({_by_weight(row)}{_briefly(row['reason'])})" for row in lost]
    return [
        f"{sentence(some(names))}.",
        "Weights can repeat what was kept; they do not bring back what the removed images showed.",
    ]


def _by_weight(row: Mapping[str, Any]) -> str:
    change = row.get("change_after")
    return "" if change is None else f"{signed(change)} by weight; "


def _briefly(reason: str) -> str:
    """Without the limits that the weights keep, which the page's table names."""
    return reason.partition(" that weights of at most")[0]


def held_out(told: Mapping[str, Any]) -> list[str]:
    """What the weights do to words that were held out of them, with the interval of the difference."""
    judged = told.get("held_out")
    if not judged:
        return []
    if judged.get("difference") is None:
        return [f"{sentence(judged['verdict'])}."]
    on = "Before the targets: on" if told.get("targets") else "On"
    before, after = _percent(judged["mean_abs_before"]), _percent(judged["mean_abs_after"])
    out = (
        f"{on} {plural(judged['terms'], 'word')} that judged the weights without shaping them, the mean change, up or "
        f"down, is {before} without weights and {after} with them"
    )
    if equal(told):
        return [f"{out}; no weights helped, and all are 1."]
    return [f"{out} ({_difference(judged)}): {_judgement(judged)}."]


def _percent(value: float) -> str:
    return f"{value:.2%}"


def _difference(judged: Mapping[str, Any]) -> str:
    low, high = (percentage_points(judged[end]) for end in ("lower", "upper"))
    return f"difference {low} to {high} percentage points, 95% interval"


def _judgement(judged: Mapping[str, Any]) -> str:
    if judged["upper"] < 0:
        return "the weights help"
    if judged["lower"] > 0:
        return "the weights harm, and none would be better for these words"
    return "the weights neither help nor harm beyond doubt"


def declared(told: Mapping[str, Any]) -> list[str]:
    """How many of the declared targets are met, and what is the matter with the others."""
    rows = [row for row in targets(told) if row.outcome != HELD]
    if not rows:
        return []
    lost = [f"{row.declared} ({_briefly(row.reason)})" for row in rows if row.outcome == NOT_MET]
    met = len(rows) - len(lost)
    if len(rows) == 1:
        out = [f"The one declared target is {'not ' if lost else ''}met."]
    else:
        out = [f"{sentence(of(met, len(rows)))} declared targets {'is' if met == 1 else 'are'} met."]
    return [*out, *([f"Not met: {some(lost)}."] if lost else []), *_beside(told)]


def _beside(told: Mapping[str, Any]) -> list[str]:
    """What meeting the declared did to words that it does not settle."""
    judged = told.get("beside_declared")
    if not judged or judged.get("difference") is None:
        return []
    before, after = _percent(judged["mean_abs_before"]), _percent(judged["mean_abs_after"])
    return [
        f"Meeting what is declared took the mean change of {plural(judged['terms'], 'other word')} from {before} to "
        f"{after} ({_difference(judged)})."
    ]
