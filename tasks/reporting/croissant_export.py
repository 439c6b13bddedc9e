"""The export for whoever takes the dataset over: its table, its card, and croissant.json, which describes the files.

Beside the tars of a webdataset export of the same version it describes these too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tasks.errors import UsageError
from tasks.exporting import croissant, tar_contents
from tasks.exporting.croissant import PARQUET, SAMPLES, TAR, File
from tasks.exporting.exports import write_samples
from tasks.files import write_text
from tasks.lake import Version
from tasks.reporting import card, dataset_facts
from tasks.reporting.card import PUBLISHED
from tasks.reporting.declared import declared

CARD: Final = "README.md"
DESCRIPTION: Final = "croissant.json"
MANIFEST: Final = "export.json"  # of a webdataset export


def export_croissant(version: Version, out: Path) -> Path:
    """Write samples.parquet, README.md and, last, croissant.json to `out`; returns croissant.json.

    `out` is a new or an empty folder, or holds an export of this very version: tars that `--format webdataset` wrote
    are described, and what an earlier call wrote here is written again.

    Raises:
        UsageError: `out` is a file, or holds something else.
        LakeError: the version was retired, or a file of it is gone.
    """
    version.whole()
    tars = _tars(version, out)
    write_samples(version, out / SAMPLES)
    files = [_file(out, SAMPLES, PARQUET, PUBLISHED[0][1])]
    shown = [(file.name, file.meaning) for file in files]
    if tars:
        files += [_file(out, name, TAR, "kept images and captions, each with its weight") for name in tars]
        shown += [(f"{len(tars):,} × .tar", "the kept images and captions, byte for byte, each with its weight")]
    shown += [(DESCRIPTION, "what the files and their columns are, for loaders")]
    write_text(out / CARD, card.render(version, shown, tars=bool(tars)))
    files += [_file(out, CARD, "text/markdown", "the dataset card")]
    endings = set().union(*(tar_contents.endings(out / name) for name in tars))
    found = croissant.document(version, dataset_facts.about(version), files, endings)
    write_text(out / DESCRIPTION, croissant.text(found))
    return out / DESCRIPTION


def _file(folder: Path, name: str, kind: str, meaning: str) -> File:
    with (folder / name).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return File(name, kind, (folder / name).stat().st_size, digest, meaning)


def _tars(version: Version, out: Path) -> list[str]:
    """The tars in `out`, if it may be written to: names relative to it, in the version's order."""
    if not out.exists():
        return []
    if not out.is_dir():
        raise UsageError(f"{out} is a file; give a new or an empty folder")
    tars = _exported(version, out / MANIFEST) if (out / MANIFEST).exists() else []
    _check_own(version, out / DESCRIPTION)
    held = {path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir()}
    others = sorted(held - {SAMPLES, CARD, DESCRIPTION, *([MANIFEST] if tars else []), *tars})
    if others:
        raise UsageError(
            f"{out} already holds {others[0]}; give a new or an empty folder, or an export of this version"
        )
    absent = [name for name in tars if name not in held]
    if absent:
        raise UsageError(f"{out} lacks {absent[0]}, which {MANIFEST} names; export the tars again, to an empty folder")
    return tars


def _exported(version: Version, path: Path) -> list[str]:
    """The tars that a webdataset export of this version wrote."""
    facts = _json(path)
    if facts.get("format") != "webdataset" or f"sha256:{facts.get('digest')}" != croissant.identifier(version):
        raise UsageError(
            f"{path}: a webdataset export of version {version.number} was expected, {facts.get('format')} of version "
            f"{facts.get('version')} was found; give a new or an empty folder"
        )
    return [str(file["file"]) for file in facts["files"]]


def _check_own(version: Version, path: Path) -> None:
    if path.exists() and _json(path).get("identifier") != croissant.identifier(version):
        raise UsageError(f"{path} describes another version; give a new or an empty folder")


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        found = None
    return found if isinstance(found, dict) else {}


def lacking(version: Version) -> Sequence[str]:
    """Keys of [publish] that Croissant asks for and that the version's configuration did not give."""
    told = declared(version)
    return [name for name in ("license", "creators", "url") if not getattr(told, name)]
