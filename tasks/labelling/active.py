"""One round of active learning: score the pool with what the labels teach, pick what to label next, write the queue.

The article grew its classifiers in such rounds, and stopped when a person was content. Here a round also reports what
the labels since the last one bought, and a part of it can be drawn at random to certify the model as it is now.
METHODS.md, section 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks import embed
from tasks.certifying import certificate_files, certification, label_plan
from tasks.certifying.certificate import round_level
from tasks.classifying import removal, scoring
from tasks.classifying.blocklist import blocked_rows
from tasks.classifying.category_spec import Category
from tasks.classifying.given import CERTIFICATION, SEED, all_standings, given
from tasks.classifying.judging import Pool, judge, match, read_pool
from tasks.encoding.encoder import spec_of
from tasks.encoding.prompts import embed_prompts, similarity
from tasks.errors import UsageError
from tasks.labelling import arms, regions, round_report
from tasks.labelling.disputes import disputed
from tasks.labels.label_log import Standing
from tasks.labels.rounds import Item, Round, read_rounds, write_round
from tasks.lake import Lake, MapParts, Version
from tasks.lock import now

if TYPE_CHECKING:
    from tasks.labelling.regions import Regions

DISAGREEMENT: Final = "disagreement"
OURS: Final = "ours"
STRATEGIES: Final = {OURS: arms.WARM, "article": arms.ARTICLE, "random": {"random": 1.0}}  # for comparison


@dataclass(frozen=True)
class Ask:
    """What a round is asked for."""

    labels: int = 200  # samples to label that the arms pick
    certify: int = 0  # labels besides, drawn at random to certify the model as it is now
    seeds: int = 0  # known positives shown again, blind, to measure what annotators overlook
    apart: float = 0.98  # cosine from which two samples of a batch are near-duplicates
    folds: int = 5  # of the model's cross-validation
    arms: str = OURS  # or article, or random

    def __post_init__(self) -> None:
        if min(self.labels, self.certify, self.seeds) < 0 or self.labels + self.certify < 1:
            raise UsageError(
                f"a round of at least one label was expected, --labels {self.labels}, --certify {self.certify} and "
                f"--seeds {self.seeds} were found"
            )
        if self.arms not in STRATEGIES:
            raise UsageError(f"--arms: {', '.join(STRATEGIES)} were expected, {self.arms!r} was found")


class State(NamedTuple):
    """What a round stands on."""

    version: Version  # with the model and its scores, where there is a model
    category: Category
    rounds: Sequence[Round]  # so far
    pool: Pool
    standing: Mapping[str, Standing]  # all that people said
    labelled: scoring.Labelled  # all usable samples with a label
    judged: removal.Judged | None  # None where the labels are not of both classes yet


def newest_version(lake: Lake) -> Version:
    """The newest version that has embeddings. UsageError where there is none."""
    for number in reversed(lake.numbers()):
        version = lake.version(number)
        if "embedding" in version.columns and not version.missing():
            return version
    raise UsageError(f"pool {lake.pool!r} has no version with embeddings yet; run `sluice curate` first")


def prepare(version: Version, category: Category, folds: int, map_parts: MapParts) -> State:
    """Train and score with what the labels teach so far, where they are of both classes."""
    pool, rounds = read_pool(version), read_rounds(version.lake, category.name)
    standing = all_standings(version.lake, category)
    if not standing:
        return State(version, category, rounds, pool, standing, match(pool, {}), None)
    labels = given(version.lake, category, next_round=True)
    labelled, training = match(pool, labels.labels), match(pool, labels.training)
    if training.label.all() or not training.label.any():
        return State(version, category, rounds, pool, standing, labelled, None)
    key = scoring.model(version, category.name, training, folds, category.features)
    columns = scoring.score_missing(version, {category.name: key}, map_parts)
    draft = version.derive("label", columns=columns, artifacts={f"model.{category.name}": key})
    return State(draft, category, rounds, pool, standing, labelled, judge(draft, category, labelled, training))


def open_round(version: Version, category: Category, ask: Ask, embedding: embed.Config, map_parts: MapParts) -> Round:
    """Write the category's next round and return it. LakeError, LabelsError or UsageError where there can be none."""
    state = prepare(version, category, ask.folds, map_parts)
    number = state.rounds[-1].number + 1 if state.rounds else 1
    rng = np.random.default_rng([number, *category.name.encode()])
    hidden = blocked_rows(version)
    look = sum(one.certification is not None for one in state.rounds) + 1
    drawn = _certification(state, ask, hidden, look, int(rng.integers(2**31)))
    seeds = _seeds(state, ask.seeds, hidden, rng)
    besides = {**dict.fromkeys(seeds, SEED), **dict.fromkeys(drawn["asked"] if drawn else (), CERTIFICATION)}
    items = _items(state, {**_picked(state, ask, embedding, hidden, besides), **besides})
    if not items:
        raise UsageError(f"category {category.name!r}: there is nothing left to label in the pool")
    model = state.version.artifacts.get(f"model.{category.name}", "")
    done = Round(
        category.name,
        number,
        now(),
        version.number or 0,
        model,
        state.judged.threshold if state.judged is not None else None,
        scoring.digest_of({uid: one.label for uid, one in state.standing.items() if one.label is not None}),
        tuple(items[i] for i in rng.permutation(len(items))),
        drawn,
        tuple(part.part for part in version.parts),
        round_report.of(state, ask, embedding, items),
    )
    write_round(version.lake, done)
    return done


def _certification(state: State, ask: Ask, hidden: NDArray[np.bool_], look: int, seed: int) -> dict[str, Any] | None:
    """The draw for the model as it is now, recorded before a label is given."""
    if not ask.certify:
        return None
    if state.judged is None:
        raise UsageError(
            f"category {state.category.name!r}: there is no model to certify yet; label some of both classes first"
        )
    shown = state.pool.usable & ~hidden
    uids = state.pool.table["uid"].to_pylist()
    groups = certificate_files.subgroup_members(state.version, state.category)
    frozen = certification.Frozen(uids, shown & state.judged.reached, shown & ~state.judged.reached, groups)
    level = round_level(1 - state.category.confidence, look)
    plan = label_plan.best(expected(state), ask.certify, level)
    drawn = certification.draw(frozen, state.standing, ask.certify, plan.method, seed)
    goal = {"look": look, "target": state.category.recall, "confidence": state.category.confidence}
    return {**drawn, **goal, "hidden": [uids[row] for row in np.flatnonzero(hidden & state.pool.usable)]}


def expected(state: State) -> label_plan.Pool:
    """The pool under the model's threshold, with the positives that its calibrated scores expect among the flagged."""
    judged = state.judged
    assert judged is not None
    flagged = state.pool.usable & judged.reached
    unflagged = state.pool.usable & ~judged.reached
    known = judged.positive | judged.negative
    positives = int((flagged & judged.positive).sum()) + float(judged.scores[flagged & ~known].sum())
    return label_plan.Pool(
        int(flagged.sum()),
        int(unflagged.sum()),
        positives,
        int((flagged & known).sum()),
        int((unflagged & known).sum()),
        int((unflagged & judged.positive).sum()),
    )


def _picked(
    state: State, ask: Ask, embedding: embed.Config, hidden: NDArray[np.bool_], besides: Mapping[str, str]
) -> dict[str, str]:
    """uid → arm: what annotators disagree about first, then what the arms pick."""
    uids = state.pool.table["uid"].to_pylist()
    vectors = scoring.gather(state.version.embeddings(), state.labelled.row) if len(state.labelled.row) else None
    asked = {item.uid for one in state.rounds for item in one.items if item.arm == DISAGREEMENT}
    argued = disputed(state.standing, state.labelled, vectors, ask.apart, asked) if vectors is not None else []
    usable = {uids[row] for row in np.flatnonzero(state.pool.usable & ~hidden).tolist()}
    first = [uid for uid in argued if uid in usable and uid not in besides][: ask.labels]
    if len(first) == ask.labels:
        return dict.fromkeys(first, DISAGREEMENT)
    taken = np.array([uid in state.standing or uid in besides for uid in uids], np.bool_)
    view = arms.View(
        state.version.embeddings(),
        regions_of(state.version),
        state.pool.usable & ~hidden & ~taken,
        state.labelled.row,
        state.labelled.label,
        state.judged.scores if state.judged is not None else None,
        state.judged.threshold if state.judged is not None else 1.0,
        _prompt(state, embedding),
    )
    shares = arms.shares_of(view) if ask.arms == OURS else STRATEGIES[ask.arms]
    picks = arms.pick(view, shares, ask.labels - len(first), ask.apart, seed=len(state.standing))
    return {**dict.fromkeys(first, DISAGREEMENT), **{uids[one.row]: one.arm for one in picks}}


def regions_key(version: Version) -> str:
    return version.lake.key("regions", regions.REVISION, version.columns["embedding"], [p.part for p in version.parts])


def regions_of(version: Version) -> Regions:
    """The regions of the version's embeddings, made where they are not there: minutes for a million samples."""
    key = regions_key(version)
    if not version.lake.has_artifact("regions", key):
        with version.lake.new_artifact("regions", key) as folder:
            regions.build(version.embeddings(), folder)
    return regions.load(version.lake.artifact_path("regions", key))


def _prompt(state: State, embedding: embed.Config) -> NDArray[np.float32] | None:
    """(n,) cosine to the specification's prompts, while there is no model; None where they cannot be embedded."""
    if state.judged is not None or not state.category.prompts or embedding.embeddings is not None:
        return None
    spec = spec_of(embedding.model, embedding.pretrained, embedding.threads, state.version.lake.digest)
    return similarity(state.version.embeddings(), embed_prompts(spec, state.category.prompts))


def _seeds(state: State, most: int, hidden: NDArray[np.bool_], rng: np.random.Generator) -> list[str]:
    """Known positives, drawn at random from those that nobody disputes."""
    rows = zip(state.labelled.uid, state.labelled.row.tolist(), state.labelled.label.tolist(), strict=True)
    known = [uid for uid, row, label in rows if label and not hidden[row] and not state.standing[uid].disagree]
    return [known[i] for i in rng.permutation(len(known))[:most]]


def _items(state: State, asked: Mapping[str, str]) -> list[Item]:
    """uid → arm as items with the model's score."""
    row = {uid: i for i, uid in enumerate(state.pool.table["uid"].to_pylist())} if asked else {}
    scores = state.judged.scores if state.judged is not None else None
    return [Item(uid, arm, None if scores is None else round(float(scores[row[uid]]), 6)) for uid, arm in asked.items()]
