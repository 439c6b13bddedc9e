"""Labelling in words: a round, its status, a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from tasks.certifying.certificate import percent_down, percent_up
from tasks.reporting.wording import count, figures, plural, share


def round_text(told: Mapping[str, Any]) -> Text:
    """What a new round asks, and what it reports."""
    report, name = told["report"], told["category"]
    arms = ", ".join(f"{number:,} {arm.replace('_', ' ')}" for arm, number in report["arms"].items())
    lines = [f"Round {told['number']} of {name}: {plural(told['items'], 'sample')} to label ({arms})."]
    if report["model"]:
        lines.append(model_line(report["model"]))
    lines += [*report["advice"], "", "Label in the browser: sluice dashboard"]
    lines += [f"Or in files: sluice label export {name} --format label-studio --out {name}.json"]
    lines += [f"Then again: sluice label next {name}"]
    return Text("\n".join(lines))


def model_line(model: Mapping[str, Any]) -> str:
    """What the model of the labels so far would remove."""
    recall = model["recall_estimate"]
    found = f"an estimated {share(recall['estimate'])} of positives like those labelled (not a certificate)"
    return (
        f"The model of {count(model['positives'])} positives and {count(model['negatives'])} negatives would remove "
        f"{count(model['removed'])} samples ({share(model['share'])}) at threshold {figures(model['threshold'])}, "
        + (found if recall["estimate"] is not None else "its recall unknown")
    )


def status_text(facts: Mapping[str, Any]) -> Any:
    """Rounds as a table, and what stands in sentences."""
    from rich.console import Group

    table = Table("round", "arm", "asked", "answered", "positive", box=None, pad_edge=False)
    for one in facts["rounds"]:
        for arm, (asked, answered, positives) in one["by_arm"].items():
            table.add_row(str(one["number"]), arm.replace("_", " "), count(asked), count(answered), count(positives))
    labels = facts["labels"]
    lines = [
        f"{count(labels['positive'])} positive, {count(labels['negative'])} negative, {count(labels['unsure'])} unsure."
    ]
    if facts["disagreements"]:
        named = ", ".join(facts["disagreeing_uids"])
        lines.append(f"{plural(facts['disagreements'], 'sample')} that annotators disagree about: {named}")
    for number, why in facts["damaged_lines"]:
        lines.append(f"line {number} of the log is damaged and not used: {why}")
    if facts["model"]:
        lines.append(model_line(facts["model"]))
    if facts["certificate"]:
        lines.append(facts["certificate"]["sentence"])
    elif facts["model"]:
        lines.append(f"Not certified; `sluice label plan {facts['category']}` says what labels could certify.")
    else:
        lines.append(f"There is no classifier yet; `sluice label next {facts['category']}` is where it begins.")
    return Group(table, Text(), Text("\n".join([*lines, *facts["advice"]])))


def plan_text(facts: Mapping[str, Any]) -> Any:
    """A plan a row; bounds rounded to the safe side."""
    from rich.console import Group

    pool = facts["pool"]
    table = Table("labels", "method", "recall at least, at best", "elusion at most, at best", box=None, pad_edge=False)
    for plan in facts["plans"]:
        row = count(plan["labels"]), plan["method"], percent_down(plan["recall"]), percent_up(plan["elusion"])
        table.add_row(*row)
    head = (
        f"{facts['category']}: {count(pool['flagged'])} samples flagged at threshold {figures(facts['threshold'])}, "
        f"{count(pool['unflagged'])} not; confidence {share(1 - facts['level'])} (look {facts['look']})."
    )
    needed = facts["needed"]
    target = share(facts["recall"])
    last = (
        f"For a recall of {target} at least {count(needed['labels'])} labels ({needed['method']})."
        if needed
        else f"No number of labels certifies a recall of {target} with this model and threshold."
    )
    note = "At best: no positive is drawn from what is kept. A filter that misses some certifies less."
    return Group(Text(head), Text(), table, Text(), Text(last), Text(note, style="dim"))
