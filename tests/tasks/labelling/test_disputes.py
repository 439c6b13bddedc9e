"""What returns to the queue: annotators against each other, and near-duplicates with opposite labels."""

from __future__ import annotations

import numpy as np

from tasks.classifying.scoring import Labelled
from tasks.labelling.disputes import disputed
from tasks.labels.label_log import Standing

YES = Standing(True, ("ada",), (), ())
NO = Standing(False, (), ("ada",), ())
BOTH = Standing(True, ("ada",), ("grace",), ())
SETTLED = Standing(False, ("ada",), ("grace",), (), adjudicated=True)

VECTORS = np.array([[1, 0], [0.99, 0.14], [0, 1]], np.float32)


def labelled(*labels: bool) -> Labelled:
    names = ["a", "b", "c"][: len(labels)]
    return Labelled(np.arange(len(labels)), names, names, np.array(labels))


def found(standing: dict[str, Standing], labels: tuple[bool, ...], threshold: float = 0.95, **asked: set[str]) -> list:
    return disputed(standing, labelled(*labels), VECTORS[: len(labels)], threshold, **asked)


def test_annotators_who_disagree_bring_a_sample_back_until_it_is_settled() -> None:
    assert found({"a": BOTH, "b": YES}, (True, True)) == ["a"]
    assert found({"a": SETTLED, "b": NO}, (False, False)) == []


def test_near_duplicates_of_opposite_labels_both_come_back() -> None:
    standing = {"a": YES, "b": NO, "c": NO}
    assert found(standing, (True, False, False)) == ["a", "b"]
    assert found(standing, (True, False, False), threshold=0.999) == []
    assert found({"a": YES, "b": YES, "c": NO}, (True, True, False)) == []


def test_they_come_back_once_for_they_may_rightly_differ() -> None:
    standing = {"a": YES, "b": NO, "c": NO}
    assert found(standing, (True, False, False), asked={"a", "b"}) == []
    assert found({**standing, "a": BOTH}, (True, False, False), asked={"a", "b"}) == ["a"]


def test_labels_of_one_class_dispute_nothing() -> None:
    assert found({"a": YES, "b": YES}, (True, True)) == []
