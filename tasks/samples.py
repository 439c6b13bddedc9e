"""What a sample is: its columns, its verdict, the reasons why it may not be used.

Row i of a part is the same sample in every column group. Two groups are defined here: `samples`, the facts that one
shard can tell whatever its name, and `decision`, what one version decided. CONTRACT is the table that everyone
downstream reads.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

import pyarrow as pa

KEPT: Final = "kept"
FILTERED: Final = "filtered"
DUPLICATE: Final = "duplicate"
QUARANTINED: Final = "quarantined"
VERDICTS: Final = (KEPT, FILTERED, DUPLICATE, QUARANTINED)

OK: Final = "ok"

# Why ingest could not use a sample. The text is stored, counted and shown as it stands here.
ZERO_BYTES: Final = "zero bytes"
UNREADABLE_IMAGE: Final = "unreadable image"
TRUNCATED_IMAGE: Final = "truncated image"
FORBIDDEN_FORMAT: Final = "forbidden format"
TOO_MANY_PIXELS: Final = "too many pixels"
TOO_MANY_BYTES: Final = "too many bytes"
MISSING_IMAGE: Final = "missing image"
MISSING_CAPTION: Final = "missing caption"
EMPTY_CAPTION: Final = "empty caption"
CAPTION_NOT_UTF8: Final = "caption not UTF-8"
DUPLICATE_KEY: Final = "duplicate key"
DOTTED_KEY: Final = "dotted key"
TRUNCATED_TAR: Final = "truncated tar"
UNREADABLE_PARQUET: Final = "unreadable Parquet"
DUPLICATE_UID: Final = "duplicate uid"
NO_EMBEDDING: Final = "no embedding"

SAMPLES: Final = pa.schema(
    [
        ("uid", pa.string()),
        ("key", pa.string()),
        ("member", pa.string()),  # the image's name inside the shard
        ("offset", pa.int64()),  # tar: first byte of the image; Parquet: row; folder: 0
        ("caption", pa.string()),  # null where there is none that is UTF-8
        ("width", pa.int32()),  # pixels, as seen (after the EXIF rotation)
        ("height", pa.int32()),
        ("sha256", pa.string()),  # of the image's bytes
        ("status", pa.string()),  # ok | quarantined
        ("reason", pa.string()),  # null where ok
    ]
)

DECISION: Final = pa.schema(
    [
        ("verdict", pa.string()),
        ("stage", pa.string()),  # the stage that took the sample out; null where kept
        ("reason", pa.string()),
        ("duplicate_of", pa.string()),  # uid of the kept near-duplicate
        ("duplicate_similarity", pa.float32()),  # cosine
        ("weight", pa.float64()),  # null unless kept and weighted
    ]
)

SCORE: Final = pa.schema([("score", pa.float32())])

CONTRACT: Final = (
    "uid", "key", "shard", "caption", "width", "height", "verdict", "stage", "reason",
    # then score_<category>, one a category
    "duplicate_of", "duplicate_similarity", "weight",
)  # fmt: skip

_UID = re.compile(r"[0-9a-f]{32}")


def uid_of(uid: object, url: object, sha256: str, key: str) -> str:
    """The sample's identity, 32 hex digits: the input's own, else of its url, else of its content and key."""
    if isinstance(uid, str) and _UID.fullmatch(uid.lower()):
        return uid.lower()
    text = url if isinstance(url, str) and url else sha256 + key
    return hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def count_verdicts(decision: pa.Table) -> dict[str, int]:
    """Samples a verdict; verdicts that none has are counted as 0."""
    found = {row["values"]: row["counts"] for row in decision["verdict"].value_counts().to_pylist()}
    return {verdict: found.get(verdict, 0) for verdict in VERDICTS}
