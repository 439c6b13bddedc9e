"""Streams a Parquet shard with image bytes (Hugging Face, img2dataset). A damaged row group costs itself only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.errors import PoolError
from tasks.reading.raw import CAPTION_COLUMNS, Broken, Raw, Shard, as_text, leading_nowhere
from tasks.samples import DOTTED_KEY, TOO_MANY_BYTES, UNREADABLE_PARQUET
from tasks.storing.streams import STREAM, for_arrow, in_store, size

IMAGE_COLUMNS: Final = ("image", "jpg", "png", "webp", "image_bytes", "bytes")

FAILED: Final = "failed"  # what img2dataset's status begins with where a row has no image
BATCH: Final = 16  # rows held at once
BUFFER: Final = 1 << 20  # bytes of a column that are read at once from a file
_DAMAGE: Final = (OSError, pa.ArrowException)


def read_parquet(shard: Shard, max_bytes: int) -> Iterator[Raw | Broken]:
    path = Path(shard.files[0])
    row, why = 0, None
    try:
        at_once = STREAM if in_store(path) else BUFFER
        file = pq.ParquetFile(for_arrow(path), pre_buffer=False, buffer_size=at_once, page_checksum_verification=True)
    except _DAMAGE as problem:
        yield Broken(f"{UNREADABLE_PARQUET}: {_first_line(problem)}")
        return
    with file:
        names = _columns(shard, file.schema_arrow)
        for group in range(file.num_row_groups):
            end = row + file.metadata.row_group(group).num_rows
            try:
                for batch in file.iter_batches(BATCH, row_groups=[group], columns=names):
                    yield from _raws(batch, names, row, max_bytes)
                    row += batch.num_rows
            except _DAMAGE as problem:
                why = why or f"{UNREADABLE_PARQUET}: row {row} on in row group {group}: {_first_line(problem)}"
            if end - row > size(path):  # the footer is nonsense too
                break
            for lost in range(row, end):
                yield Raw(f"{lost:09d}", offset=lost, problem=UNREADABLE_PARQUET)
            row = end
    if why is not None:
        yield Broken(why)


def _first_line(problem: BaseException) -> str:
    return as_text((str(problem).splitlines() or [type(problem).__name__])[0])


def _columns(shard: Shard, schema: pa.Schema) -> list[str]:
    """The image's column, the caption's, and what identifies a sample. PoolError where one of the first two lacks."""
    image = next((name for name in IMAGE_COLUMNS if name in schema.names and _holds_bytes(schema.field(name))), None)
    caption = next((name for name in CAPTION_COLUMNS if name in schema.names and _is_text(schema.field(name))), None)
    if image is None or caption is None:
        found = ", ".join(f"{field.name} ({field.type})" for field in schema)
        raise PoolError(
            f"{shard.path}: an image column ({', '.join(IMAGE_COLUMNS)}) of bytes and a caption column "
            f"({', '.join(CAPTION_COLUMNS)}) of text were expected; it has {found}"
        )
    return [image, caption, *(n for n in ("key", "uid", "url", "status", "error_message") if n in schema.names)]


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_text(field: pa.Field) -> bool:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    return _is_bytes(kind) or bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _holds_bytes(field: pa.Field) -> bool:
    kind = field.type
    if pa.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _is_bytes(kind.field(place).type)
    return _is_bytes(kind)


def _raws(batch: pa.RecordBatch, names: list[str], row: int, max_bytes: int) -> Iterator[Raw]:
    """The batch's samples; rows that img2dataset recorded as failed are none."""
    images, members = _images(batch.column(names[0]))
    captions = _bytes(batch.column(names[1]))
    facts = {name: _bytes(batch.column(name)) for name in names[2:]}
    failed = _failed(facts)
    for place, image in enumerate(images):
        if failed and failed[place]:
            continue
        key, uid, url = (_text(facts[name][place]) if name in facts else None for name in ("key", "uid", "url"))
        own = leading_nowhere(key or "")
        raw = Raw(own or f"{row + place:09d}", _text(members[place]) or "", row + place, image, captions[place])
        raw.uid, raw.url = uid, url
        if "." in raw.key.rpartition("/")[2]:
            raw.problem = DOTTED_KEY
        if image is not None and len(image) > max_bytes:
            raw.image, raw.problem = None, TOO_MANY_BYTES
        yield raw


def _failed(facts: dict[str, list[bytes | None]]) -> list[bool]:
    """Which rows img2dataset recorded as failed; empty where the file is not img2dataset's."""
    if not {"status", "error_message"} <= set(facts):
        return []
    return [(_text(status) or "").startswith(FAILED) for status in facts["status"]]


def _images(column: pa.Array) -> tuple[Sequence[bytes | None], Sequence[bytes | None]]:
    """Each row's image and the name it had as a file."""
    if not pa.types.is_struct(column.type):
        return column.to_pylist(), [None] * len(column)
    named = column.type.get_field_index("path") >= 0
    names = _bytes(pc.struct_field(column, "path")) if named else [None] * len(column)
    return pc.struct_field(column, "bytes").to_pylist(), names


def _bytes(column: pa.Array) -> list[bytes | None]:
    """A text column's bytes, since Parquet does not promise that text is UTF-8; nulls for what is no text."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not _is_text(pa.field("", column.type)):
        return [None] * len(column)
    values: list[bytes | None] = column.cast(pa.large_binary()).to_pylist()
    return values


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "backslashreplace")


def failed_in(path: Path) -> int:
    """Rows that img2dataset recorded as failed; 0 where the file is absent or not img2dataset's."""
    try:
        with pq.ParquetFile(for_arrow(path)) as file:
            if not {"status", "error_message"} <= set(file.schema_arrow.names):
                return 0
            status = file.read(["status"])["status"].cast(pa.string())
        return int(pc.sum(pc.starts_with(status, FAILED)).as_py() or 0)
    except _DAMAGE:
        return 0
