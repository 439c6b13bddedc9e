"""How far labelling is: who said what of each category, what rounds asked and got, what annotators disagree about."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import streamlit as st

from infra.dashboard.pages import figures
from tasks.certifying.certificate import percent_down
from tasks.classifying.given import CERTIFICATION, SEED, log_path
from tasks.files import read_table
from tasks.labelling import advice
from tasks.labelling.desk import newest_rounds
from tasks.labels.label_log import Entry, Log, Standing, read_log, standings
from tasks.labels.rounds import Round, read_rounds
from tasks.lake import Lake, Version

SHOWN = 200  # disagreements in the table


class Annotator(NamedTuple):
    """What one annotator said and did not take back."""

    name: str
    positive: int
    negative: int
    unsure: int
    last: str  # day and time, UTC


class Status(NamedTuple):
    """A category's labels in the lake's log. What stands in a labels file of the configuration is not among them."""

    name: str
    positive: int
    negative: int
    unsure: int
    annotators: Sequence[Annotator]
    disagreements: Sequence[tuple[str, Standing]]  # uid, who said what
    seeds: int  # answers on known positives that were shown again
    damaged: Sequence[tuple[int, str]]  # line, what is wrong with it
    rounds: Sequence[Round]
    history: Sequence[advice.Bought]


def categories(lake: Lake) -> list[str]:
    """Categories that have a log of labels or a round, alphabetical."""
    logs = {path.stem for path in (lake.home / "labels").glob("*.csv")}
    return sorted(name for name in {*logs, *newest_rounds(lake)} if re.fullmatch(r"[a-z0-9_-]+", name))


def show(version: Version, name: str) -> None:
    """All categories in a line each; of the named one annotators, rounds and disagreements."""
    lake = version.lake
    told = {one: status(lake, one) for one in sorted({*categories(lake), name})}
    figures.show(
        "filter_labels.html",
        told=told[name],
        others=list(told.values()),
        certificates={one: certificate(version, one) for one in told},
        held=_held(version, name),
        advice=_advice(told[name]),
        arms=[_arms(one) for one in told[name].history],
    )
    if told[name].disagreements:
        st.subheader("Disagreements", anchor=False)
        st.write("They return to the queue; the labelling page settles them. Until then the yes stands.")
        st.dataframe(_disagreements(told[name]), hide_index=True, key="filter_disagreements")


def status(lake: Lake, name: str) -> Status:
    """Read anew only where the log or the rounds changed."""
    path = log_path(lake, name)
    log = (path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else (0, 0)
    return _status(str(lake.root), lake.pool, name, log, _numbers(lake))


def _numbers(lake: Lake) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in (lake.home / "labels" / "rounds").glob("*.json")))


@st.cache_resource(max_entries=50, show_spinner=False)
def _status(root: str, pool: str, name: str, log: tuple[int, int], rounds: tuple[str, ...]) -> Status:
    lake = Lake(Path(root), pool)
    found = read_log(log_path(lake, name), name)
    labels = standings(entry for entry in found.entries if entry.source != SEED)
    asked = read_rounds(lake, name)
    return Status(
        name,
        sum(one.label is True for one in labels.values()),
        sum(one.label is False for one in labels.values()),
        sum(one.label is None for one in labels.values()),
        _annotators(labels, found.entries),
        [(uid, one) for uid, one in labels.items() if one.disagree],
        sum(len(one.positive + one.negative + one.unsure) for one in _seeds(found).values()),
        found.damaged,
        asked,
        [advice.bought(one, labels) for one in asked],
    )


def _seeds(found: Log) -> dict[str, Standing]:
    return standings(entry for entry in found.entries if entry.source == SEED)


def _annotators(labels: dict[str, Standing], entries: Sequence[Entry]) -> list[Annotator]:
    """Who said most comes first."""
    positive, negative, unsure = (
        Counter(name for one in labels.values() for name in getattr(one, said))
        for said in ("positive", "negative", "unsure")
    )
    last = {entry.annotator: entry.time for entry in entries}
    found = [
        Annotator(name, positive[name], negative[name], unsure[name], _minute(time)) for name, time in last.items()
    ]
    return sorted(found, key=lambda one: (-(one.positive + one.negative + one.unsure), one.name))


def _minute(time: str) -> str:
    return datetime.fromisoformat(time).strftime("%Y-%m-%d %H:%M")


def certificate(version: Version, name: str) -> str:
    """In a few words, of the chosen version."""
    facts = (version.summary.get("filter") or {}).get("categories", {}).get(name)
    if facts is None:
        return "not filtered by in this version"
    lower = facts["certificate"].get("recall_lower")
    return facts["certificate"]["verdict"] + (f", ≥ {percent_down(lower)}" if lower is not None else "")


def _held(version: Version, name: str) -> tuple[int, int, int] | None:
    """Positive and negative labels that this version was decided with, and how many of them trained nothing."""
    if f"labels.{name}" not in version.artifacts:
        return None
    table = read_table(version.artifact_file(f"labels.{name}", "labels.parquet"), ["label", "trained"]).to_pylist()
    positive, trained = sum(row["label"] for row in table), sum(row["trained"] for row in table)
    return positive, len(table) - positive, len(table) - trained


def _advice(told: Status) -> list[str]:
    if not told.rounds:
        return []
    models = [one.report["model"] for one in told.rounds if one.report.get("model")]
    found = [advice.another(told.history), advice.stop(told.history, models)]
    newest = told.rounds[-1]
    if newest.certification is not None and told.history[-1].answered < told.history[-1].asked:
        found.append("The newest round draws labels to certify the model; a part of its answers certifies nothing.")
    return [text for text in found if text]


def _arms(one: advice.Bought) -> str:
    """What each arm asked, and how many of its picks were positive."""
    return "; ".join(
        f"{arm.replace('_', ' ')}: {asked:,} asked, {answered:,} answered"
        + ("" if arm in (CERTIFICATION, SEED) else f", {positives:,} positive")
        for arm, (asked, answered, positives) in one.by_arm.items()
    )


def _disagreements(told: Status) -> pa.Table:
    rows = told.disagreements[:SHOWN]
    return pa.table(
        {
            "uid": [uid for uid, _ in rows],
            "yes": [", ".join(one.positive) for _, one in rows],
            "no": [", ".join(one.negative) for _, one in rows],
            "unsure": [", ".join(one.unsure) for _, one in rows],
        }
    )
