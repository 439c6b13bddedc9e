"""Models as artifacts, and which files scoring writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tasks.classifying import scoring
from tests.tasks.categorised import belongs, categorised, embeddings, uid

ROWS = 100


def labelled(chosen: range) -> scoring.Labelled:
    names = [uid(i) for i in chosen]
    return scoring.Labelled(np.array(chosen), names, names, belongs(ROWS)[np.array(chosen)])


def test_vectors_are_gathered_across_parts_in_the_order_asked() -> None:
    whole = embeddings(ROWS)
    rows = np.array([99, 0, 26, 24, 25])
    assert np.array_equal(scoring.gather([whole[:25], whole[25:25], whole[25:]], rows), whole[rows])


def test_the_digest_of_labels_is_of_what_they_say() -> None:
    one = scoring.digest_of({"a": True, "b": False})
    assert one == scoring.digest_of({"b": False, "a": True})
    assert one != scoring.digest_of({"a": True, "b": True})


def test_a_model_is_trained_once_and_anew_for_another_label(tmp_path: Path) -> None:
    version = categorised(tmp_path, embeddings(ROWS))
    key = scoring.model(version, "knife", labelled(range(40)), 5)
    folder = version.lake.artifact_path("model.knife", key)
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert scoring.model(version, "knife", labelled(range(40)), 5) == key
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    assert scoring.model(version, "knife", labelled(range(41)), 5) != key
    facts = scoring.read_facts(folder)
    assert (facts["positives"], facts["negatives"], facts["folds"]) == (10, 30, 5)


def test_only_missing_scores_are_written_and_a_lost_one_is_the_same_again(tmp_path: Path) -> None:
    version = categorised(tmp_path, embeddings(ROWS))
    models = {name: scoring.model(version, name, labelled(range(40)), 5) for name in ("blade", "knife")}
    asked: list[list[scoring.Job]] = []

    def here(function, items):
        asked.append(list(items))
        return [function(item) for item in items]

    columns = scoring.score_missing(version, models, here)
    paths = [version.lake.column_path(group, key, version.parts[1].part) for group, key in columns.items()]
    content = paths[0].read_bytes()
    paths[0].unlink()
    scoring.score_missing(version, models, here)
    assert [len(jobs) for jobs in asked] == [4, 1]
    assert [path for _, path in asked[1][0].models] == [paths[0]]
    assert paths[0].read_bytes() == content
