"""Small pictures of given samples for the report, read again from the pool; what cannot be had is left out."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tasks.classifying.blocklist import blocked_rows
from tasks.errors import LakeError, PoolError
from tasks.files import read_table
from tasks.lake import Part, Version
from tasks.reading.ahead import in_order
from tasks.reading.images import ImageProblem, decode
from tasks.reading.raw import Shard
from tasks.reading.read_parquet import IMAGE_COLUMNS
from tasks.reading.read_tar import uncompressed
from tasks.reading.sources import shards_by_path
from tasks.storing.objects import AT_ONCE
from tasks.storing.streams import PIECE, for_arrow, in_store, whole

MAX_PIXELS: Final = 80_000_000  # as ingest's default: what was decoded once may be decoded again
MAX_BYTES: Final = 1 << 40  # what ingest took is not too large
_UNREADABLE: Final = (OSError, EOFError, ValueError, pa.ArrowException, tarfile.TarError, zlib.error, lzma.LZMAError)


def thumbnails(version: Version, rows: Iterable[int], size: int = 96) -> dict[int, str | None]:
    """Row of the version → data URI of a WebP of at most size × size pixels; None where it cannot be had."""
    out: dict[int, str | None] = dict.fromkeys(sorted(set(rows)))
    for row, image in images(version, out):
        out[row] = data_uri(image, size)
    return out


def images(version: Version, rows: Iterable[int]) -> Iterator[tuple[int, Image.Image]]:
    """Rows of the version, part by part, each with its RGB image.

    Left out are those whose source is gone, changed since (the bytes' sha256 is not the sample's) or not an image, and
    those that the blocklist matched: they are never shown.
    """
    hidden = blocked_rows(version)
    wanted = [row for row in sorted(set(rows)) if not hidden[row]]
    try:
        shards = shards_by_path(version)
    except PoolError:
        return
    start, jobs = 0, []
    for part in version.parts:
        here = [row - start for row in wanted if start <= row < start + part.rows]
        if here and part.path in shards:
            jobs.append(_Job(start, part, shards[part.path], here))
        start += part.rows
    for job, found in _read(version, jobs):
        for row, data in found:
            with contextlib.suppress(ImageProblem):
                yield job.start + row, decode(data, MAX_PIXELS)


class _Job(NamedTuple):
    start: int  # the part's first row in the version
    part: Part
    shard: Shard
    rows: list[int]  # of the part


def _read(version: Version, jobs: list[_Job]) -> Iterator[tuple[_Job, Iterable[tuple[int, bytes]]]]:
    """Each job with its rows' image bytes. A store is waited for, so several of its shards are read together."""

    def found(job: _Job) -> Iterator[tuple[int, bytes]]:
        return _part_images(version, job.part, job.shard, job.rows)

    if jobs and in_store(Path(jobs[0].shard.files[0])):
        yield from in_order(lambda job: (job, list(found(job))), iter(jobs), AT_ONCE, ahead=AT_ONCE)
    else:
        yield from ((job, found(job)) for job in jobs)


def _part_images(version: Version, part: Part, shard: Shard, rows: list[int]) -> Iterator[tuple[int, bytes]]:
    """Rows of one part and their image bytes, where these are still what ingest saw."""
    table = read_table(version.column_path("samples", part), ["member", "offset", "sha256"])
    wanted = table.take(rows).to_pylist()
    read = {"tar": _tar_images, "parquet": _parquet_images, "folder": _folder_images}[shard.layout]
    try:
        for row, facts, data in zip(rows, wanted, read(shard, wanted), strict=True):
            if data is not None and hashlib.sha256(data).hexdigest() == facts["sha256"]:
                yield row, data
    except (*_UNREADABLE, PoolError, LakeError):  # of a store: replaced while it was read, or refused
        return


def _tar_images(shard: Shard, wanted: list[dict[str, Any]]) -> Iterator[bytes | None]:
    """Images by their place in the archive; the header right before an image tells its size."""
    with uncompressed(Path(shard.files[0]), PIECE) as file:
        for facts in wanted:
            file.seek(facts["offset"] - tarfile.BLOCKSIZE)
            try:
                header = tarfile.TarInfo.frombuf(file.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
                yield file.read(header.size)
            except tarfile.HeaderError:
                yield None


def _parquet_images(shard: Shard, wanted: list[dict[str, Any]]) -> Iterator[bytes | None]:
    """Images by their row in the file."""
    with pq.ParquetFile(for_arrow(Path(shard.files[0]))) as file:
        column = next((name for name in IMAGE_COLUMNS if name in file.schema_arrow.names), None)
        group, first, rows = -1, 0, pa.table({})
        for facts in wanted:
            while column is not None and facts["offset"] >= first + rows.num_rows and group + 1 < file.num_row_groups:
                group, first = group + 1, first + rows.num_rows
                rows = file.read_row_group(group, columns=[column])
            place = facts["offset"] - first
            image = rows[column][place].as_py() if place < rows.num_rows else None
            yield image.get("bytes") if isinstance(image, dict) else image


def _folder_images(shard: Shard, wanted: list[dict[str, Any]]) -> Iterator[bytes | None]:
    paths = {Path(name).name: Path(name) for name in shard.files}
    for facts in wanted:
        path = paths.get(facts["member"])
        try:
            yield whole(path, MAX_BYTES) if path is not None else None
        except FileNotFoundError:
            yield None


def data_uri(image: Image.Image, size: int) -> str:
    """An RGB image as WebP of at most size × size pixels; the image itself is made smaller on the way."""
    image.thumbnail((size, size))
    out = io.BytesIO()
    image.save(out, "WEBP", quality=70, method=4)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()
