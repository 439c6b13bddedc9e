"""What each method of weights does to a labelled pool: groups that it restores, and terms that nobody declared.

Two settings: every verdict from the labels, and a filter learned from a part of them. A restored group is met by
construction and says nothing of the weights; skin tones, intersections and occupations do.
Run: python -m tests.benchmarks.weight_tables POOL LABELS CATEGORY, for example
../shared/data/emoji-noto ../shared/data/emoji-noto-labels.csv romance
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc
from scipy.sparse import csc_array

from tasks import filter, reweight
from tasks.classifying.category_spec import Category
from tasks.groups import membership
from tasks.groups.term_groups import TermGroups, parse_groups
from tasks.lake import Version
from tasks.weights.balance import effective_sample_size
from tasks.weights.balancing import changes_after
from tasks.weights.features import Pool, Terms, pool_of
from tasks.weights.restore import standing
from tasks.words import tokens
from tests.benchmarks.real_pools import embedded, labels_of, serial

WIDE = 17  # of a column
RESTORE = ("woman", "man", "person", "heart")
METHODS = ("none", "probe", "propensity", "balance")
TONES = {
    "light": {"terms": ["light skin tone"], "without": ["medium-light"]},
    "medium-light": {"terms": ["medium-light skin tone"]},
    "medium": {"terms": ["medium skin tone"]},
    "medium-dark": {"terms": ["medium-dark skin tone"]},
    "dark": {"terms": ["dark skin tone"], "without": ["medium-dark"]},
}
OCCUPATIONS = (
    "artist", "astronaut", "construction worker", "cook", "detective", "factory worker", "farmer", "firefighter",
    "guard", "health worker", "judge", "mechanic", "office worker", "pilot", "police officer", "scientist", "singer",
    "student", "teacher", "technologist",
)  # fmt: skip
LABELLED, POSITIVES = 200, 0.2  # random samples that a person looked at, and the share of all positives besides
FEWEST = 5  # captions of the pool with a term, for it to be shown
HELPS = 0.002  # of mean |Δ|: less is no help


class Weights(NamedTuple):
    """What one method made of a setting."""

    weights: np.ndarray  # (m,) of the kept samples
    summary: dict


def groups() -> tuple[TermGroups, dict[str, list[str]]]:
    """Term groups that nothing restores, and what they are called together."""
    tables: dict[str, dict] = {name: {"terms": [name]} for name in ("woman", "man")} | TONES
    both = {f"{who} {tone}": {"all": [who, tone]} for who in ("woman", "man") for tone in TONES}
    jobs = {job: {"terms": [job]} for job in OCCUPATIONS}
    pairs = {f"{who} {job}": {"all": [who, job]} for who in ("woman", "man") for job in OCCUPATIONS}
    kinds = {"skin tones": list(TONES), "gender x skin tone": list(both), "occupations": list(jobs)}
    kinds["gender x occupation"] = list(pairs)
    return parse_groups({"groups": tables | both | jobs | pairs}, "groups"), kinds


def part_of(labels: Path, category: str, folder: Path) -> Path:
    """The labels of a random sample and of some positives, as a person who began to look would have them."""
    draw, truth = random.Random(0), labels_of(labels, category)
    positives = sorted(uid for uid, positive in truth.items() if positive)
    chosen = set(draw.sample(sorted(truth), min(LABELLED, len(truth))))
    chosen |= set(draw.sample(positives, round(POSITIVES * len(positives))))
    path = folder / "part.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("uid", "category", "label"))
        writer.writerows((uid, category, int(truth[uid])) for uid in sorted(chosen))
    return path


def weighed(version: Version, method: str) -> Weights:
    made = reweight.run(version, reweight.Config(method=method, restore=RESTORE), serial)
    decision = made.table("decision", ["weight"])["weight"]
    summary = json.loads((made.artifact("weights") / "summary.json").read_text("utf-8"))
    return Weights(pc.drop_null(decision).to_numpy(), summary)


def masks(version: Version, pool: Pool, names: TermGroups) -> Terms:
    found = membership.members(version, names)
    samples, numbers = (found.table[column].to_numpy() for column in ("sample", "group"))
    some = pool.usable[samples]
    has = csc_array((np.ones(some.sum()), (samples[some], numbers[some])), shape=(len(pool.kept), len(found.names)))
    return Terms(found.names, has)


def changes(pool: Pool, terms: Terms, weights: np.ndarray) -> np.ndarray:
    return changes_after(pool, terms, standing(pool, terms), weights)


def told_verdicts(version: Version, labels: dict[str, bool], truth: dict[str, bool]) -> str:
    """How many were labelled and kept, and where verdicts are not what all labels would say."""
    verdicts = version.table("decision", ["verdict"])["verdict"].to_pylist()
    uids = version.table("samples", ["uid"])["uid"].to_pylist()
    wrong = {False: 0, True: 0}
    for uid, verdict in zip(uids, verdicts, strict=True):
        if uid in truth and verdict in ("kept", "filtered"):
            wrong[truth[uid]] += (verdict == "filtered") != truth[uid]
    kept, usable = verdicts.count("kept"), len(verdicts) - verdicts.count("quarantined")
    errors = f"{wrong[False]} removed and {wrong[True]} kept against all labels"
    return f"{len(labels):,} labelled, {sum(labels.values()):,} of them positive; {kept:,} of {usable:,} kept; {errors}"


def setting_lines(version: Version) -> Iterator[str]:
    """One setting's tables: what was declared, and what became of terms that nobody declared."""
    tokens.write_tokens(version, serial)
    verdicts = version.table("decision", ["verdict"])["verdict"]
    pool, (known, kinds) = pool_of(verdicts, None, None), groups()
    made = {method: weighed(version, method) for method in METHODS}
    yield from declared_lines(made)
    terms = masks(version, pool, known)
    after = {method: changes(pool, terms, one.weights) for method, one in made.items()}
    shown = standing(pool, terms).n_pool >= FEWEST
    lost = standing(pool, terms).n_kept == 0
    yield row("not declared: mean |change|, and the worst", METHODS)
    places = {kind: [terms.names.index(one) for one in names] for kind, names in kinds.items()}
    for kind, at in places.items():
        some = np.array([i for i in at if shown[i]])
        if len(some):
            yield row(f"{kind} ({len(some)})", [told(after[method][some]) for method in METHODS])
    every = np.array([i for at in places.values() for i in at if shown[i]])
    yield row(f"all of these ({len(every)})", [told(after[method][every]) for method in METHODS])
    shares = [effective_sample_size(one.weights) / len(one.weights) for one in made.values()]
    yield row("effective sample size", [f"{share:.1%}" for share in shares])
    gone = [terms.names[i] for i in every if lost[i]]
    if gone:
        yield f"  nothing is kept of, and no weights bring back: {', '.join(gone)}"
    yield from verdict_lines(made, {method: float(np.abs(after[method][every]).mean()) for method in METHODS})


def declared_lines(made: dict[str, Weights]) -> Iterator[str]:
    """Terms to restore: before, and after each method; by construction where met, else the reason."""
    yield row("declared: before > after", METHODS)
    for term in RESTORE:
        cells, reasons = [], {}
        for method, one in made.items():
            rows = {found["term"]: found for found in [*one.summary["restored"], *one.summary["not_restored"]]}
            found = rows.get(term)
            cells.append(
                "not asked" if found is None else f"{found['change_before']:+.1%} > {found['change_after']:+.1%}"
            )
            if found is not None and "reason" in found:
                reasons.setdefault(found["reason"], []).append(method)
        yield row(f"{term}", cells)
        for reason, methods in reasons.items():
            yield f"    {term} is not restored ({', '.join(methods)}): {reason}"
    yield "  what is restored is met by construction, and says nothing of the weights; `none` restores nothing"


def verdict_lines(made: dict[str, Weights], means: dict[str, float]) -> Iterator[str]:
    """In words, whether a method helps what nobody declared."""
    helping = [method for method in METHODS[1:] if means[method] < means["none"] - HELPS]
    if helping:
        yield f"  closer to the pool than without weights by more than {HELPS:.1%}: {', '.join(helping)}"
    else:
        yield f"  no method brings these terms closer to the pool than no weights do, by more than {HELPS:.1%}"
    for method, one in made.items():
        held_out = one.summary["held_out"]
        if held_out is not None:
            yield f"  {method}, on words that its weights were not made from: {held_out['verdict']}"
        beside = one.summary.get("beside_declared")
        if beside is not None:
            yield f"  {method}: {beside['verdict']}"
        for note in one.summary["notes"] if method != "none" else ():
            yield f"  {method}: {note}"


def row(name: str, cells: Sequence[str]) -> str:
    return f"  {name:<44}" + "".join(f"{cell:>{WIDE}}" for cell in cells)


def told(values: np.ndarray) -> str:
    return f"{np.abs(values).mean():.1%}, {values[np.abs(values).argmax()]:+.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("category")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        version, _ = embedded(options.pool, Path(home))
        settings = {
            "every verdict from the labels": options.labels,
            "a learned filter": part_of(options.labels, options.category, Path(home)),
        }
        truth = labels_of(options.labels, options.category)
        for name, labels in settings.items():
            config = filter.Config(category=(Category(options.category, str(labels)),))
            filtered = filter.run(version, config, serial)
            print(f"{name}: {told_verdicts(filtered, labels_of(labels, options.category), truth)}")
            for line in setting_lines(filtered):
                print(line, flush=True)


if __name__ == "__main__":
    main()
