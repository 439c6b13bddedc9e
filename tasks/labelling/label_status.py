"""How far labelling is, and what a budget could certify: for a person who decides what to do next."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from tasks.certifying import certificate_files, label_plan
from tasks.certifying.certificate import round_level
from tasks.classifying.category_spec import Category
from tasks.classifying.given import all_standings, log_path
from tasks.errors import UsageError
from tasks.labelling import active, advice
from tasks.labels.label_log import read_log
from tasks.labels.rounds import read_rounds
from tasks.lake import Lake

BUDGETS: Final = (300, 1_000, 3_000, 10_000)
NAMED: Final = 5


def status_of(lake: Lake, category: Category) -> dict[str, Any]:
    """Rounds with their answers, labels, disagreements, damaged lines, the newest certificate and advice."""
    standing, rounds = all_standings(lake, category), read_rounds(lake, category.name)
    history = [advice.bought(one, standing) for one in rounds]
    disagreeing = [uid for uid, one in standing.items() if one.disagree]
    certified = [one for one in rounds if one.certification is not None]
    facts = [one.report["model"] for one in rounds if one.report.get("model")]
    newest = rounds[-1].report if rounds else {}
    return {
        "category": category.name,
        "rounds": [one._asdict() for one in history],
        "labels": {
            "positive": sum(one.label is True for one in standing.values()),
            "negative": sum(one.label is False for one in standing.values()),
            "unsure": sum(one.label is None for one in standing.values()),
        },
        "disagreements": len(disagreeing),
        "disagreeing_uids": disagreeing[:NAMED],
        "damaged_lines": [list(line) for line in read_log(log_path(lake, category.name), category.name).damaged],
        "model": newest.get("model"),
        "certificate": certificate_files.of_round(lake, category, certified[-1]) if certified else None,
        "advice": [
            text
            for text in (advice.another(history) if rounds else None,
                         advice.stop(history, facts))
            if text
        ],
    }  # fmt: skip


def plan_of(lake: Lake, category: Category, folds: int, budgets: list[int]) -> dict[str, Any]:
    """What each budget could certify at best with the model that the labels make now. UsageError without a model."""
    state = active.prepare(active.newest_version(lake), category, folds, lambda work, items: [work(i) for i in items])
    if state.judged is None:
        raise UsageError(
            f"category {category.name!r}: a plan needs a model, and the labels are not of both classes yet; label "
            f"some first: `sluice label next {category.name}`"
        )
    look = sum(one.certification is not None for one in read_rounds(lake, category.name)) + 1
    level = round_level(1 - category.confidence, look)
    pool = active.expected(state)
    needed = label_plan.needed(pool, category.recall, level)
    return {
        "category": category.name,
        "recall": category.recall,
        "level": level,
        "look": look,
        "pool": pool._asdict(),
        "threshold": state.judged.threshold,
        "plans": [asdict(label_plan.best(pool, budget, level)) for budget in budgets or BUDGETS],
        "needed": asdict(needed) if needed is not None else None,
    }
