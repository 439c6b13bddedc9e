"""Exports: what a trainer reads. A table of every sample, or tars that hold the survivors exactly as they came."""

from __future__ import annotations

import io
import itertools
import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from tasks import committing
from tasks.errors import PoolError, UsageError
from tasks.exporting.contract import contract_parts, schema
from tasks.files import read_table, write_aside, write_json
from tasks.lake import Part, Version
from tasks.reading.images import FORMATS
from tasks.reading.pools import read_shard
from tasks.reading.raw import IMAGES, Raw, Shard, as_text, ending_of
from tasks.reading.read_tar import DAMAGE, split_name, tar_members
from tasks.reading.sources import source_shards, unchanged
from tasks.samples import KEPT

ADDED: Final = "sluice.json"  # what an exported sample has beside its own members: uid, weight, version
_ENDINGS: Final = re.compile(r"(\.tar(\.\w+)?|\.tgz|\.parquet)$")


# --- Parquet


def export_parquet(version: Version, out: Path) -> Path:
    """Write out/samples.parquet, one row for each sample that ingest saw; returns the file."""
    path = Path(out) / "samples.parquet"
    write_samples(version, path)
    return path


def write_samples(version: Version, path: Path) -> None:
    """The contract table as one Parquet file, a row group a part: one part is in memory at a time."""
    with write_aside(path) as aside, pq.ParquetWriter(aside, schema(version), compression="zstd") as writer:
        for table in contract_parts(version):
            if table.num_rows:
                writer.write_table(table)


# --- webdataset


def export_webdataset(version: Version, out: Path, source_root: str | None = None) -> Path:
    """Write one tar a part that has survivors, and export.json; returns export.json.

    A survivor's members (image, caption, sidecar, whatever else its key has) pass through byte-exact and with their tar
    headers' fields; `{key}.sluice.json` with uid, weight and version digest is added, or replaced where the pool itself
    came from an export. Samples of Parquet and folder pools become `{key}.<format>` and `{key}.txt`.
    `source_root` is where the pool lies now; by default where it was read from.

    Raises PoolError where a shard is gone or has changed since, UsageError where `out` holds tars of something else.
    """
    shards = source_shards(version, source_root)
    names = _names(version.parts)
    _refuse_others(Path(out), names)
    digest = committing.digest(version)
    files: list[dict[str, Any]] = []
    for part, name in zip(version.parts, names, strict=True):
        rows = _kept(version, part)
        if rows:
            _write_part(unchanged(version, part, shards), part, rows, Path(out) / name, digest)
            files.append({"file": name, "shard": part.path, "samples": len(rows)})
    facts = {"format": "webdataset", "pool": version.lake.pool, "version": version.number, "digest": digest}
    manifest = Path(out) / "export.json"
    write_json(manifest, {**facts, "samples": sum(file["samples"] for file in files), "files": files})
    return manifest


def _names(parts: Sequence[Part]) -> list[str]:
    """The parts' tars: the shard's own name where no other shard would have the same."""
    short = [PurePosixPath(_ENDINGS.sub("", part.path) + ".tar").as_posix() for part in parts]
    return [name if short.count(name) == 1 else f"{part.path}.tar" for name, part in zip(short, parts, strict=True)]


def _refuse_others(out: Path, names: Sequence[str]) -> None:
    """A trainer reads every tar of a folder, so none of another export may stay among these."""
    others = sorted({path.relative_to(out).as_posix() for path in out.rglob("*.tar")} - set(names))
    if others:
        raise UsageError(f"{out} already holds {others[0]}, which is not of this version; give an empty folder")


def _kept(version: Version, part: Part) -> dict[int, dict[str, Any]]:
    """Row → uid, key, member, offset, weight of the part's survivors, in order."""
    facts = read_table(version.column_path("samples", part), ["uid", "key", "member", "offset"])
    decided = read_table(version.column_path("decision", part), ["verdict", "weight"])
    table = facts.append_column("weight", decided["weight"])
    kept = pc.equal(decided["verdict"], KEPT)
    rows = pc.indices_nonzero(kept).to_pylist()
    return dict(zip(rows, table.filter(kept).to_pylist(), strict=True))


def _write_part(shard: Shard, part: Part, rows: dict[int, dict[str, Any]], path: Path, digest: str) -> None:
    copy = _copy_tar if shard.layout == "tar" else _copy_samples
    with write_aside(path) as aside, tarfile.open(aside, "w", format=tarfile.PAX_FORMAT) as out:
        written = copy(shard, rows, out, digest)
        if written != len(rows):
            raise PoolError(
                f"{part.path}: {len(rows)} survivors were expected in the shard, {written} could be read; "
                "see whether the file can still be read to its end"
            )


def _sidecar(row: dict[str, Any], digest: str) -> bytes:
    facts = {"uid": row["uid"], "weight": row["weight"], "version": digest}
    return json.dumps(facts, separators=(",", ":")).encode()


def _add(out: tarfile.TarFile, name: str, data: bytes) -> None:
    """A member of our own: its header holds no time, no owner."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    out.addfile(info, io.BytesIO(data))


# --- survivors of a tar shard


class _Member(NamedTuple):
    base: str  # what the members of one sample share
    ending: str  # lower case
    info: tarfile.TarInfo
    data: bytes | None  # None where the sample is not kept, and of links


def _copy_tar(shard: Shard, rows: dict[int, dict[str, Any]], out: tarfile.TarFile, digest: str) -> int:
    """Stream the survivors' members to `out`; returns the number of samples written. One sample is in memory."""
    wanted = {row["key"]: row for row in rows.values()}
    written = 0
    for base, group in itertools.groupby(_read(shard, set(wanted)), key=lambda member: member.base):
        row, members = wanted.get(as_text(base)), list(group)
        image = next((m.info for m in members if row and m.info.offset_data == row["offset"]), None)
        if row is None or image is None:
            continue
        for info, data in _own(members):
            out.addfile(info, io.BytesIO(data))
        folder, slash, name = image.name.rpartition("/")
        _add(out, f"{folder}{slash}{name.partition('.')[0]}.{ADDED}", _sidecar(row, digest))
        written += 1
    return written


def _read(shard: Shard, keys: set[str]) -> Iterator[_Member]:
    """Members in the archive's order, read where their key is wanted.

    Where the archive breaks, it ends: ingest recorded the break and kept what lies whole before it.
    """
    try:
        for info, read in tar_members(Path(shard.files[0])):
            parts = split_name(info.name)
            if parts is not None and not info.isdir():
                wanted = info.isreg() and as_text(parts[0]) in keys
                yield _Member(*parts, info, read() if wanted else None)
    except DAMAGE:
        return


def _own(members: Sequence[_Member]) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """What belongs to the first sample of a key.

    A repeated ending is a second sample of that key; a dotted image that has a caption is one of its own. Both are
    quarantined.
    """
    fronts = {m.ending.rpartition(".")[0] for m in members if ending_of(m.ending) in IMAGES and "." in m.ending}
    others = {front for front in fronts if any(m.ending == f"{front}.txt" for m in members)}
    seen = {ADDED}
    for member in members:
        if member.ending in seen or member.ending.rpartition(".")[0] in others:
            continue
        seen.add(member.ending)
        if member.data is not None:
            yield _header(member), member.data


def _header(member: _Member) -> tarfile.TarInfo:
    """The member's header for a file that is stored whole: `tarfile` reads sparse files but writes none."""
    if member.info.issparse():
        member.info.pax_headers = {}
    member.info.type, member.info.size = tarfile.REGTYPE, len(member.data or b"")
    return member.info


# --- survivors of a Parquet or folder shard


def _copy_samples(shard: Shard, rows: dict[int, dict[str, Any]], out: tarfile.TarFile, digest: str) -> int:
    written = 0
    raws = (raw for raw in read_shard(shard, max_bytes=1 << 40) if isinstance(raw, Raw))
    for row, raw in enumerate(raws):
        if row not in rows or raw.image is None or raw.caption is None:
            continue
        caption = raw.caption if isinstance(raw.caption, bytes) else raw.caption.encode()
        _add(out, f"{raw.key}.{_format(raw)}", raw.image)
        _add(out, f"{raw.key}.txt", caption)
        _add(out, f"{raw.key}.{ADDED}", _sidecar(rows[row], digest))
        written += 1
    return written


def _format(raw: Raw) -> str:
    """The file's own ending where it had one, else its format's."""
    own = ending_of(raw.member)
    if own in IMAGES:
        return own
    name = Image.open(io.BytesIO(raw.image or b""), formats=FORMATS).format or "bin"
    return {"JPEG": "jpg", "TIFF": "tif"}.get(name, name.lower())
