"""A small pool of drawn images, and versions made of it by hand: what reports, exports and tables are tested on."""

from __future__ import annotations

import io
import json
import math
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw

from tasks import audit, ingest
from tasks.files import digests, write_array, write_table
from tasks.lake import Version, open_lake
from tasks.reading.pools import list_shards, shard_digest
from tasks.samples import SCORE

COLOURS = ("crimson", "seagreen", "royalblue", "orange", "purple", "teal")


def clock(hour: int, size: int = 48, kind: str = "PNG") -> bytes:
    """A clock face: differs from the next hour's in one hand."""
    image = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((3, 3, size - 4, size - 4), outline="black", width=3)
    angle = math.radians(30 * hour - 90)
    centre = size / 2
    draw.line((centre, centre, centre, 10), fill="black", width=2)
    tip = (centre + 12 * math.cos(angle), centre + 12 * math.sin(angle))
    draw.line((centre, centre, *tip), fill="black", width=4)
    return encoded(image, kind)


def shape(number: int, size: int = 48, kind: str = "JPEG") -> bytes:
    """A coloured square or circle, of another size for each number."""
    image = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(image)
    inset = 4 + number % 13
    box = (inset, inset, size - inset, size - inset)
    (draw.rectangle if number % 2 else draw.ellipse)(box, fill=COLOURS[number % len(COLOURS)])
    return encoded(image, kind)


def encoded(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def samples(count: int) -> list[tuple[str, bytes, str]]:
    """`count` samples (ending, image, caption): every third a clock face."""
    out = []
    for i in range(count):
        if i % 3 == 0:
            out.append(("png", clock(i // 3), f"clock face, {i // 3 % 12 + 1} o'clock"))
        else:
            out.append(("jpg", shape(i), f"{COLOURS[i % len(COLOURS)]} {'square' if i % 2 else 'circle'}, woman"))
    return out


def member(tar: tarfile.TarFile, name: str, data: bytes, **fields: Any) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    tar.addfile(info, io.BytesIO(data))


def write_tars(folder: Path, items: Sequence[tuple[str, bytes, str]], per_shard: int = 12) -> Path:
    """img2dataset's layout: 00000.tar with key.jpg|png, key.txt, key.json."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(0, math.ceil(len(items) / per_shard)):
        with tarfile.open(folder / f"{shard:05d}.tar", "w") as tar:
            for i, (ending, image, caption) in enumerate(items[shard * per_shard : (shard + 1) * per_shard]):
                key = f"{shard:05d}{i:04d}"
                member(tar, f"{key}.{ending}", image, mtime=1_700_000_000 + i, uname="crawler")
                member(tar, f"{key}.txt", caption.encode())
                member(tar, f"{key}.json", json.dumps({"url": f"https://example.org/{key}"}).encode())
    return folder


def serial(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    return [function(item) for item in items]


def ingested(lake: Path, source: Path | str, pool: str = "small") -> Version:
    """The draft that ingest makes of a pool, without embeddings."""
    home = open_lake(lake, pool, str(source))
    _, shards = list_shards(str(source))
    found = [(shard, shard_digest(shard, digests(home.home).of)) for shard in shards]
    return ingest.run(Version(home), ingest.Config(), serial, found, None, 1)


def decided(version: Version, changes: dict[int, dict[str, Any]], default: dict[str, Any] | None = None) -> Version:
    """The draft with some rows' decisions changed: row → column → value; `default` for the other kept rows."""
    rows = version.table("decision").to_pylist()
    for i, row in enumerate(rows):
        if i in changes:
            row.update(changes[i])
        elif default and row["verdict"] == "kept":
            row.update(default)
    table = pa.Table.from_pylist(rows, schema=version.table("decision").schema)
    key = version.lake.key("by hand", repr(sorted(changes.items())), repr(default), version.columns["decision"])
    version.write_decision(table, key)
    return version.derive(version.stage, columns={"decision": key})


CATEGORY = {
    "threshold": 0.5, "removed": 2, "removed_by_label": 1, "removed_by_score": 1, "kept_by_label": 3,
    "recall_estimate": {"k": 39, "n": 40, "estimate": 0.975, "lower": 0.88, "confidence": 0.95, "note": ""},
    "positives": 40, "negatives": 120, "contradictions": 1, "unknown_uids": 5, "unusable_uids": 0, "warnings": [],
    "suggestions": [
        {"share": 0.1, "threshold": 0.6, "removed": 1, "recall_estimate": {"estimate": 0.8, "lower": 0.7}},
        {"share": 0.05, "threshold": None, "removed": None, "recall_estimate": None},
    ],
    "benign": {
        "estimate": 0.6, "lower": 0.45, "upper": 0.73, "n": 30,
        "basis": "labels drawn at random from the flagged samples",
    },
    "certificate": {
        "verdict": "not certified", "sentence": "Not certified: at least 94.9% of the positives are flagged.",
        "target": 0.99, "recall_lower": 0.9495, "elusion_upper": 0.00307, "covers": 2, "not_covered": ["00002.tar"],
        "subgroups": {"women": {"recall_lower": 0.8123}},
    },
    "subgroups": {
        name: {"samples": 9, "removed": 2, "share": 0.22, "recall_estimate": {"k": 1, "n": 3, "estimate": 0.333}}
        for name in ("women", "men <b>")
    },
}  # fmt: skip
RECALL = {"estimate": 0.991, "lower": 0.98, "upper": 0.997, "queries": 24, "exact": False}
WEIGHTS = {
    "method": "balance", "kept": 15, "effective_sample_size": 13.5, "ess_share": 0.9, "pareto_k": 0.2, "penalty": 1.0,
    "max_weight": 1.5, "cap": 10.0, "cap_cost": None, "notes": [],
    "restored": [{"term": "woman", "change_before": -0.03, "change_after": 0.0}],
    "not_restored": [
        {"term": "clock", "change_after": -0.4, "reason": "no support: 3 captions are left, at least 20 are needed"}
    ],
    "held_out": {
        "terms": 20, "mean_abs_before": 0.2, "mean_abs_after": 0.1, "difference": -0.1, "lower": -0.2, "upper": -0.05,
        "verdict": "weights bring held-out terms closer",
    },
}  # fmt: skip


def curated(lake: Path, source: Path | str, pool: str = "small") -> Version:
    """A version that went through every step: clock faces are near-duplicates, two samples are filtered, all weighted.

    The pool must begin as `samples` begins. What the steps would tell of themselves is made up, the audit is real.
    """
    draft = ingested(lake, source, pool)
    usable = np.asarray(draft.table("decision")["verdict"]) == "kept"
    clocks = [i for i in range(draft.rows) if i % 3 == 0 and usable[i]]
    uids = draft.table("samples", ["uid"])["uid"].to_pylist()
    copy = {"verdict": "duplicate", "stage": "dedup", "reason": "near-duplicate", "duplicate_similarity": 0.97}
    changes: dict[int, dict[str, Any]] = {i: {**copy, "duplicate_of": uids[clocks[0]]} for i in clocks[1:]}
    changes |= {i: {"verdict": "filtered", "stage": "filter", "reason": "romance"} for i in (1, 4)}
    draft = decided(draft, changes, {"weight": 1.0})
    draft = _scored(draft, {1: 0.9, 4: 0.6})
    groups = {"group": [0] * len(clocks), "uid": [uids[i] for i in clocks]}
    captions = draft.table("samples", ["caption"])["caption"].take(clocks)
    with draft.lake.new_artifact("groups", "g") as folder:
        write_table(folder / "groups.parquet", pa.table({**groups, "caption": captions}))
    told = {"removed": len(clocks) - 1, "removed_exact": 0, "groups": 1, "mixed_groups": 0, "recall": RECALL}
    residual = {"rate": 0.0, "upper": 0.01, "queries": 15, "exact": False}
    points = {"threshold": [0.9, 0.5], "recall_estimate": [0.2, 0.975], "recall_lower": [0.1, 0.88]}
    with draft.lake.new_artifact("curve.romance", "c") as folder:
        write_table(folder / "curve.parquet", pa.table({**points, "removed": [1, 2], "share": [0.05, 0.1]}))
    draft = draft.derive("filter", artifacts={"curve.romance": "c"})
    draft = draft.derive("filter", summary={"categories": {"romance": CATEGORY}}, config={"share": 0.2})
    draft = draft.derive(
        "dedup", artifacts={"groups": "g"}, config={"threshold": 0.95}, summary={**told, "residual": residual}
    )
    draft = draft.derive("embed", summary={"model": "tiny", "weights": "0" * 64, "note": "trained on drawn clocks"})
    draft = draft.derive("reweight", config={"method": "balance"}, summary=WEIGHTS)
    return audit.run(draft, audit.Config(keywords=("woman", "o'clock"), min_count=2), serial)


def _scored(version: Version, high: dict[int, float]) -> Version:
    start = 0
    for part in version.parts:
        scores = [high.get(start + row, 0.01 * ((start + row) % 30)) for row in range(part.rows)]
        table = pa.table([pa.array(scores, pa.float32())], schema=SCORE)
        write_table(version.lake.column_path("score.romance", "s", part.part), table)
        start += part.rows
    return version.derive("filter", columns={"score.romance": "s"})


def with_clocks_alike(made: Version) -> Version:
    """Every third sample, the clocks, around one direction with cosines of about 0.97; the others far from all."""
    rows = made.rows
    vectors = np.eye(rows, rows + 8)
    vectors[::3] = vectors[0] + 0.03 * np.random.default_rng(0).standard_normal((len(vectors[::3]), rows + 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    start = 0
    for part in made.parts:
        some = vectors[start : start + part.rows].astype(np.float16)
        write_array(made.lake.column_path("embedding", "e", part.part), some)
        start += part.rows
    return made.derive("embed", columns={"embedding": "e"})
