"""What a version tells of itself, in plain sentences: the dataset card and Croissant's fields say the same words.

Names, captions' words and reasons come from the pool and may hold anything. Here they are text on one line; whoever
writes Markdown or HTML escapes them.
"""

from __future__ import annotations

from tasks.lake import Version
from tasks.reporting import bias_weights, bias_words, findings
from tasks.reporting.bias_findings import bias
from tasks.reporting.bias_words import Point
from tasks.reporting.findings import Category, Funnel, facts
from tasks.reporting.wording import count, figures, plural, sentence, share

ARTICLE = (
    "OpenAI (2022): DALL·E 2 pre-training mitigations. https://openai.com/index/dall-e-2-pre-training-mitigations/"
)


def plain(value: object) -> str:
    """Text on one line, without what a terminal, a direction of writing or a page would act on."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())


def missing(funnel: Funnel) -> list[str]:
    """What was not usable, and what is counted apart since it never became a sample."""
    lines = []
    if funnel.reasons:
        reasons = ", ".join(f"{plain(reason)} {number:,}" for reason, number in funnel.reasons.items())
        lines += [f"Quarantined: {reasons}."]
    if funnel.failed_rows or funnel.broken:
        apart = f"{plural(funnel.failed_rows, 'failed download')} and {plural(len(funnel.broken), 'broken shard')}"
        lines += [f"Counted apart: {apart}."]
    return lines


def filtered(version: Version) -> list[tuple[str, str]]:
    """Each category's name and what its filter did, how sure that is, and what is certified."""
    return [(plain(told.name), _category(told)) for told in findings.category_facts(version)]


def _category(told: Category) -> str:
    recall = f"Recall {share(told.recall)}, at least {share(told.lower)} at {share(told.confidence)} confidence"
    return (
        f"{count(told.removed)} removed at a score of {figures(told.threshold)}. {recall}, on {count(told.positives)} "
        f"labelled positives: an estimate on positives like those. {_benign(told)}"
        f"Certificate: {plain(told.certificate['sentence'])}"
    )


def _benign(told: Category) -> str:
    found = told.benign
    if found["estimate"] is None:
        return ""
    interval = f" ({share(found['lower'])} to {share(found['upper'])})" if found["n"] else ""
    return f"Of what is removed {share(found['estimate'])}{interval} is benign, by {plain(found['basis'])}. "


def beside(version: Version) -> list[str]:
    """What was filtered or kept beside the classifiers."""
    return [f"{count(number)} {what}." for what, number in findings.beside(version)]


def near_duplicates(version: Version) -> str:
    """What deduplication removed, and how much of what there was it found."""
    told = facts(version, "dedup")
    if not told:
        return "Near-duplicates were not searched."
    line = f"Near-duplicates: {count(told.get('removed'))} removed, in {count(told.get('groups'))} groups"
    recall = told.get("recall")
    if recall and recall["exact"]:
        line += f"; {share(recall['estimate'])} of the pairs were found, by a comparison with all"
    elif recall:
        interval = f"95% interval {share(recall['lower'])} to {share(recall['upper'])}"
        line += f"; {share(recall['estimate'])} of the pairs were found, by estimate ({interval})"
    return line + ". Every removed image has a kept near-duplicate."


def biases(version: Version) -> list[Point]:
    """What curation did to whom and what the captions name; empty where they were not audited."""
    told = bias(version)
    points = [] if told is None else bias_words.points(told)
    return [Point(point.title, plain(point.text).replace(bias_words.IN_PLOT, "in the audit")) for point in points]


def weights(version: Version) -> list[str]:
    """How the kept samples are weighted, what that costs, and what could not be restored."""
    told = facts(version, "reweight")
    if not told:
        return ["Each kept sample counts the same."]
    lines = [f"{fact.name}: {fact.value}" + (f" ({fact.meaning})" if fact.meaning else "") for fact in _facts(told)]
    return [*lines, *(f"not restored, {plain(row['term'])}: {row['reason']}" for row in told.get("not_restored", []))]


def _facts(told: dict[str, object]) -> list[bias_weights.Fact]:
    return [bias_weights.Fact(*map(plain, fact)) for fact in bias_weights.account(told)]


def limits(version: Version) -> list[str]:
    """What the dataset rests on, and what it does not promise."""
    told = facts(version, "embed")
    note = told.get("note") or "see its makers for what it was trained on"
    told_of = findings.category_facts(version)
    warnings = [f"{plain(one.name)}: {plain(warning)}." for one in told_of for warning in one.warnings]
    return [
        f"Every score and similarity rests on the encoder {plain(told.get('model', 'none'))}: {plain(note)}.",
        "Recall is estimated on images like those that were labelled. Others may still be in the dataset.",
        *warnings,
        "Weights match how often words stand in captions. They do not bring back what the removed images showed.",
        "Captions tell what somebody wrote, not what an image shows.",
        *[f"{plain(sentence(note))}." for note in facts(version, "audit").get("notes", [])],
    ]


def origin(version: Version) -> list[str]:
    """What the version was made of, by what, and after whose method."""
    manifest = version.manifest
    lines = [f"Curated from {plural(len(version.parts), 'shard')} of the pool {plain(version.lake.pool)} with Sluice."]
    if manifest:
        lines += [
            f"Version {version.number}, made at {manifest['created_at']} by run {manifest['run']} of code "
            f"{manifest['code']}; its digest is {manifest['digest']}."
        ]
    return [*lines, f"Method after {ARTICLE}"]
