import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import committing
from tasks.errors import LakeError, UsageError
from tasks.files import read_table, write_table
from tasks.lake import Lake, Part, Version
from tasks.records import places
from tasks.records.history import diff, why
from tasks.samples import DECISION, SAMPLES, SCORE, VERDICTS

FILTERED = {"verdict": "filtered", "stage": "filter", "reason": "romance"}
BROKEN = {"verdict": "quarantined", "stage": "ingest", "reason": "truncated image"}
REPEATED = {"verdict": "quarantined", "stage": "ingest", "reason": "duplicate uid"}


def uid(sample: int) -> str:
    return f"{sample:032x}"


def duplicate(of: int) -> dict[str, Any]:
    return {
        "verdict": "duplicate", "stage": "dedup", "reason": "near-duplicate", "duplicate_of": uid(of),
        "duplicate_similarity": 0.97,
    }  # fmt: skip


def made(lake: Lake, shards: Mapping[str, Sequence[int]], stage: str = "ingest", **facts: Any) -> Version:
    """A draft whose samples have these numbers, shard by shard, all kept; the key of sample 7 is 0007."""
    parts = []
    for path, numbers in shards.items():
        name = lake.key(path, list(numbers))
        known = {
            "uid": [uid(n) for n in numbers], "key": [f"{n:04d}" for n in numbers],
            "caption": [f"caption {n}" for n in numbers], "status": ["ok"] * len(numbers),
        }  # fmt: skip
        columns = [
            pa.array(known[f.name], f.type) if f.name in known else pa.nulls(len(numbers), f.type) for f in SAMPLES
        ]
        write_table(lake.column_path("samples", "s", name), pa.table(columns, schema=SAMPLES))
        parts.append(Part(name, path, name * 4, len(numbers)))
    return decided(Version(lake, stage, tuple(parts), {"samples": "s"}, **facts), {})


def decided(version: Version, changes: Mapping[int, Mapping[str, Any]], weight: float | None = None) -> Version:
    """The draft with these rows decided so, and the others kept."""
    kept: dict[str, Any] = dict.fromkeys(DECISION.names) | {"verdict": "kept", "weight": weight}
    rows = [kept | {"weight": None} | dict(changes[row]) if row in changes else kept for row in range(version.rows)]
    key = version.lake.key([part.part for part in version.parts], rows)
    version.write_decision(pa.Table.from_pylist(rows, schema=DECISION), key)
    return version.derive(version.stage, columns={"decision": key})


def commit(draft: Version, stage: str, previous: int | None = None, **facts: Any) -> Version:
    """A version made from the draft; its parent is the version that the draft was."""
    known: dict[str, Any] = {
        "parent": None, "previous": previous, "run": "r", "gate": [], "code": "c", "created_at": "2026-11-21T00:00:00",
        "complete": False, "inputs": None,
    }  # fmt: skip
    draft = draft.derive(stage)
    return committing.commit(draft, committing.content(draft), known | facts)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path, "pool")


TWO = {"00000.tar": [0, 1, 2], "00001.tar": [3, 4]}


def test_a_version_does_not_differ_from_itself(lake: Lake) -> None:
    version = made(lake, TWO)
    found = diff(version, version)
    assert (found["moves"], found["config"]) == ([], [])
    assert found["parts"] == {"added": [], "removed": [], "changed": []}
    assert found["samples"]["unchanged"] == 5


def test_samples_are_followed_from_verdict_to_verdict_with_reason_and_first_examples(lake: Lake) -> None:
    before = decided(made(lake, TWO), {0: FILTERED})
    after = decided(before, {0: duplicate(3), 1: FILTERED, 2: FILTERED})
    found = diff(before, after)
    assert found["moves"] == [
        {
            "before": "kept", "reason_before": "", "after": "filtered", "reason_after": "filter: romance", "samples": 2,
            "examples": [{"uid": uid(1), "caption": "caption 1"}, {"uid": uid(2), "caption": "caption 2"}],
        },
        {
            "before": "filtered", "reason_before": "filter: romance", "after": "duplicate",
            "reason_after": "dedup: near-duplicate", "samples": 1,
            "examples": [{"uid": uid(0), "caption": "caption 0"}],
        },
    ]  # fmt: skip
    assert found["samples"] == {
        "before": 5, "after": 5, "entered": 0, "left": 0, "moved": 3, "unchanged": 2, "weights_changed": 0,
    }  # fmt: skip
    assert json.loads(json.dumps(found)) == found


def test_of_a_large_move_the_first_five_samples_are_shown(lake: Lake) -> None:
    before = made(lake, {"a.tar": range(20)})
    after = decided(before, dict.fromkeys(range(7, 20), FILTERED))
    (move,) = diff(before, after)["moves"]
    assert move["samples"] == 13
    assert [example["uid"] for example in move["examples"]] == [uid(n) for n in range(7, 12)]


def test_samples_enter_and_leave_with_their_shards_and_are_matched_by_uid_where_a_shard_changed(lake: Lake) -> None:
    before = made(lake, {"a.tar": [0, 1, 2], "b.tar": [3, 4], "c.tar": [5]})
    after = decided(made(lake, {"a.tar": [2, 9], "b.tar": [3, 4], "d.tar": [6, 7]}), {0: FILTERED})
    found = diff(before, after)
    assert found["parts"] == {"added": ["d.tar"], "removed": ["c.tar"], "changed": ["a.tar"]}
    moves = {(move["before"], move["after"]): [e["uid"] for e in move["examples"]] for move in found["moves"]}
    assert moves == {
        (None, "kept"): [uid(9), uid(6), uid(7)],
        ("kept", None): [uid(0), uid(1), uid(5)],
        ("kept", "filtered"): [uid(2)],
    }
    assert found["samples"] | {"weights_changed": 0} == {
        "before": 6, "after": 6, "entered": 3, "left": 3, "moved": 1, "unchanged": 2, "weights_changed": 0,
    }  # fmt: skip


def test_a_sample_that_was_a_repetition_and_is_now_the_only_one_is_the_same_sample(lake: Lake) -> None:
    before = decided(made(lake, {"a.tar": [0, 1], "b.tar": [1, 2]}), {2: REPEATED})
    found = diff(before, made(lake, {"b.tar": [1, 2]}))
    moves = {(move["before"], move["after"]): move["samples"] for move in found["moves"]}
    assert moves == {("kept", None): 1, ("quarantined", None): 1}
    assert found["samples"]["unchanged"] == 2


def test_weights_that_changed_are_counted_though_no_verdict_did(lake: Lake) -> None:
    before = decided(made(lake, TWO), {0: FILTERED})
    found = diff(before, decided(before, {0: FILTERED}, weight=1.5))
    assert (found["moves"], found["samples"]["weights_changed"]) == ([], 4)


def test_changed_settings_go_by_dotted_keys_and_categories_by_their_names(lake: Lake) -> None:
    def category(name: str, recall: float) -> dict[str, Any]:
        return {"name": name, "recall": recall}

    one = {"dedup": {"threshold": 0.95}, "filter": {"category": [category("kiss", 0.9), category("gun", 0.9)]}}
    other = {"filter": {"category": [category("gun", 0.99), category("kiss", 0.9)]}, "reweight": {"restore": ["man"]}}
    version = made(lake, TWO)
    found = diff(dataclasses.replace(version, config=one), dataclasses.replace(version, config=other))
    assert found["config"] == [
        {"key": "dedup.threshold", "before": 0.95, "after": None},
        {"key": "filter.category.gun.recall", "before": 0.9, "after": 0.99},
        {"key": "reweight.restore", "before": None, "after": ["man"]},
    ]


@st.composite
def pools(draw: st.DrawFn) -> tuple[dict[str, list[int]], dict[int, str]]:
    """Shards of sample numbers without repetition, and each sample's verdict."""
    numbers = draw(st.lists(st.integers(0, 12), unique=True, max_size=10))
    cuts = sorted(draw(st.lists(st.integers(0, len(numbers)), min_size=2, max_size=2)))
    pieces = [numbers[: cuts[0]], numbers[cuts[0] : cuts[1]], numbers[cuts[1] :]]
    verdicts = draw(st.fixed_dictionaries({number: st.sampled_from(VERDICTS) for number in numbers}))
    return {f"{i}.tar": piece for i, piece in enumerate(pieces)}, verdicts


@given(pools(), pools())
@settings(max_examples=20, deadline=None)
def test_however_shards_are_cut_each_sample_moves_as_a_plain_comparison_by_uid_says(
    tmp_path_factory: pytest.TempPathFactory,
    one: tuple[dict[str, list[int]], dict[int, str]],
    other: tuple[dict[str, list[int]], dict[int, str]],
) -> None:
    lake = Lake(tmp_path_factory.mktemp("lake"), "pool")
    drafts = []
    for shards, verdicts in (one, other):
        order = [number for piece in shards.values() for number in piece]
        changes = {row: {"verdict": verdicts[number]} for row, number in enumerate(order)}
        drafts.append(decided(made(lake, shards), changes))
    found = diff(*drafts)
    everyone = one[1].keys() | other[1].keys()
    wanted = Counter((one[1].get(number), other[1].get(number)) for number in everyone)
    moves = {(move["before"], move["after"]): move["samples"] for move in found["moves"]}
    assert moves == {move: count for move, count in wanted.items() if move[0] != move[1]}
    assert found["samples"]["unchanged"] == sum(count for move, count in wanted.items() if move[0] == move[1])


def test_why_tells_where_a_sample_is_and_what_is_known_of_it(lake: Lake) -> None:
    found = why(commit(made(lake, TWO), "ingest"), uid(3))
    assert (found["uid"], found["key"], found["caption"]) == (uid(3), "0003", "caption 3")
    assert (found["place"]["shard"], found["place"]["row"]) == ("00001.tar", 0)
    assert (found["verdict"], found["sentence"]) == ("kept", "kept: no stage took it out")
    assert json.loads(json.dumps(found)) == found


def test_a_key_that_one_sample_has_names_it_and_one_that_several_have_is_refused_with_their_uids(lake: Lake) -> None:
    version = commit(made(lake, {"a.tar": [0, 1], "b.tar": [1]}), "ingest")
    assert why(version, "0000")["uid"] == uid(0)
    with pytest.raises(UsageError, match=rf"2 samples have the key '0001'.*{uid(1)} \(a.tar\), {uid(1)} \(b.tar\)"):
        why(version, "0001")


def test_an_unknown_uid_is_answered_with_the_uids_that_begin_most_like_it(lake: Lake) -> None:
    version = commit(made(lake, {"a.tar": [0xAB, 0xCD, 0xFF0000]}), "ingest")
    typo = uid(0xAB)[:-1] + "7"
    with pytest.raises(UsageError, match=f"did you mean {uid(0xAB)}\\?"):
        why(version, typo)
    with pytest.raises(UsageError, match="has no sample with the uid or key 'zebra'; see the uids with"):
        why(version, "zebra")


def test_of_a_repeated_uid_the_usable_sample_is_explained(lake: Lake) -> None:
    version = commit(decided(made(lake, {"a.tar": [1], "b.tar": [1]}), {0: BROKEN}), "ingest")
    assert why(version, uid(1))["place"]["shard"] == "b.tar"


def test_a_filtered_sample_shows_its_score_the_threshold_and_a_persons_label(lake: Lake) -> None:
    version = decided(
        made(lake, {"a.tar": [0, 1]}), {0: FILTERED, 1: FILTERED | {"reason": "gun: labelled; romance: score"}}
    )
    for category in ("gun", "romance"):
        score = pa.table([pa.array([0.125, 0.75], pa.float32())], schema=SCORE)
        write_table(lake.column_path(f"score.{category}", "k", version.parts[0].part), score)
    with lake.new_artifact("labels.gun", "m") as folder:
        write_table(folder / "labels.parquet", pa.table({"uid": [uid(0), uid(1)], "label": [0, 1]}))
    facts = {"categories": {"romance": {"threshold": 0.5}}}
    draft = version.derive("filter", columns={"score.gun": "k", "score.romance": "k"}, artifacts={"labels.gun": "m"})
    version = commit(draft.derive("filter", summary=facts), "filter")
    found = why(version, uid(1))
    assert found["scores"] == [
        {"category": "gun", "score": 0.75, "threshold": None, "label": {"label": "positive"}},
        {"category": "romance", "score": 0.75, "threshold": 0.5, "label": None},
    ]
    assert found["sentence"] == (
        "removed by filter: a person labelled it gun, its score for romance reaches the threshold"
    )
    assert found["weight_meaning"] == "no weight: it is not kept"
    other = why(version, uid(0))
    assert other["scores"][0]["label"] == {"label": "negative"}
    assert other["sentence"] == "removed by filter: romance"


def test_a_duplicate_names_its_survivor_and_its_group(lake: Lake) -> None:
    draft = decided(made(lake, TWO), {0: duplicate(3)})
    members = {
        "group": [0, 0, 1, 1], "uid": [uid(3), uid(0), uid(1), uid(2)], "caption": ["c3", "c0", "c1", "c2"],
        "representative": [uid(3), uid(3), uid(1), uid(1)], "similarity": [1.0, 0.97, 1.0, 0.99],
        "verdict": ["kept"] * 4,
    }  # fmt: skip
    with lake.new_artifact("groups", "g") as folder:
        write_table(folder / "groups.parquet", pa.table(members))
    version = commit(draft.derive("dedup", artifacts={"groups": "g"}), "dedup")
    found = why(version, uid(0))
    assert found["duplicate"]["of"] == uid(3)
    assert found["duplicate"]["caption"] == "caption 3"
    assert found["duplicate"]["shard"] == "00001.tar"
    assert (found["group"]["size"], [m["uid"] for m in found["group"]["members"]]) == (2, [uid(3), uid(0)])
    assert found["sentence"] == f"removed by dedup (near-duplicate): {uid(3)} stands for it, at a cosine of 0.9700"
    assert why(version, uid(4))["group"] is None


def test_a_weight_is_explained(lake: Lake) -> None:
    version = commit(decided(made(lake, TWO), {}, weight=1.25), "reweight")
    assert why(version, uid(0))["weight_meaning"] == "counts 1.25 times as much as the average kept sample"
    unweighted = commit(made(lake, TWO), "dedup")
    assert "before the samples were weighted" in why(unweighted, uid(0))["weight_meaning"]


def test_a_quarantined_sample_says_that_it_could_not_be_used(lake: Lake) -> None:
    found = why(commit(decided(made(lake, TWO), {0: BROKEN}), "ingest"), uid(0))
    assert found["sentence"] == "quarantined by ingest: it could not be used (truncated image)"


def test_the_history_goes_through_the_runs_stages_and_the_versions_published_before(lake: Lake) -> None:
    old = commit(made(lake, {"a.tar": [0, 1]}), "publish", complete=True)
    ingest = commit(made(lake, {"a.tar": [7, 0, 1], "b.tar": [2]}), "ingest", previous=1)
    filter_ = commit(decided(ingest, {1: FILTERED}), "filter", previous=1, parent=ingest.number)
    latest = commit(filter_, "publish", previous=old.number, parent=filter_.number, complete=True)
    found = why(latest, uid(0))
    steps = [(step["version"], step["made_by"], step["published"], step["verdict"]) for step in found["history"]]
    assert steps == [
        (1, "publish", True, "kept"),
        (2, "ingest", False, "kept"),
        (3, "filter", False, "filtered"),
        (4, "publish", True, "filtered"),
    ]
    assert found["kept_in"] == [1, 2]
    newcomer = why(latest, uid(2))
    assert newcomer["history"][0]["verdict"] is None
    assert newcomer["kept_in"] == [2, 3, 4]


def test_a_version_with_a_file_gone_is_refused(lake: Lake) -> None:
    version = commit(made(lake, TWO), "ingest")
    path = version.column_path("samples", version.parts[0])
    path.unlink()
    with pytest.raises(LakeError, match=path.name):
        why(version, uid(0))
    with pytest.raises(LakeError, match=path.name):
        diff(version, version)


def test_a_file_that_versions_share_is_searched_once(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = {"a.tar": [1, 2], "b.tar": [3, 4]}
    old = commit(made(lake, shards), "publish", complete=True)
    for number in range(2, 6):
        old = commit(old, "publish", previous=number - 1, complete=True)
    latest = commit(made(lake, {"a.tar": [2, 1], "b.tar": [3, 4]}), "publish", previous=5, complete=True)
    read: list[Path] = []

    def noting(path: Path, *columns: Any) -> pa.Table:
        read.append(path)
        return read_table(path, *columns)

    monkeypatch.setattr(places, "read_table", noting)
    found = why(latest, uid(1))["history"]
    assert [step["version"] for step in found] == [1, 2, 3, 4, 5, 6] and {step["verdict"] for step in found} == {"kept"}
    searched = [path for path in read if path in old.column_paths("samples") and path.stem == old.parts[0].part]
    assert len(searched) == 1
