"""The certificate that holds for a version's filter: that of the round which froze the same model and threshold.

A file in the version, artifact `certificate.<category>`. It lists the parts it covers; of newer ones it says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tasks.certifying import certification
from tasks.certifying.benign import Drawn
from tasks.certifying.certificate import Goal
from tasks.certifying.elusion import Seeds
from tasks.classifying import scoring
from tasks.classifying.category_spec import Category
from tasks.classifying.given import all_standings, seed_entries
from tasks.classifying.judging import read_pool
from tasks.classifying.subgroups import members
from tasks.files import read_table, write_json
from tasks.labels.label_log import standings
from tasks.labels.rounds import Round, read_rounds

if TYPE_CHECKING:
    from tasks.lake import Lake, Version

REVISION: Final = 1
NONE: Final = "not certified"
KIND: Final = "certificate"


def write(draft: Version, category: Category, threshold: float) -> dict[str, str]:
    """Artifact `certificate.<category>` → its key: the certificate, or why there is none."""
    kind = f"{KIND}.{category.name}"
    facts = of(draft, category, threshold)
    key = draft.lake.key(KIND, REVISION, facts)
    if not draft.lake.has_artifact(kind, key):
        with draft.lake.new_artifact(kind, key) as folder:
            write_json(folder / "certificate.json", facts)
    return {kind: key}


def read(version: Version, category: str) -> dict[str, Any]:
    """What the version's certificate says; `verdict` and `sentence` are always there.

    Where something was shown also recall_lower and elusion_upper, the `parts` it covers, and those that came later.
    """
    text = (version.artifact(f"{KIND}.{category}") / "certificate.json").read_text("utf-8")
    facts: dict[str, Any] = json.loads(text)
    return facts


def of(draft: Version, category: Category, threshold: float) -> dict[str, Any]:
    """The certificate for the draft's model of the category at a threshold, or why there is none."""
    done = round_of(draft, category, threshold)
    if isinstance(done, str):
        return _none(done)
    facts = of_round(draft.lake, category, done)
    parts = [part.path for part in draft.parts if part.part in done.parts]
    uncovered = [part.path for part in draft.parts if part.part not in done.parts]
    return {**facts, "parts": parts, "covers": len(parts), "not_covered": uncovered}


def round_of(draft: Version, category: Category, threshold: float) -> Round | str:
    """The newest round that drew labels to certify the draft's model at that threshold, or why there is none."""
    rounds = [one for one in read_rounds(draft.lake, category.name) if one.certification is not None]
    if not rounds:
        return f"no labels were drawn for it; `sluice label next {category.name} --certify N` draws some"
    model = draft.artifacts[f"model.{category.name}"]
    same = [one for one in rounds if one.model == model]
    if not same:
        return (
            f"the newest certification was of the model of round {rounds[-1].number}, which labels have changed "
            f"since; `sluice label next {category.name} --labels 0 --certify N` draws labels for this one"
        )
    newest = same[-1]
    if newest.threshold is None or np.float32(newest.threshold) != np.float32(threshold):
        return (
            f"the certification of round {newest.number} is of threshold {newest.threshold:.6g}, this version's is "
            f"{threshold:.6g}"
        )
    return newest


def flagged_draws(draft: Version, category: Category, threshold: float, uids: list[str]) -> Drawn | None:
    """What a round's draws from the flagged samples that nobody had labelled showed; None where there are none.

    uids: of the draft's rows. `unsure` counts as benign, as in the certificate.
    """
    done = round_of(draft, category, threshold)
    if isinstance(done, str) or done.certification is None:
        return None
    known, drawn = all_standings(draft.lake, category), done.certification
    row, before = {uid: i for i, uid in enumerate(uids)}, set(drawn["labelled"])
    pairs = zip(drawn["draws"], drawn["flagged"], strict=True)
    asked = [uid for uid, flagged in pairs if flagged and uid not in before]
    if not asked or certification.pending(drawn, known) or not all(uid in row for uid in asked):
        return None
    benign = [not certification.truth(known[uid], flagged=True) for uid in asked]
    return Drawn(np.array([row[uid] for uid in asked], np.int64), np.array(benign, np.bool_))


def of_round(lake: Lake, category: Category, done: Round) -> dict[str, Any]:
    """What a round's certification has shown of the model that it froze."""
    known, drawn = all_standings(lake, category), done.certification
    assert drawn is not None and done.threshold is not None
    waiting = certification.pending(drawn, known)
    if waiting:
        return _none(
            f"{len(waiting):,} of the {len(drawn['asked']):,} labels drawn for it in round {done.number} are not given "
            "yet, and a part of them certifies nothing"
        )
    state = frozen(lake, category, done)
    goal = Goal(drawn["target"], drawn["confidence"], drawn["look"])
    found = certification.certificates(state, drawn, known, goal, seeds(lake, category.name))
    facts = {name: certification.as_facts(one) for name, one in found.items()}
    whole = facts.pop(certification.EVERYONE)
    return {**whole, "subgroups": facts, "labelling_round": done.number, "threshold": done.threshold}


def frozen(lake: Lake, category: Category, done: Round) -> certification.Frozen:
    """The samples as the round froze them: its version, its model's scores, its threshold."""
    version = lake.version(done.version)
    pool = read_pool(version)
    group = f"score.{category.name}"
    key = scoring.score_key(version, done.model)
    tables = [read_table(lake.column_path(group, key, part.part), ["score"]) for part in version.parts]
    scores = np.concatenate([np.asarray(table["score"], dtype=np.float32) for table in tables])
    uids = pool.table["uid"].to_pylist()
    hidden = set(done.certification["hidden"] if done.certification else ())  # never shown, so never drawn
    shown = pool.usable & np.array([uid not in hidden for uid in uids], np.bool_)
    reached = scores >= np.float32(done.threshold or 0.0)
    return certification.Frozen(uids, shown & reached, shown & ~reached, subgroup_members(version, category))


def subgroup_members(version: Version, category: Category) -> Mapping[str, np.ndarray]:
    if not category.subgroups:
        return {}
    return members(version.table("samples", ["caption"])["caption"], category.subgroups)


def seeds(lake: Lake, category: str) -> Seeds | None:
    """Known positives shown again, and how many of them were called negative; None where none was shown."""
    said = standings(seed_entries(lake, category)).values()
    shown = sum(len(one.positive) + len(one.negative) + len(one.unsure) for one in said)
    return Seeds(shown, sum(len(one.negative) for one in said)) if shown else None


def _none(why: str) -> dict[str, Any]:
    return {"verdict": NONE, "sentence": f"Not certified: {why}.", "recall_lower": None, "elusion_upper": None}
