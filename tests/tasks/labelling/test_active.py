"""A round: what it asks, what it never asks, and what labels of the last one change."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tasks import embed, filter
from tasks.classifying.blocklist import Blocklist, match, read_hashes
from tasks.classifying.category_spec import Category
from tasks.classifying.given import CERTIFICATION, SEED, all_standings, given
from tasks.errors import LakeError, UsageError
from tasks.labelling.active import DISAGREEMENT, Ask, expected, newest_version, open_round, prepare
from tasks.labelling.round_report import category_of, markdown
from tasks.labels.rounds import Round, latest_round
from tasks.lake import Lake, Version
from tests.tasks.categorised import uid
from tests.tasks.labelled_pool import answer, here, labelled_pool, say, truth
from tests.tiny_clip import write_model

KNIFE = Category("knife", recall=0.9, counts="a blade", subgroups={"women": ("woman",)})
NO_TEXT = embed.Config(embeddings="elsewhere")  # no encoder: prompts cannot be embedded


@pytest.fixture
def version(tmp_path: Path) -> Version:
    return labelled_pool(tmp_path / "lake")


def begin(version: Version, category: Category = KNIFE, **ask: int) -> Round:
    return open_round(version, category, Ask(**{"labels": 40, **ask}), NO_TEXT, here)


def arms(done: Round) -> Counter[str]:
    return Counter(item.arm for item in done.items)


def test_a_first_round_without_labels_or_prompts_explores(version: Version) -> None:
    done = begin(version)
    assert done.number == 1 and done.model == "" and done.threshold is None
    assert len({item.uid for item in done.items}) == 40 and all(item.score is None for item in done.items)
    assert set(arms(done)) <= {"exploration", "random"}
    kept = latest_round(version.lake, "knife")
    assert kept is not None and (kept.items, kept.parts) == (done.items, done.parts)


def test_prompts_choose_where_the_encoder_has_a_text_tower(version: Version, tmp_path: Path) -> None:
    from tasks.files import write_array

    for part in version.parts:  # as wide as the tiny model's
        path = version.lake.column_path("embedding", "k", part.part)
        wide = np.zeros((part.rows, 32), np.float16)
        wide[:, :8] = np.load(path)
        path.unlink()
        write_array(path, wide)
    model = write_model(tmp_path / "model", text_cfg=TEXT)
    category = dataclasses.replace(KNIFE, prompts=("a knife", "a blade"))
    settings = embed.Config(model=str(model), pretrained="")
    done = open_round(version, category, Ask(labels=40), settings, here)
    assert arms(done)["prompt"] == 20 and arms(done)["exploration"] == 20


TEXT = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1}


def test_answers_train_and_the_next_round_asks_by_the_model(version: Version) -> None:
    first = begin(version)
    answer(version.lake, first)
    second = begin(version)
    assert second.model and second.threshold is not None
    assert set(arms(second)) - {"prompt", "exploration", "random"}  # arms that need a model
    assert not {item.uid for item in first.items} & {item.uid for item in second.items}
    assert all(item.score is not None and 0 <= item.score <= 1 for item in second.items)
    assert second.report["model"]["positives"] + second.report["model"]["negatives"] == 40
    assert "positive" in " ".join(second.report["advice"])


def test_labels_of_one_class_train_nothing_and_the_search_goes_on(version: Version) -> None:
    say(version.lake, [(row, "0") for row in (1, 2, 3, 5)])
    done = begin(version)
    assert done.model == "" and len(done.items) == 40


def test_quarantined_and_blocked_samples_are_never_asked(tmp_path: Path) -> None:
    version = labelled_pool(tmp_path / "lake", quarantined=range(0, 400, 2))
    blocked = [1, 3, 5, 7]
    listed = tmp_path / "hashes.txt"
    digests = version.table("samples", ["sha256"])["sha256"].to_pylist()
    listed.write_text("".join(f"{digests[row]}\n" for row in blocked))
    columns = match(version, Blocklist(sha256=str(listed)), read_hashes(listed), here)
    done = begin(version.derive("filter", columns=columns), labels=400)
    asked = {int(item.uid, 16) for item in done.items}
    assert asked == set(range(1, 400, 2)) - set(blocked)


def test_what_annotators_disagree_about_comes_first_and_a_settled_pair_not_again(version: Version) -> None:
    say(version.lake, truth(range(40)))
    say(version.lake, [(8, "0")], annotator="grace")
    assert [item.uid for item in begin(version, labels=1).items] == [uid(8)]
    done = begin(version)
    assert [item.uid for item in done.items if item.arm == DISAGREEMENT] == [uid(8)]
    say(version.lake, [(8, "1")], annotator="edsger", source="adjudication")
    assert DISAGREEMENT not in arms(begin(version))


def test_near_duplicates_of_opposite_labels_return_once(version: Version) -> None:
    first = version.embeddings()[0]
    path = version.lake.column_path("embedding", "k", version.parts[0].part)
    same = np.array(first)
    same[1] = same[0]  # row 0 is positive, row 1 is not
    path.unlink()
    np.save(path, same)
    say(version.lake, truth(range(40)))
    done = begin(version)
    assert {item.uid for item in done.items if item.arm == DISAGREEMENT} == {uid(0), uid(1)}
    answer(version.lake, done)
    assert DISAGREEMENT not in arms(begin(version))


def test_seeds_are_known_positives_shown_again_blind_among_the_others(version: Version) -> None:
    say(version.lake, truth(range(40)))
    done = begin(version, seeds=5)
    seeds = [item.uid for item in done.items if item.arm == SEED]
    assert len(seeds) == 5 and all(int(one, 16) % 4 == 0 and int(one, 16) < 40 for one in seeds)
    before = all_standings(version.lake, KNIFE)
    say(version.lake, [(int(one, 16), "0") for one in seeds], annotator="grace", source=SEED)
    after = all_standings(version.lake, KNIFE)
    assert {one: before[one] for one in seeds} == {one: after[one] for one in seeds}


def test_a_round_can_pick_and_certify_and_the_model_stays_until_the_next(version: Version) -> None:
    say(version.lake, truth(range(80)))
    done = begin(version, certify=200)
    assert arms(done)[CERTIFICATION] > 0 and sum(arms(done).values()) - arms(done)[CERTIFICATION] <= 40
    answer(version.lake, done)
    filtered = filter.run(version, filter.Config((KNIFE,)), here)
    assert filtered.artifacts["model.knife"] == done.model
    told = filtered.summary["filter"]["categories"]["knife"]
    assert told["certificate"]["recall_lower"] is not None and told["reserved"] == len(done.items)
    again = begin(version)
    assert again.model != done.model and again.report["certificate"]["sentence"] == told["certificate"]["sentence"]


def test_the_same_state_asks_the_same(version: Version, tmp_path: Path) -> None:
    other = labelled_pool(tmp_path / "other")
    for one in (version, other):
        say(one.lake, truth(range(40)))
    assert begin(version).items == begin(other).items


def test_a_round_remembers_its_category_and_says_what_it_asks(version: Version) -> None:
    done = begin(version)
    assert category_of(done.report["category"]) == KNIFE and done.report["specification"]["counts"] == "a blade"
    assert "40 samples to label" in markdown(done)


def test_a_pool_that_is_labelled_to_its_end_has_no_next_round(version: Version) -> None:
    say(version.lake, truth(range(400)))
    with pytest.raises(UsageError, match="nothing left to label"):
        begin(version)


def test_a_pool_without_embeddings_has_no_round(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no version with embeddings yet; run `sluice curate` first"):
        newest_version(Lake(tmp_path, "pool"))


def test_a_damaged_round_stops_before_another_is_written(version: Version) -> None:
    begin(version)
    (path,) = (version.lake.home / "labels" / "rounds").iterdir()
    path.write_text("{")
    with pytest.raises(LakeError, match="knife-0001"):
        begin(version)


def test_a_question_about_nothing_is_refused() -> None:
    for values in ({"labels": 0}, {"labels": -1, "certify": 5}):
        with pytest.raises(UsageError, match="a round of at least one label was expected"):
            Ask(**values)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="ours, article, random were expected, 'best' was found"):
        Ask(arms="best")


def test_the_pool_under_a_plan_counts_what_is_known_and_expects_the_rest_by_the_scores(version: Version) -> None:
    say(version.lake, truth(range(80)))
    pool = expected(prepare(version, KNIFE, 5, here))
    known = given(version.lake, KNIFE).labels
    assert pool.flagged + pool.unflagged == 400 and sum(known.values()) == 20
    assert 50 < pool.positives < 150  # 100 are
