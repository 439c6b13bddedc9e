"""Small pictures of given samples for the report, read again from the pool; what cannot be had is left out."""

from __future__ import annotations

import base64
import hashlib
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tasks.classifying.blocklist import blocked_rows
from tasks.errors import PoolError
from tasks.files import read_table
from tasks.lake import Part, Version
from tasks.reading.images import ImageProblem, decode
from tasks.reading.raw import Shard
from tasks.reading.read_parquet import IMAGE_COLUMNS
from tasks.reading.read_tar import uncompressed
from tasks.reading.sources import source_shards

MAX_PIXELS: Final = 80_000_000  # as ingest's default: what was decoded once may be decoded again
_UNREADABLE: Final = (OSError, EOFError, ValueError, pa.ArrowException, tarfile.TarError, zlib.error, lzma.LZMAError)


def thumbnails(version: Version, rows: Iterable[int], size: int = 96) -> dict[int, str | None]:
    """Row of the version → data URI of a WebP of at most size × size pixels.

    None where the source is gone, changed since (the bytes' sha256 is not the sample's) or not an image, and where the
    blocklist matched: that is never shown.
    """
    hidden = blocked_rows(version)
    out: dict[int, str | None] = dict.fromkeys(sorted(set(rows)))
    wanted = [row for row in out if not hidden[row]]
    try:
        shards = source_shards(version)
    except PoolError:
        return out
    start = 0
    for part in version.parts:
        here = [row - start for row in wanted if start <= row < start + part.rows]
        if here and part.path in shards:
            for row, data in _part_images(version, part, shards[part.path], here):
                out[start + row] = _thumbnail(data, size)
        start += part.rows
    return out


def _part_images(version: Version, part: Part, shard: Shard, rows: list[int]) -> Iterator[tuple[int, bytes]]:
    """Rows of one part and their image bytes, where these are still what ingest saw."""
    table = read_table(version.column_path("samples", part), ["member", "offset", "sha256"])
    wanted = table.take(rows).to_pylist()
    read = {"tar": _tar_images, "parquet": _parquet_images, "folder": _folder_images}[shard.layout]
    try:
        for row, facts, data in zip(rows, wanted, read(shard, wanted), strict=True):
            if data is not None and hashlib.sha256(data).hexdigest() == facts["sha256"]:
                yield row, data
    except _UNREADABLE:
        return


def _tar_images(shard: Shard, wanted: list[dict[str, Any]]) -> Iterator[bytes | None]:
    """Images by their place in the archive; the header right before an image tells its size."""
    with uncompressed(Path(shard.files[0])) as file:
        for facts in wanted:
            file.seek(facts["offset"] - tarfile.BLOCKSIZE)
            try:
                header = tarfile.TarInfo.frombuf(file.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
                yield file.read(header.size)
            except tarfile.HeaderError:
                yield None


def _parquet_images(shard: Shard, wanted: list[dict[str, Any]]) -> Iterator[bytes | None]:
    """Images by their row in the file."""
    with pq.ParquetFile(shard.files[0]) as file:
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
        yield path.read_bytes() if path is not None and path.exists() else None


def _thumbnail(data: bytes, size: int) -> str | None:
    try:
        return data_uri(decode(data, MAX_PIXELS), size)
    except ImageProblem:
        return None


def data_uri(image: Image.Image, size: int) -> str:
    """An RGB image as WebP of at most size × size pixels; the image itself is made smaller on the way."""
    image.thumbnail((size, size))
    out = io.BytesIO()
    image.save(out, "WEBP", quality=70, method=4)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()
