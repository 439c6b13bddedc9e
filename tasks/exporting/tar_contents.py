"""What the tars of an export hold, as Croissant describes it: images, captions, and what was decided of each sample."""

from __future__ import annotations

import tarfile
from collections.abc import Set
from pathlib import Path
from typing import Any, Final, NamedTuple

from tasks.exporting.exports import ADDED
from tasks.reading.raw import IMAGES

KINDS: Final = {"jpg": "jpeg", "jpe": "jpeg", "jfif": "jpeg", "tif": "tiff", "svg": "svg+xml"}  # else the ending itself
KEY: Final = r"^([^.]*)\..*$"  # of a file's name: webdataset's key, without folders


class Described(NamedTuple):
    files: dict[str, Any]  # a FileSet
    records: dict[str, Any]  # the RecordSet that reads it


def endings(tar: Path) -> set[str]:
    """What follows the first dot of the members' names, or for images the last one; headers are read, no content."""
    with tarfile.open(tar) as archive:
        names = [info.name.rpartition("/")[2] for info in archive]
    return {last if (last := name.rpartition(".")[2]).lower() in IMAGES else name.partition(".")[2] for name in names}


def described(found: Set[str]) -> list[Described]:
    """The sets that members with these endings make up."""
    images = sorted(ending for ending in found if ending.lower() in IMAGES)
    kinds = sorted({f"image/{KINDS.get(ending.lower(), ending.lower())}" for ending in images})
    out = []
    if images:
        content = _field("images", "image", "The image, as it was in the pool.", "sc:ImageObject", _content("images"))
        out.append(_described("images", "The kept images.", [f"*.{one}" for one in images], kinds, [content]))
    if "txt" in found:
        content = _field("captions", "caption", "The caption.", "sc:Text", _content("captions"))
        out.append(_described("captions", "Their captions.", ["*.txt"], ["text/plain"], [content]))
    if ADDED in found:
        # Whole: mlcroissant 1.1 finds nothing by a JSON path in files that lie in an archive.
        told = "JSON: uid as in samples.parquet, weight (1 on average), version (its digest)."
        content = _field("decided", "facts", told, "sc:Text", _content("decided"))
        about = "What was decided of each of them."
        out.append(_described("decided", about, [f"*.{ADDED}"], ["application/json"], [content]))
    return out


def _described(name: str, about: str, patterns: list[str], kinds: list[str], fields: list[dict[str, Any]]) -> Described:
    named = {"fileSet": {"@id": f"{name}-files"}, "extract": {"fileProperty": "filename"}, "transform": {"regex": KEY}}
    key = _field(name, "key", "The sample's name within its tar.", "sc:Text", named)
    files = {
        "@type": "cr:FileSet", "@id": f"{name}-files", "name": f"{name}-files", "description": about,
        "includes": patterns, "encodingFormat": kinds,
    }  # fmt: skip
    records = {"@type": "cr:RecordSet", "@id": name, "name": name, "description": about, "field": [key, *fields]}
    return Described(files, records)


def _field(of: str, name: str, about: str, kind: str, source: dict[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:Field", "@id": f"{of}/{name}", "name": name, "description": about, "dataType": kind,
        "source": source,
    }  # fmt: skip


def _content(of: str) -> dict[str, Any]:
    return {"fileSet": {"@id": f"{of}-files"}, "extract": {"fileProperty": "content"}}
