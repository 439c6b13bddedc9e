"""The stages of a run before it begins: which parts each would work on, why, and at which cost."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Final, NamedTuple

from flows.config import CurateConfig
from flows.stages import STAGES
from tasks import dedup
from tasks.duplicates import earlier
from tasks.keeping.rates import READS, Bytes, Rate, written
from tasks.lake import Version
from tasks.records.history import changed_settings
from tasks.reporting.wording import plural, short
from tasks.storing.copying import there

SHOWN: Final = 3  # shards named
STAGE_OF: Final = {"embed": "ingest", "audit": "ingest"}  # whose settings concern that stage, and so all after it
UNNAMED: Final = "a gate, a labelling round, a deletion request, or a stage's own revision"  # what no manifest records
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class Step(NamedTuple):
    """What one stage would do."""

    stage: str
    parts: int  # to work on
    reused: int
    why: list[str]  # empty: what is there already is found again
    seconds: tuple[float, float] | None  # at the speed of earlier runs, the fastest and the slowest; None: not known
    bytes: int | None  # to write; None: not known


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run would begin with."""

    config: CurateConfig
    draft: Version  # the parts, and the keys of samples and embedding
    latest: Version | None
    settings: dict[str, Any]  # as the version would record them, by stage
    unread: int  # shards whose digest is not remembered

    @property
    def new(self) -> set[str]:
        """Parts that the latest version has not."""
        known = {part.part for part in self.latest.parts} if self.latest is not None else set()
        return {part.part for part in self.draft.parts} - known

    @property
    def changed(self) -> list[dict[str, Any]]:
        """Settings that the latest version was not made with: key (dotted), before, after."""
        return changed_settings(self.latest.config, self.settings) if self.latest is not None else []


def steps(plan: Plan, known: dict[str, Rate]) -> list[Step]:
    """What each stage would do, at the known rates."""
    reasons, total = why(plan), len(plan.draft.parts)
    writes = written(plan.latest) if plan.latest is not None else {}
    found, first = [], ""
    for stage in (stage.name for stage in STAGES):
        told = reasons[stage] or ([f"follows {first}"] if first else [])
        first = first or (stage if told else "")
        todo = _todo(plan, stage) if told else set()
        cost = Cost(plan, len(todo), bool(told))
        found.append(
            Step(
                stage, len(todo), total - len(todo), told, cost.seconds(known.get(stage)), cost.bytes(writes.get(stage))
            )
        )
    return found


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a stage may take: `todo` parts to work on, and all samples to decide of if it is `due`."""

    plan: Plan
    todo: int
    due: bool

    @property
    def samples(self) -> float | None:
        """A part's mean number of samples, by those that are known."""
        latest = self.plan.latest
        return latest.rows / len(latest.parts) if latest is not None and latest.parts else None

    def seconds(self, rate: Rate | None) -> tuple[float, float] | None:
        if not self.due:
            return 0.0, 0.0
        if rate is None or self.samples is None:
            return None
        units = self.todo if rate.of == READS else self.samples * len(self.plan.draft.parts)
        return rate.low * units, rate.high * units

    def bytes(self, known: Bytes | None) -> int | None:
        if not self.due:
            return 0
        if known is None or self.samples is None:
            return None
        return round(self.samples * (known.new * self.todo + known.every * len(self.plan.draft.parts)))


def why(plan: Plan) -> dict[str, list[str]]:
    """Stage → why it would not find again what is there; nothing of one that follows from an earlier one."""
    found: dict[str, list[str]] = {stage.name: [] for stage in STAGES}
    if plan.latest is None:
        return {**found, STAGES[0].name: ["no run of this pool has ended yet"]}
    found[STAGES[0].name] += _shards(plan)
    for change in plan.changed:
        stage = change["key"].partition(".")[0]
        found[STAGE_OF.get(stage, stage)].append(_told(change))
    if plan.config.dedup.fresh:
        found["dedup"].append("near-duplicates are decided anew (--fresh)")
    if not any(found.values()):
        missing = plan.latest.missing()
        found[STAGES[0].name].append(f"{plural(len(missing), 'file')} lack" if missing else UNNAMED)
    return found


def _shards(plan: Plan) -> list[str]:
    """Shards that came, changed or went since the latest version, and whether the encoder is another."""
    assert plan.latest is not None
    before, now = ({part.path: part.part for part in version.parts} for version in (plan.latest, plan.draft))
    other = [path for path, part in now.items() if path in before and part in plan.new]
    named = {
        "new": [path for path, part in now.items() if path not in before and part in plan.new],
        "touched and not compared yet" if plan.unread else "changed": other,
        "gone": [path for path in before if path not in now],
    }
    lines = [_named(paths, what) for what, paths in named.items() if paths]
    if plan.draft.columns["embedding"] != plan.latest.columns["embedding"]:
        lines.append("another encoder, or other samples for it")
    return lines


def _named(paths: list[str], what: str) -> str:
    more = f" and {len(paths) - SHOWN:,} more" if len(paths) > SHOWN else ""
    return f"{plural(len(paths), 'shard')} {what}: {', '.join(short(path, 60) for path in paths[:SHOWN])}{more}"


def _told(change: dict[str, Any]) -> str:
    """A changed setting; of a file's content only that it changed."""
    before, after = change["before"], change["after"]
    if _DIGEST.fullmatch(str(before)) or _DIGEST.fullmatch(str(after)):
        return f"{change['key']} changed"
    return f"{change['key']}: {short(repr(before), 40)} → {short(repr(after), 40)}"


def _todo(plan: Plan, stage: str) -> set[str]:
    """The parts that a stage would work on."""
    every = {part.part for part in plan.draft.parts}
    if stage == READS:
        groups = [(group, plan.draft.columns[group]) for group in ("samples", "embedding")]
        return _lacking(plan, groups)
    if stage == "filter":
        return every if _scored_anew(plan) else _lacking(plan, _scores(plan))
    if stage == "dedup":
        return plan.new if _more_of_the_same(plan) else every
    return every


def _lacking(plan: Plan, groups: list[tuple[str, str]]) -> set[str]:
    """Parts without a file of one of these column groups (name and key)."""
    place = plan.draft.lake.place
    return {p.part for p in plan.draft.parts if not all(there(place(group, key, p.part)) for group, key in groups)}


def _scores(plan: Plan) -> list[tuple[str, str]]:
    """The latest version's scores, of the configuration's categories."""
    columns = plan.latest.columns if plan.latest is not None else {}
    named = [f"score.{category.name}" for category in plan.config.filter.category]
    return [(group, columns[group]) for group in named if group in columns]


def _scored_anew(plan: Plan) -> bool:
    """Whether a category has no scores yet, or a classifier is trained on other labels, vectors or features."""
    if plan.latest is None or plan.draft.columns["embedding"] != plan.latest.columns["embedding"]:
        return bool(plan.config.filter.category)
    trained = re.compile(r"filter\.folds|filter\.category\..+\.(labels|features)")
    anew = any(trained.fullmatch(change["key"]) for change in plan.changed)
    return anew or len(_scores(plan)) < len(plan.config.filter.category)


def _more_of_the_same(plan: Plan) -> bool:
    """Whether near-duplicates are sought among new parts only, as dedup itself decides."""
    decided = earlier.comparable(plan.latest, plan.draft, plan.settings["dedup"], dedup.REVISION)
    return decided and not plan.config.dedup.fresh
