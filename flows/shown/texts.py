"""What a stage did, in words: a line for the terminal, and why a gate failed."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from tasks.gates import Result
from tasks.lake import Version
from tasks.reporting.wording import short

SHOWN: Final = 5  # broken shards
ADVICE: Final = {  # failed metrics → what to do next
    ("filtered_share",): (
        "add labels near the threshold, lower the category's recall, or raise gates.max_filtered on purpose"
    ),
    ("certified_*",): (
        "`sluice label plan CATEGORY` says what a budget of labels can certify, `sluice label next CATEGORY "
        "--labels 0 --certify N` draws them; or lower the gate's bound on purpose"
    ),
    ("quarantined_share",): "mend the pool, or raise gates.max_quarantined on purpose",
    ("duplicate_share",): "raise dedup.threshold, or raise gates.max_duplicates on purpose",
    ("pair_recall", "residual_rate"): (
        'near-duplicates were missed: set dedup.method to "exact" or fewer dedup.clusters, or accept them with '
        "gates.min_pair_recall or gates.max_residual on purpose"
    ),
    ("audit.*",): (
        "see the audit's tables (`sluice audit`), restore the group or declare a target ([reweight]), change "
        "what the filter takes, or change the bound in [[gates.audit]] on purpose"
    ),
    ("effective_sample_share",): (
        "restore fewer terms, lower reweight.cap, or lower gates.min_effective_sample_share on purpose"
    ),
    ("kept",): "see what took the samples out, mend the pool or the configuration, or lower gates.min_kept on purpose",
}


def stage_line(stage: str, version: Version) -> str:
    """One line: what the stage did, and the version that came of it."""
    facts = version.summary.get(stage, {})
    counts = version.manifest["counts"]
    text = {
        "ingest": lambda: f"{facts['read']:,} samples read, {counts['quarantined']:,} quarantined",
        "filter": lambda: f"{counts['filtered']:,} filtered",
        "dedup": lambda: f"{counts['duplicate']:,} near-duplicates removed, {counts['kept']:,} kept",
        "reweight": lambda: f"{counts['kept']:,} weighted",
        "publish": lambda: f"{counts['kept']:,} samples published",
    }[stage]()
    return f"{text} → version {version.number}"


def failure(stage: str, draft: Version, failed: Sequence[Result]) -> str:
    """What failed, where and by how much, and what to do next."""
    lines = [f"the gate after {stage} failed; no version was committed, and what was there before is untouched:"]
    lines += [f"  {result.sentence()}" for result in failed]
    metrics = {result.metric for result in failed}
    if "filtered_share" in metrics:
        lines += [f"  {line}" for line in smaller_removals(draft.summary.get("filter", {}))]
    if any(metric.startswith("certified_") for metric in metrics):
        lines += [f"  {line}" for line in _certificates(draft.summary.get("filter", {}), metrics)]
    if metrics & {"quarantined_share", "kept"}:
        lines += [f"  {line}" for line in _unusable(draft.summary.get("ingest", {}))]
    lines.append(f"next: {_advice(metrics)}")
    return "\n".join(lines)


def _unusable(facts: dict[str, Any]) -> list[str]:
    """What ingest could not use: a first run that stops here leaves no version to ask."""
    lines = [f"quarantined, {reason}: {count:,}" for reason, count in facts.get("quarantined", {}).items()]
    broken = [f"{path}: {why}" for path, why in facts.get("broken_shards", {}).items()]
    lines += [f"broken shard {short(text, 200)}" for text in broken[:SHOWN]]
    return lines + ([f"and {len(broken) - SHOWN:,} more broken shards"] if len(broken) > SHOWN else [])


def _certificates(facts: dict[str, Any], metrics: set[str]) -> list[str]:
    """What the certificates say of the categories whose gate failed."""
    named = {metric.partition(".")[2] for metric in metrics if metric.startswith("certified_")}
    lines = []
    for name in sorted(named & facts.get("categories", {}).keys()):
        told = facts["categories"][name]["certificate"]
        lines.append(f"{name}: {told['sentence']}")
        if told.get("not_covered"):
            parts = ", ".join(told["not_covered"][:SHOWN])
            lines.append(f"{name}: {len(told['not_covered']):,} parts came later and are not covered: {parts}")
    return lines


def smaller_removals(facts: dict[str, Any]) -> list[str]:
    """What recall a smaller removal would cost, a line a category and share."""
    lines = []
    for name, told in facts.get("categories", {}).items():
        for point in told["suggestions"]:
            start = f"{name}: removing at most {point['share']:.0%} of the pool"
            recall = point["recall_estimate"]
            if recall is None:
                lines.append(f"{start} is not possible: what is labelled positive, or scores alike, is more than that")
                continue
            lines.append(
                f"{start} (threshold {point['threshold']:.4g}) would take recall to an estimated "
                f"{recall['estimate']:.1%}, at least {recall['lower']:.1%} at {recall['confidence']:.0%} confidence "
                f"({recall['note']})"
            )
    return lines


def _advice(metrics: set[str]) -> str:
    """The first advice that fits a failed metric."""
    for patterns, advice in ADVICE.items():
        if any(fnmatchcase(metric, pattern) for pattern in patterns for metric in metrics):
            return advice
    return "this is not expected of any pool; keep the run's record, and report it"
