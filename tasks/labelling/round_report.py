"""What a round of labelling tells people, and what the next one needs to know of the category."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tasks import embed
from tasks.certifying import certificate_files
from tasks.classifying import removal, scoring
from tasks.classifying.category_spec import Category
from tasks.classifying.given import CERTIFICATION, SEED
from tasks.labelling import advice
from tasks.labels.rounds import Item, Round

if TYPE_CHECKING:
    from tasks.labelling.active import Ask, State


def of(state: State, ask: Ask, embedding: embed.Config, items: Sequence[Item]) -> dict[str, Any]:
    """What the round says to people, and what the next one needs to know of the category."""
    history = [advice.bought(one, state.standing) for one in state.rounds]
    models = [one.report["model"] for one in state.rounds if one.report.get("model")]
    model = None
    if state.judged is not None:
        model = {
            **scoring.read_facts(state.version.artifact(f"model.{state.category.name}")),
            **removal.facts(state.judged, state.pool.usable),
        }
        models.append(model)
    picked = [item for item in items if item.arm not in (CERTIFICATION, SEED)]
    scores = [item.score for item in picked if item.score is not None]
    certified = [one for one in state.rounds if one.certification is not None]
    facts = certificate_files.of_round(state.version.lake, state.category, certified[-1]) if certified else None
    texts = [advice.another(history, len(picked), sum(scores) if scores else None) if picked else None]
    return {
        "specification": state.category.specification,
        "category": asdict(state.category),
        "embed": asdict(embedding),
        "folds": ask.folds,
        "arms": dict(sorted(Counter(item.arm for item in items).items())),
        "model": model,
        "certificate": facts,  # of the newest certification before this round
        "advice": [text for text in (*texts, advice.stop(history, models)) if text],
    }


def category_of(values: Mapping[str, Any]) -> Category:
    """The category that a round recorded."""
    subgroups = {name: tuple(terms) for name, terms in values["subgroups"].items()}
    return Category(**{**values, "prompts": tuple(values["prompts"]), "subgroups": subgroups})


def markdown(done: Round) -> str:
    """A round for the Prefect UI."""
    report, model = done.report, done.report["model"]
    lines = [f"**{done.category}**, round {done.number}: {len(done.items):,} samples to label", ""]
    lines += ["| arm | samples |", "| --- | ---: |", *(f"| {arm} | {n:,} |" for arm, n in report["arms"].items()), ""]
    if model:
        lines.append(
            f"{model['positives']:,} positives, {model['negatives']:,} negatives; the filter would remove "
            f"{model['removed']:,} samples at threshold {model['threshold']:.4g}."
        )
    return "\n\n".join([*["\n".join(lines)], *report["advice"]])
