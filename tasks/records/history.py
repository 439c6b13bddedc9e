"""History: how two versions differ, and why one sample is in a version, or why it is out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pyarrow.compute as pc

from tasks.classifying import overrides
from tasks.exporting import contract
from tasks.files import read_table
from tasks.lake import Version
from tasks.records.moves import moved
from tasks.records.places import Place, Searched, find, place_in
from tasks.samples import DUPLICATE, KEPT, QUARANTINED

MEMBERS: Final = 20  # samples shown of a near-duplicate group
CAUSES: Final = {"score": "its score for {} reaches the threshold", "labelled": "a person labelled it {}"}


def diff(before: Version, after: Version) -> dict[str, Any]:
    """What changed from one version to another, as JSON-able facts. LakeError: a file of a version is gone.

    before, after   number, stage, digest
    samples         before, after, entered, left, moved (verdict or reason changed), unchanged, weights_changed
    moves           before, after (verdicts; None: not there), reason_before, reason_after, samples,
                    examples [{uid, caption}]; the largest first
    config          key (dotted), before, after (None: not set)
    parts           added, removed, changed: paths
    """
    for version in (before, after):
        version.whole()
    moves, samples = moved(before, after)
    return {
        "before": _about(before),
        "after": _about(after),
        "samples": samples,
        "moves": moves,
        "config": changed_settings(before.config, after.config),
        "parts": changed_parts(before, after),
    }


def _about(version: Version) -> dict[str, Any]:
    return {"number": version.number, "stage": version.stage, "digest": version.manifest.get("digest")}


def changed_settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    one, other = dotted(before), dotted(after)
    return [
        {"key": key, "before": one.get(key), "after": other.get(key)}
        for key in sorted(one.keys() | other.keys())
        if one.get(key) != other.get(key)
    ]


def dotted(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted key; entries of a list that have a name go by it."""
    if isinstance(settings, list) and settings and all(isinstance(item, dict) and "name" in item for item in settings):
        settings = {item["name"]: item for item in settings}
    if not isinstance(settings, Mapping):
        return {prefix: settings}
    out: dict[str, Any] = {}
    for key, value in settings.items():
        out |= dotted(value, f"{prefix}.{key}" if prefix else str(key))
    return out


def changed_parts(before: Version, after: Version) -> dict[str, list[str]]:
    one, other = ({part.path: part.digest for part in version.parts} for version in (before, after))
    return {
        "added": sorted(other.keys() - one.keys()),
        "removed": sorted(one.keys() - other.keys()),
        "changed": sorted(path for path in one.keys() & other.keys() if one[path] != other[path]),
    }


def why(version: Version, reference: str, place: Place | None = None) -> dict[str, Any]:
    """Everything known of one sample, as JSON-able facts; `reference` is its uid, or a key that only it has.

    `place`: where it is, if the caller knows; else every part is searched.

    uid, key, caption, width, height, sha256
    place           shard, member, offset (as the samples group has them), part, row
    version, verdict, stage, reason, sentence
    scores          category, score, threshold (None: not recorded), label ({"label": "positive" | "negative"}, a
                    person's; None: none)
    duplicate       of, similarity, caption, shard of the survivor; None unless a duplicate
    group           size, members [{uid, caption, verdict, similarity}] of its near-duplicate group; None: in none
    override        action (keep or drop), author, reason; None: nobody decided by hand
    weight, weight_meaning
    history         version, made_by (stage), published, retired (its files were given up: nothing is known of it),
                    verdict (None: not there, or retired), stage, reason, weight; oldest first
    kept_in         numbers of those versions in which it was kept

    UsageError: no such sample. LakeError: a file of the version is gone.
    """
    version.whole()
    place = place or find(version, reference)
    facts, decision = place.of(version, "samples"), place.of(version, "decision")
    uid = facts["uid"]
    past = history(version, place, uid)
    names = ("uid", "key", "caption", "width", "height", "sha256")
    where = {"shard": place.part.path, "member": facts["member"], "offset": facts["offset"]}
    return {
        **{name: facts[name] for name in names},
        "place": {**where, "part": place.part.part, "row": place.row},
        "version": version.number,
        **{name: decision[name] for name in ("verdict", "stage", "reason")},
        "sentence": sentence(decision),
        "scores": _scores(version, place, uid),
        "duplicate": _survivor(version, decision),
        "group": _group(version, uid),
        "override": overrides.of_uid(version, uid),
        "weight": decision["weight"],
        "weight_meaning": _weight_meaning(decision),
        "history": past,
        "kept_in": [step["version"] for step in past if step["verdict"] == KEPT],
    }


def sentence(decision: Mapping[str, Any]) -> str:
    """A verdict in words."""
    verdict, stage, reason = (decision[name] for name in ("verdict", "stage", "reason"))
    if verdict == KEPT:
        return "kept: no stage took it out"
    if verdict == QUARANTINED:
        return f"quarantined by {stage}: it could not be used ({reason})"
    if verdict == DUPLICATE:
        similarity = decision["duplicate_similarity"]
        return (
            f"removed by {stage} ({reason}): {decision['duplicate_of']} stands for it, at a cosine of {similarity:.4f}"
        )
    return f"removed by {stage}: {', '.join(map(_in_words, reason.split('; ')))}"


def _in_words(reason: str) -> str:
    """One category's reason, `<category>: score` or `<category>: labelled`."""
    category, _, cause = reason.partition(": ")
    return CAUSES[cause].format(category) if cause in CAUSES else reason


def _weight_meaning(decision: Mapping[str, Any]) -> str:
    if decision["weight"] is not None:
        return f"counts {decision['weight']:.4g} times as much as the average kept sample"
    if decision["verdict"] == KEPT:
        return "no weight: the version was made before the samples were weighted"
    return "no weight: it is not kept"


def _scores(version: Version, place: Place, uid: str) -> list[dict[str, Any]]:
    return [
        {
            "category": name,
            "score": place.of(version, f"score.{name}")["score"],
            "threshold": _threshold(version, name),
            "label": _label(version, name, uid),
        }
        for name in contract.categories(version)
    ]


def _threshold(version: Version, category: str) -> float | None:
    """The score from which the filter removes, as the filter's summary has it."""
    facts = version.summary.get("filter", {}).get("categories", {})
    threshold: float | None = facts.get(category, {}).get("threshold")
    return threshold


def _label(version: Version, category: str, uid: str) -> dict[str, str] | None:
    """A person's label, as the version was decided with it."""
    if f"labels.{category}" not in version.artifacts:
        return None
    labels = read_table(version.artifact(f"labels.{category}") / "labels.parquet", ["uid", "label"])
    given = labels.filter(pc.equal(labels["uid"], uid))["label"].to_pylist()
    return {"label": "positive" if given[0] else "negative"} if given else None


def _survivor(version: Version, decision: Mapping[str, Any]) -> dict[str, Any] | None:
    """The kept sample that a duplicate stands behind."""
    if decision["duplicate_of"] is None:
        return None
    place = find(version, decision["duplicate_of"])
    return {
        "of": decision["duplicate_of"],
        "similarity": decision["duplicate_similarity"],
        "caption": place.of(version, "samples")["caption"],
        "shard": place.part.path,
    }


def _group(version: Version, uid: str) -> dict[str, Any] | None:
    """The sample's near-duplicate group, members as dedup left them; None where it is in none, or before dedup."""
    if "groups" not in version.artifacts:
        return None
    table = read_table(version.artifact("groups") / "groups.parquet")
    number = table.filter(pc.equal(table["uid"], uid))["group"]
    if len(number) == 0:
        return None
    members = table.filter(pc.equal(table["group"], number[0]))
    shown = members.slice(0, MEMBERS).to_pylist()
    for member in shown:
        if member["verdict"] == KEPT and member["representative"] != member["uid"]:
            member["verdict"] = DUPLICATE  # the table has the verdicts that dedup was given
    names = ("uid", "caption", "verdict", "similarity")
    return {"size": members.num_rows, "members": [{name: member[name] for name in names} for member in shown]}


def history(version: Version, place: Place, uid: str) -> list[dict[str, Any]]:
    """What became of a sample in the versions that led to this one, and in those published before; oldest first."""
    searched: Searched = {}

    def place_of(past: Version) -> Place | None:
        """Where a past version has the sample; nothing is known of it in a retired one."""
        return None if "retired" in past.manifest else place_in(past, place, version, uid, searched)

    return [_step(past, place_of(past)) for past in _chain(version)]


def _chain(version: Version) -> list[Version]:
    """The versions of the stages up to this one, and the versions published before it, by number."""
    known = set(version.lake.numbers())
    chain = {version.number: version}
    for link in ("parent", "previous"):
        number = version.manifest.get(link)
        while number in known and number not in chain:
            chain[number] = version.lake.version(number)
            number = chain[number].manifest[link]
    return sorted(chain.values(), key=lambda found: (found.number is None, found.number))


def _step(version: Version, here: Place | None) -> dict[str, Any]:
    """What became of a sample in a version that has it `here`; None: it has not, or nothing is known."""
    decision = here.of(version, "decision") if here is not None else {}
    return {
        "version": version.number,
        "made_by": version.stage,
        "published": bool(version.manifest.get("complete")),
        "retired": "retired" in version.manifest,
        **{name: decision.get(name) for name in ("verdict", "stage", "reason", "weight")},
    }
