"""Who is described as what, and what is left of what was filtered, in plain words (reporting/bias_words.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks.reporting.bias_findings import Bias
from tasks.reporting.bias_matrix import apart
from tasks.reporting.bias_pairs import Odds, Pair, Row
from tasks.reporting.wording import figures, listing, odds, of, percentage_points, plural, share


def associations(told: Bias) -> list[str]:
    """What the pool's associations are, and what became of them; empty where none was tested."""
    if not told.groups or not told.pairs_tested:
        return []
    if not told.pairs:
        none = "In the pool, no group stands beside any attribute more or less often than chance explains."
        return [none, *_corrected(told)]
    number = len(told.pairs)
    stand = "stands" if number == 1 else "stand"
    return [
        f"In the pool, {plural(number, 'pair')} of a group and an attribute {stand} together more or less often than "
        f"chance explains (false-discovery rate {share(told.fdr)}).",
        *_strongest(told),
        *_moved(told),
        *_corrected(told),
    ]


def _strongest(told: Bias) -> list[str]:
    pairs = sorted(told.strongest, key=lambda pair: -pair.stages["pool"].strength)[:1]
    return [
        f"The strongest is {_names(pair)}: inside the group its odds are {odds(found.value)} those outside "
        f"({share(told.pairs_level)} interval {odds(found.lower)} to {odds(found.upper)})."
        for pair in pairs
        if (found := pair.stages["pool"]).strength
    ]


def _names(pair: Pair) -> str:
    verdict = "" if pair.kind == "keywords" else f", a {pair.kind}"
    return f"“{pair.group}” with “{pair.attribute}”{verdict}"


def _odds(found: Odds) -> str:
    return f"{odds(found.value)} ({odds(found.lower)} to {odds(found.upper)})"


def _moved(told: Bias) -> list[str]:
    """How many of the pool's associations are nearer to even odds at the last stage, and how many further from them."""
    judged = [pair for pair in told.pairs if not pair.own_filter]
    ends = [(pair.stages["pool"], pair.stages[told.after], pair) for pair in judged]
    known = [end for end in ends if end[1].lower is not None]
    where = "By weight" if told.after == "weighted" else "Among the kept"
    own = _own(len(told.pairs) - len(judged))
    if not known:
        return [*([f"{where}, too little of them is left to tell whether they grew or shrank."] if ends else []), *own]
    shrank = [end for end in known if _far(end[1]) < _far(end[0])]
    grew = [end for end in known if _far(end[1]) > _far(end[0])]
    return [
        f"{where}, {_direction(len(shrank), len(grew), len(ends))}{_lost(len(ends) - len(known))}.",
        *own,
        *_apart("shrank", shrank),
        *_apart("grew", grew),
    ]


def _direction(shrank: int, grew: int, every: int) -> str:
    if every == 1:
        return f"it is {'nearer to' if shrank else 'further from' if grew else 'as far from'} even odds"
    are = "is" if shrank == 1 else "are"
    return f"{of(shrank, every)} {are} nearer to even odds and {f'{grew:,}' if grew else 'none'} further from them"


def _lost(number: int) -> str:
    return f", and of {number:,} too little is left to tell" if number else ""


def _own(number: int) -> list[str]:
    """Pairs whose attribute is what the filter itself decided by."""
    if not number:
        return []
    are = "1 more is" if number == 1 else f"{number:,} more are"
    return [f"{are} with the verdict of the filter's own classifier, which cannot judge what it let through."]


def _apart(verb: str, ends: Sequence[tuple[Odds, Odds, Pair]]) -> list[str]:
    """Those whose intervals at both ends are apart, and the one of them that moved most."""
    sure = [end for end in ends if apart(end[0], end[1])]
    if not sure:
        return []
    before, after, pair = max(sure, key=lambda end: abs(_far(end[1]) - _far(end[0])))
    most = "most of all " if len(sure) > 1 else ""
    return [
        f"{plural(len(sure), 'association')} {verb} so far that the 95% intervals before and after have nothing in "
        f"common: {most}{_names(pair)}, from {_odds(before)} to {_odds(after)}."
    ]


def _far(found: Odds) -> float:
    return abs(found.value) if found.value is not None else 0.0


def _corrected(told: Bias) -> list[str]:
    """What drawn labels say of the pair that differs most in the pool."""
    sure = [one for one in told.corrected if one.before["difference_lower"] is not None]
    if not sure:
        return []
    one = sure[0]
    low, high = (percentage_points(one.before[f"difference_{end}"]) for end in ("lower", "upper"))
    return [
        f"Corrected by labels drawn at random, “{one.attribute}” is true of {share(one.before['share_inside'])} of the "
        f"pool inside “{one.group}” and of {share(one.before['share_outside'])} outside it (difference {low} to {high} "
        "percentage points, 95% interval)."
    ]


def residual(told: Bias) -> list[str]:
    """The mean score of each scored attribute before curation and after it, and whether weights raise it."""
    stages: dict[str, dict[str, Row]] = {}
    for row in told.residual:
        stages.setdefault(row["attribute"], {})[row["stage"]] = row
    return [sentence for name, found in stages.items() for sentence in _harm(name, found)]


def _harm(name: str, found: Mapping[str, Row]) -> list[str]:
    places = (("pool", "in the pool"), ("kept", "among the kept"), ("weighted", "by weight"))
    said = [f"{_score(found[stage], stage == 'pool')} {where}" for stage, where in places if stage in found]
    out = [f"The mean score of “{name}” is {listing(said)}{_raised(found)}."]
    if found["pool"]["own_filter"]:
        out.append("That is the filter's own classifier, which cannot judge what it let through.")
    return out


def _score(row: Row, first: bool) -> str:
    """The mean score with its interval, whose level is said once."""
    lower, upper = row["residual_harm_lower"], row["residual_harm_upper"]
    level = "95% interval " if first else ""
    interval = f" ({level}{figures(lower)} to {figures(upper)})" if lower is not None and upper is not None else ""
    return figures(row["residual_harm"]) + interval


def _raised(found: Mapping[str, Row]) -> str:
    kept, weighted = (found[stage]["residual_harm"] if stage in found else None for stage in ("kept", "weighted"))
    if not kept or weighted is None or weighted <= kept * 1.005:
        return ""
    return f": weights raise it by {share(weighted / kept - 1)}, since they favour images like those that were removed"
