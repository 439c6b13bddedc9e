"""Croissant's responsible-AI fields (http://mlcommons.org/croissant/RAI/1.0), from what a version tells of itself.

A field of which the version knows nothing is left out: nobody's demographics, no time of collection is made up.
"""

from __future__ import annotations

from typing import Any

from tasks.lake import Version
from tasks.reporting import account, findings
from tasks.reporting.account import plain
from tasks.reporting.findings import Category, Funnel, facts
from tasks.reporting.wording import count, headline, plural


def fields(version: Version) -> dict[str, str | list[str]]:
    """The fields by name, `rai:…`; text throughout."""
    funnel, told = findings.funnel(version), findings.category_facts(version)
    found: dict[str, str | list[str]] = {
        "dataCollection": _collection(version, funnel),
        "dataCollectionType": "Secondary Data analysis",
        "dataCollectionMissingData": " ".join(account.missing(funnel)) or "Every sample that was read could be used.",
        "dataCollectionRawData": _raw(version),
        "dataPreprocessingProtocol": _steps(version, funnel),
        "dataManipulationProtocol": "No image and no caption was changed: what is kept is as it was in the pool.",
        "dataAnnotationProtocol": [_labelled(one) for one in told],
        "dataAnnotationAnalysis": [line for one in told for line in _disagreed(version, one)],
        "machineAnnotationTools": _tools(version, told),
        "dataBiases": [f"{point.title}. {point.text}" for point in account.biases(version)],
        "dataLimitations": [*account.limits(version), *_unsearched(version)],
        "dataSocialImpact": _impact(version, told),
        "personalSensitiveInformation": _personal(version),
        "dataUseCases": "Training of text-to-image models on the samples whose verdict is kept, each as often, or its "
        "loss by as much, as its weight says.",
        "dataReleaseMaintenancePlan": _versions(version),
    }
    return {f"rai:{name}": value for name, value in found.items() if value}


def _collection(version: Version, funnel: Funnel) -> str:
    return (
        f"{plural(funnel.read, 'sample')}, each an image with a caption, were read from "
        f"{plural(len(version.parts), 'shard')} of the pool {plain(version.lake.pool)}. How the pool itself was "
        "collected is not recorded here."
    )


def _raw(version: Version) -> str:
    return (
        f"The pool's {plural(len(version.parts), 'shard')}. samples.parquet names each sample's shard and key, and why "
        "it is in or out; it holds captions, not images."
    )


def _steps(version: Version, funnel: Funnel) -> list[str]:
    """Each step in order, as far as the version has come."""
    embed = facts(version, "embed")
    steps = [headline(funnel)]
    if embed:
        weights = f", weights {embed['weights']}" if embed.get("weights") else ""
        steps += [f"Embedding: one vector an image, by {plain(embed.get('model'))}{weights}."]
    steps += [f"Filter, {name}: {told}" for name, told in account.filtered(version)] or ["No category was filtered."]
    steps += [f"Filter: {line}" for line in account.beside(version)]
    return [*steps, account.near_duplicates(version), f"Weights: {'; '.join(account.weights(version))}"]


def _labelled(told: Category) -> str:
    return (
        f"{plain(told.name)}: labels say of {plural(told.positives, 'image')} that they belong to the category, of "
        f"{count(told.negatives)} that they do not; {count(told.by_label)} are out because of a label, "
        f"{count(told.spared)} are in because of one."
    )


def _disagreed(version: Version, told: Category) -> list[str]:
    number = facts(version, "filter")["categories"][told.name].get("contradictions")
    return [f"{plain(told.name)}: {number:,} samples are labelled both yes and no; the yes stands."] if number else []


def _tools(version: Version, told: list[Category]) -> list[str]:
    embed = facts(version, "embed")
    tools = [f"encoder {plain(embed['model'])}"] if embed.get("model") else []
    tools += [f"classifier of {plain(one.name)}, on the encoder's embeddings: score_{plain(one.name)}" for one in told]
    code = version.manifest.get("code")
    return [*tools, f"Sluice, code {plain(code)}"] if code else tools


def _unsearched(version: Version) -> list[str]:
    """What was not done, said where it might be expected."""
    lines = [] if facts(version, "audit") else ["The captions were not audited for bias."]
    return lines if facts(version, "dedup") else [*lines, "Near-duplicates were not searched."]


def _impact(version: Version, told: list[Category]) -> str:
    """What filtering may have left in, and whom it took more often."""
    left = [f"{plain(one.name)}: {plain(one.certificate['sentence'])}" for one in told]
    points = {point.title: point.text for point in account.biases(version)}
    whom = [points[title] for title in ("What was removed more often", "Groups") if title in points]
    return " ".join([*left, *whom])


def _personal(version: Version) -> list[str]:
    lines = ["Images and captions were not searched for personal data. Captions may name people."]
    groups = [plain(row["group"]) for row in (facts(version, "audit").get("groups") or {}).get("groups", [])]
    return [*lines, f"Captions were audited for the groups {', '.join(groups)}."] if groups else lines


def _versions(version: Version) -> str:
    manifest: dict[str, Any] = dict(version.manifest)
    if not manifest:
        return ""
    before = manifest.get("previous")
    later = f" The version published before it is {before}." if before is not None else ""
    return f"Version {version.number} of its pool, made at {manifest['created_at']}; a version does not change.{later}"
