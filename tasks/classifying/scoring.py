"""A category's model as an artifact, and the scores that it gives the parts.

The model is made from the labels of usable samples, so a new part without labels trains nothing; a score depends on the
model and the part alone, so a new part is scored and no other. Thresholds come later and are no part of either.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.classifying import classifier
from tasks.classifying.rbf import Landmarks
from tasks.files import read_table, write_json, write_table
from tasks.samples import OK, SCORE

if TYPE_CHECKING:
    from tasks.lake import MapParts, Version

REVISION: Final = 2  # of models and scores
ROWS: Final = 4096  # embeddings scored at a time


class Labelled(NamedTuple):
    """A category's labelled usable samples, in order of uid."""

    row: NDArray[np.int64]  # (n,), index in the version
    uid: list[str]
    unit: list[str]  # digest of the image's bytes: copies are one unit
    label: NDArray[np.bool_]  # (n,)


def digest_of(labels: Mapping[str, bool]) -> str:
    """sha256 of labels, whatever the file's order, comments and path."""
    rows = sorted((uid, int(label)) for uid, label in labels.items())
    return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


def model(version: Version, name: str, labelled: Labelled, folds: int, features: str = classifier.RBF) -> str:
    """The key of artifact `model.<name>`, which is trained if it is not there."""
    samples = [list(row) for row in zip(labelled.uid, labelled.unit, labelled.label.astype(int).tolist(), strict=True)]
    key = version.lake.key("model", REVISION, name, folds, features, version.columns["embedding"], samples)
    if not version.lake.has_artifact(f"model.{name}", key):
        fold, used = classifier.folds_of(labelled.unit, labelled.label, folds)
        trained = classifier.train(gather(version.embeddings(), labelled.row), labelled.label, fold, used, features)
        with version.lake.new_artifact(f"model.{name}", key) as folder:
            _write(folder, labelled, (fold, used), features, trained)
    return key


def gather(parts: Sequence[NDArray[np.floating]], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n, d) embeddings of those samples of the version, whose numbers run through its (rows, d) parts."""
    out = np.empty((len(rows), parts[0].shape[1]))
    start = 0
    for part in parts:
        here = np.flatnonzero((rows >= start) & (rows < start + len(part)))
        out[here] = part[rows[here] - start]
        start += len(part)
    return out


def _write(
    folder: Path,
    labelled: Labelled,
    folded: tuple[NDArray[np.int64], int],
    features: str,
    trained: classifier.Trained,
) -> None:
    from safetensors.numpy import save_file

    weights, bias, slope, offset, marks = trained.model
    tensors = {"weights": weights, "bias": np.array([bias]), "calibration": np.array([slope, offset])}
    if marks is not None:
        tensors |= {"points": marks.points, "whiten": marks.whiten, "gamma": np.array([marks.gamma])}
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, folder / "model.safetensors")
    labels = pa.array(labelled.label.astype(np.int8))
    columns = {"uid": labelled.uid, "label": labels, "fold": folded[0], "score": trained.scores}
    write_table(folder / "labels.parquet", pa.table(columns))
    facts = {
        "labels": digest_of(dict(zip(labelled.uid, labelled.label, strict=True))),
        "positives": int(labelled.label.sum()),
        "negatives": int((~labelled.label).sum()),
        "folds": folded[1],
        "features": features,
        "ridge": trained.ridge,
        "average_precision": round(trained.average_precision, 6),
    }
    write_json(folder / "model.json", facts)


def read_facts(folder: Path) -> dict[str, Any]:
    """labels (digest), positives, negatives, folds, features, ridge, average_precision (out-of-fold)."""
    facts: dict[str, Any] = json.loads((folder / "model.json").read_text("utf-8"))
    return facts


def read_out_of_fold(folder: Path) -> NDArray[np.float32]:
    """(n,) scores of the labelled samples in order of uid, each by a model that did not see it (unless folds is 1)."""
    return np.asarray(read_table(folder / "labels.parquet", ["score"])["score"], dtype=np.float32)


def read_model(folder: Path) -> classifier.Model:
    from safetensors.numpy import load_file

    tensors = load_file(folder / "model.safetensors")
    slope, offset = tensors["calibration"].tolist()
    marks = None
    if "points" in tensors:
        marks = Landmarks(tensors["points"], tensors["whiten"], float(tensors["gamma"][0]))
    return classifier.Model(tensors["weights"], float(tensors["bias"][0]), slope, offset, marks)


def score_key(version: Version, model_key: str) -> str:
    return version.lake.key("score", REVISION, model_key)


@dataclass(frozen=True)
class Job:
    """One part and the models whose scores it lacks."""

    samples: Path
    embedding: Path
    models: tuple[tuple[Path, Path], ...]  # the model's folder, the file of its scores


def score_missing(version: Version, models: Mapping[str, str], map_parts: MapParts) -> dict[str, str]:
    """Score every part that lacks scores of a category's model (name → key); group `score.<name>` → its key."""
    lake, jobs = version.lake, []
    columns = {f"score.{name}": score_key(version, key) for name, key in models.items()}
    folders = {f"score.{name}": lake.artifact_path(f"model.{name}", key) for name, key in models.items()}
    for part in version.parts:
        files = [(folders[group], lake.column_path(group, key, part.part)) for group, key in columns.items()]
        missing = tuple((folder, path) for folder, path in files if not path.exists())
        if missing:
            job = Job(version.column_path("samples", part), version.column_path("embedding", part), missing)
            jobs.append(job)
    map_parts(score_part, jobs)
    return columns


def score_part(job: Job) -> None:
    """Write the part's missing score files: null where a sample is not ok."""
    unusable = np.asarray(read_table(job.samples, ["status"])["status"]) != OK
    embeddings = np.load(job.embedding, mmap_mode="r")
    for folder, path in job.models:
        fitted = read_model(folder)
        blocks = [classifier.score(embeddings[i : i + ROWS], fitted) for i in range(0, len(embeddings), ROWS)]
        scores = np.concatenate(blocks) if blocks else np.empty(0, np.float32)
        write_table(path, pa.table([pa.array(scores, mask=unusable)], schema=SCORE))
