"""Croissant 1.1: a version's files and their columns as JSON-LD that a loader can read (http://mlcommons.org/croissant/1.1).

Built here: what the files are. What is told of the dataset as a whole comes from whoever writes the export.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import pyarrow as pa

from tasks import committing
from tasks.exporting import tar_contents
from tasks.exporting.contract import schema
from tasks.lake import Version

CROISSANT: Final = "http://mlcommons.org/croissant/1.1"
RAI: Final = "http://mlcommons.org/croissant/RAI/1.0"
SAMPLES: Final = "samples.parquet"
PARQUET: Final = "application/x-parquet"
TAR: Final = "application/x-tar"

_OWN: Final = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileObject",
    "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5",
    "parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator",
    "source", "subField", "transform",
)  # fmt: skip

CONTEXT: Final[Mapping[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "description": {"@container": "@language"},
    "name": {"@container": "@language"},
    **{name: f"cr:{name}" for name in _OWN},
}

COLUMNS: Final[Mapping[str, str]] = {
    "uid": "The sample's identity: 32 hexadecimal digits.",
    "key": "The sample's name within its shard.",
    "shard": "The shard that holds image and caption, as a path within the pool.",
    "caption": "The caption as it came with the image; null where there is none that is UTF-8.",
    "width": "Pixels, as the image is seen; null where it could not be read.",
    "height": "Pixels, as the image is seen; null where it could not be read.",
    "verdict": "kept, filtered, duplicate or quarantined: exactly one a sample.",
    "stage": "The step that took the sample out; null where it is kept.",
    "reason": "Why it was taken out; null where it is kept.",
    "duplicate_of": "uid of the kept near-duplicate that stands for the sample; null unless it is a duplicate.",
    "duplicate_similarity": "Cosine of the two embeddings; null unless it is a duplicate.",
    "weight": "How much a kept sample counts, 1 on average; null unless it is kept and weighted.",
}


class File(NamedTuple):
    """A file of the export."""

    name: str  # relative to croissant.json
    kind: str  # media type
    size: int  # bytes
    sha256: str
    meaning: str

    @property
    def id(self) -> str:
        return quote(self.name)  # an @id holds no space


def document(version: Version, about: Mapping[str, Any], files: Sequence[File], endings: Set[str]) -> dict[str, Any]:
    """The whole description.

    `about` is what is told of the dataset as a whole, `endings` are those of the members of the tars among `files`.
    """
    tars = [{"@id": file.id} for file in files if file.kind == TAR]
    inside = tar_contents.described(endings) if tars else []
    return {
        "@context": dict(CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": [CROISSANT, RAI],
        **about,
        "distribution": [*map(_file_object, files), *({**one.files, "containedIn": tars} for one in inside)],
        "recordSet": [_samples(version), *(one.records for one in inside)],
    }


def text(value: Mapping[str, Any]) -> str:
    """JSON that can stand in a web page: no caption ends the script element that it is in."""
    return json.dumps(value, indent=1, ensure_ascii=False).replace("<", "\\u003c") + "\n"


def identifier(version: Version) -> str:
    """The version's digest, by which its exports know each other."""
    return f"sha256:{committing.digest(version)}"


def _file_object(file: File) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.id,
        "name": file.name,
        "description": file.meaning,
        "contentUrl": file.name,
        "contentSize": f"{file.size} B",
        "encodingFormat": file.kind,
        "sha256": file.sha256,
    }


def _samples(version: Version) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "samples",
        "name": "samples",
        "description": "One record for each sample that was read, kept or not. Train on those whose verdict is kept.",
        "field": [_column(field) for field in schema(version)],
    }


def _column(field: pa.Field) -> dict[str, Any]:
    score = "How likely the image belongs to {}, as its classifier says: 0 to 1; null where it could not be read."
    return {
        "@type": "cr:Field",
        "@id": f"samples/{field.name}",
        "name": field.name,
        "description": COLUMNS.get(field.name) or score.format(field.name.removeprefix("score_")),
        "dataType": _data_type(field.type),
        "source": {"fileObject": {"@id": SAMPLES}, "extract": {"column": field.name}},
    }


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"
