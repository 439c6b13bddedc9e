"""A version written by hand: captions, embeddings and verdicts, without images. What weights are tested on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.files import write_array, write_table
from tasks.lake import Lake, Part, Version, open_lake
from tasks.samples import DECISION, FILTERED, KEPT, OK, QUARANTINED, SAMPLES


def map_inline(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    return [function(item) for item in items]


def uid(number: int) -> str:
    return f"{number:032x}"


def samples_table(captions: Sequence[str | None], first: int = 0) -> pa.Table:
    """One row a caption; the rest of a sample's facts are filled in."""
    count = len(captions)
    columns: dict[str, Any] = {name: [None] * count for name in SAMPLES.names}
    columns |= {"uid": [uid(first + i) for i in range(count)], "key": [f"{first + i:09d}" for i in range(count)]}
    columns |= {"caption": list(captions), "status": [OK] * count}
    return pa.table(columns, schema=SAMPLES)


def decision_table(verdicts: Sequence[str]) -> pa.Table:
    columns: dict[str, Any] = {name: [None] * len(verdicts) for name in DECISION.names}
    return pa.table({**columns, "verdict": list(verdicts)}, schema=DECISION)


def version(
    root: Path,
    captions: Sequence[str],
    embeddings: np.ndarray,
    verdicts: Sequence[str],
    groups: Sequence[Sequence[int]] = (),
    keywords: Sequence[str] = (),
    parts: int = 2,
) -> Version:
    """A draft of `parts` parts. `groups`: near-duplicates by sample number. Keywords stand as an audit left them."""
    lake = open_lake(root, "small", "made by hand")
    cuts = np.linspace(0, len(captions), parts + 1).astype(int).tolist()
    described = []
    for number, (start, end) in enumerate(pairwise(cuts)):
        name = f"{number:016x}"
        described.append(Part(name, f"{number:05d}.tar", name * 4, end - start))
        write_table(lake.column_path("samples", "s", name), samples_table(captions[start:end], start))
        write_table(lake.column_path("decision", "d", name), decision_table(verdicts[start:end]))
        write_array(lake.column_path("embedding", "e", name), embeddings[start:end].astype(np.float16))
    made = Version(lake, "dedup", tuple(described), {"samples": "s", "decision": "d", "embedding": "e"})
    made = made.derive("dedup", artifacts=_groups(lake, groups))
    return made.derive("audit", config={"keywords": tuple(keywords)}) if keywords else made


def _groups(lake: Lake, groups: Sequence[Sequence[int]]) -> dict[str, str]:
    if not groups:
        return {}
    rows = [(number, uid(member)) for number, members in enumerate(groups) for member in members]
    key = lake.key([list(members) for members in groups])
    with lake.new_artifact("groups", key) as folder:
        table = pa.table({"group": [g for g, _ in rows], "uid": [u for _, u in rows]})
        write_table(folder / "groups.parquet", table)
    return {"groups": key}


def verdicts_of(kept: np.ndarray, quarantined: Sequence[int] = ()) -> list[str]:
    """(n,) whether kept → verdicts; what is not kept was filtered."""
    out = [KEPT if keep else FILTERED for keep in kept]
    for number in quarantined:
        out[number] = QUARANTINED
    return out
