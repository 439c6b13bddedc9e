"""DataComp's subset file: the survivors' uids, each as often as its weight says, for DataComp's resharder.

The resharder (mlfoundations/datacomp, resharder.py) loads one sorted array of dtype `u8,u8`, looks each sample of the
pool up from the left and from the right, and writes it as often as it found it, as `{uid}-0`, `{uid}-1`, …: repeated
rows are repeated samples. It takes the uid from the pool's own `{key}.json`.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.errors import UsageError
from tasks.exporting import repeats
from tasks.exporting.export_folder import Weighted, identity, new_folder, weighted
from tasks.files import write_array, write_json
from tasks.lake import Version

SUBSET: Final = "subset.npy"
UID: Final = np.dtype("u8,u8")  # the higher and the lower half of 128 bits
CHANCE: Final = 0.01  # that two copies meet in one batch, for the buffers that export.json states
_BATCHES: Final = (64, 256, 1024, 4096)  # per process, not over all GPUs


@dataclasses.dataclass(frozen=True)
class Config:
    """How weights become copies."""

    factor: float = 1.0  # copies per unit of weight; at 1 the file has as many rows as there are survivors
    seed: int = 0  # of the rounding; another for another epoch

    def __post_init__(self) -> None:
        repeats.check_factor(self.factor)


def export_datacomp(version: Version, out: Path, config: Config | None = None) -> Path:
    """Write out/subset.npy and out/export.json; returns export.json.

    A sample is in the file weight x factor times on average, so one of a small weight may be left out of it; a file of
    another seed has others. The pool need not be there: uids and weights are the lake's.

    Raises:
        UsageError: no kept sample, no weights, a factor so small that no row is left, `out` holds something.
    """
    config = config or Config()
    samples = weighted(version)
    counts = repeats.repeats(samples.weights * config.factor, samples.uids, config.seed)
    if not counts.any():
        raise UsageError(
            f"factor {config.factor} leaves none of {len(counts):,} samples in the file; "
            f"give one above {1 / samples.weights.sum():.3g}"
        )
    with new_folder(out) as folder:
        write_array(folder / SUBSET, subset(samples.uids, counts))
        write_json(folder / "export.json", _facts(version, config, samples, counts))
    return Path(out) / "export.json"


def subset(uids: list[str], counts: repeats.Integers) -> npt.NDArray[np.void]:
    """The sorted uids, each `counts` times. (n,) and (n,) → (sum of counts,) of dtype u8,u8"""
    halves = repeats.halves_of(uids)
    order = np.lexsort((halves[:, 1], halves[:, 0]))
    ordered = halves[np.repeat(order, counts[order])]
    array = np.empty(len(ordered), UID)
    array["f0"], array["f1"] = ordered[:, 0], ordered[:, 1]
    return array


def _facts(version: Version, config: Config, samples: Weighted, counts: repeats.Integers) -> dict[str, Any]:
    buffers = {str(batch): repeats.shuffle_buffer(batch, CHANCE) for batch in _BATCHES}
    return {
        "format": "datacomp",
        **identity(version),
        "samples": len(counts),
        "rows": int(counts.sum()),
        "left_out": int((counts == 0).sum()),
        "not_kept_of_same_uid": _namesakes(version, samples),
        "most_copies": int(counts.max()),
        **dataclasses.asdict(config),
        "factor_without_copies": float(1 / samples.weights.max()),
        "shuffle": {"chance": CHANCE, "buffer_of_batch": buffers},
    }


def _namesakes(version: Version, samples: Weighted) -> int:
    """Samples that are not kept and share their uid with one that is: the resharder writes them too."""
    uids = version.table("samples", ["uid"])["uid"]
    return int(pc.sum(pc.is_in(uids, value_set=pa.array(samples.uids))).as_py()) - len(samples.uids)
