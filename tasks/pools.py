"""Where samples come from: lists a pool's shards and streams one shard's raw samples. Knows no image and no verdict.

Layouts: tar shards (webdataset, img2dataset), Parquet with image bytes (Hugging Face), folders of images with
metadata.jsonl or .txt beside them. Nothing is extracted, and no more than one sample is held.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.errors import PoolError
from tasks.samples import DOTTED_KEY, DUPLICATE_KEY, TOO_MANY_BYTES, TRUNCATED_TAR

IMAGES: Final = frozenset(
    ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "jp2", "svg", "psd", "ico", "eps")
)
CAPTION_COLUMNS: Final = ("caption", "text", "TEXT", "txt")
IMAGE_COLUMNS: Final = ("image", "jpg", "png", "webp", "image_bytes", "bytes")
TARS: Final = (".tar", ".tar.gz", ".tgz")
TEXT_BYTES: Final = 16 << 20  # a caption or a sidecar larger than this is not read
FOLDER_PART: Final = 10_000  # images of one folder in one part


@dataclasses.dataclass(frozen=True)
class Shard:
    """One piece of a pool that becomes one part."""

    path: str  # relative to the pool
    layout: str  # tar | parquet | folder
    files: tuple[str, ...]  # what it consists of; a folder's files in order


@dataclasses.dataclass
class Raw:
    """One sample as the shard has it, nothing judged yet."""

    key: str
    member: str = ""
    offset: int = 0
    image: bytes | None = None
    caption: bytes | str | None = None
    uid: Any = None
    url: Any = None
    problem: str | None = None  # why the shard itself already rules the sample out


@dataclasses.dataclass(frozen=True)
class Broken:
    """The last thing that a shard yields when reading it ended early."""

    why: str


def list_shards(source: str) -> tuple[Path, list[Shard]]:
    """A pool's root and its shards in path order. PoolError: nothing there, or no layout that we read.

    `source` is a folder, one shard, a glob or a brace list such as pool/{00000..00099}.tar.
    """
    path = Path(source)
    if path.is_file():
        return path.parent, [_one_file(path.parent, path)]
    if not path.is_dir():
        if any(mark in source for mark in "*?[{"):
            return _listed(source)
        raise PoolError(f"the pool {source} is neither a file nor a folder; give a folder, shard, glob or brace list")
    files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
    tars = [p for p in files if p.name.endswith(TARS)]
    parquets = [p for p in files if p.suffix == ".parquet" and p.parent.name != "metadata"]
    shards = [_one_file(path, p) for p in tars or parquets] or _folders(path, files)
    if not shards:
        raise PoolError(f"the folder {source} holds no .tar, no .parquet and no image; see `sluice curate --help`")
    return path, shards


def _listed(source: str) -> tuple[Path, list[Shard]]:
    from braceexpand import braceexpand

    files: list[Path] = []
    for name in braceexpand(source):
        anchor = Path(name).anchor
        found = sorted(Path(anchor or ".").glob(name.removeprefix(anchor)))
        if not found:
            raise PoolError(f"the pool names {name}, which does not exist; correct the list, or give the folder")
        files += found
    root = Path(re.split(r"[*?\[{]", source)[0] + "x").parent
    return root, [_one_file(root, path) for path in sorted(set(files))]


def _one_file(root: Path, path: Path) -> Shard:
    name = path.relative_to(root).as_posix()
    if path.name.endswith(TARS):
        return Shard(name, "tar", (str(path),))
    if path.suffix == ".parquet":
        return Shard(name, "parquet", (str(path),))
    raise PoolError(f"a shard is a .tar or a .parquet, not {path}")


def _folders(root: Path, files: list[Path]) -> list[Shard]:
    """Folders of images, each cut into parts of at most FOLDER_PART images with what belongs to them."""
    shards = []
    for folder in sorted({path.parent for path in files}):
        here = [path for path in files if path.parent == folder]
        images = [path for path in here if _suffix(path.name) in IMAGES]
        beside = {path.stem: path for path in here if path.suffix == ".txt"}
        listing = [path for path in here if path.name == "metadata.jsonl"]
        for start in range(0, len(images), FOLDER_PART):
            chunk = images[start : start + FOLDER_PART]
            texts = [beside[path.stem] for path in chunk if path.stem in beside]
            name = f"{folder.relative_to(root).as_posix()}/{start // FOLDER_PART:05d}"
            shards.append(Shard(name, "folder", tuple(map(str, [*listing, *texts, *chunk]))))
    return shards


def shard_digest(shard: Shard, digest: Callable[[Path], str]) -> str:
    """sha256 of a shard's content; `digest` gives that of one file."""
    if shard.layout != "folder":
        return digest(Path(shard.files[0]))
    lines = [f"{Path(name).name}\0{digest(Path(name))}\n" for name in shard.files]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def failed_rows(shard: Shard) -> int:
    """Downloads that img2dataset recorded as failed in the Parquet beside a tar; 0 where there is none."""
    if shard.layout != "tar":
        return 0
    beside = Path(re.sub(r"(\.tar|\.tar\.gz|\.tgz)$", ".parquet", shard.files[0]))
    try:
        status = pq.read_table(beside, columns=["status"], partitioning=None)["status"].to_pylist()
    except (OSError, pa.ArrowException):
        return 0  # absent, or not img2dataset's: nothing is recorded
    return sum(value != "success" for value in status)


def read_shard(shard: Shard, max_bytes: int) -> Iterator[Raw | Broken]:
    """The shard's samples in order; `Broken` last if reading ended early. Images above max_bytes are not read."""
    reader = {"tar": _read_tar, "parquet": _read_parquet, "folder": _read_folder}[shard.layout]
    seen: set[str] = set()
    for item in reader(shard, max_bytes):
        if isinstance(item, Raw):
            if item.key in seen and item.problem is None:
                item.problem = DUPLICATE_KEY
            seen.add(item.key)
        yield item


def _suffix(name: str) -> str:
    return name.rsplit(".", 1)[-1].lower() if "." in name else ""


def _text(name: str) -> str:
    """A member's name as text that any file format can hold."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


# --- tar: files that share a basename up to the first dot are one sample (webdataset)


def _read_tar(shard: Shard, max_bytes: int) -> Iterator[Raw | Broken]:
    group: dict[str, Any] = {}
    broken = None
    with Path(shard.files[0]).open("rb") as file:
        size = Path(shard.files[0]).stat().st_size
        try:
            with tarfile.open(fileobj=file, mode="r:" if shard.layout == "tar" and _plain(file) else "r|*") as tar:
                for info in tar:
                    if not info.isreg():
                        continue
                    base, _, ending = _split(info.name)
                    if group and group["base"] != base:
                        yield from _grouped(group)
                        group = {}
                    group = group or {"base": base, "members": []}
                    group["members"].append(_member(tar, info, ending, max_bytes))
                    tar.members = []  # type: ignore[attr-defined]  # else tarfile remembers every member of the shard
                if tar.offset + 512 > size and tar.fileobj is file:
                    broken = "the archive has no end mark: it was cut between two members"
        except (tarfile.TarError, EOFError, OSError) as problem:
            broken = f"the archive ends in the middle of a member ({problem})"
    if group:
        yield from _grouped(group, cut=broken is not None)
    if broken:
        yield Broken(f"truncated tar: {broken}")


def _plain(file: Any) -> bool:
    magic = file.read(2)
    file.seek(0)
    return magic not in (b"\x1f\x8b", b"BZ", b"\xfd7")


def _split(name: str) -> tuple[str, str, str]:
    """Folder and basename up to the first dot, the dot, the ending."""
    path = PurePosixPath(name)
    stem, dot, ending = path.name.partition(".")
    return str(path.parent / stem), dot, ending


def _member(tar: tarfile.TarFile, info: tarfile.TarInfo, ending: str, max_bytes: int) -> dict[str, Any]:
    is_image = _suffix(ending) in IMAGES or ending.lower() in IMAGES
    found = {
        "name": _text(info.name),
        "ending": ending.lower(),
        "offset": info.offset_data,
        "data": None,
        "large": False,
    }
    if info.size > (max_bytes if is_image else TEXT_BYTES):
        return {**found, "large": True}
    stream = tar.extractfile(info)
    data = stream.read() if stream is not None else b""
    if len(data) != info.size:
        raise tarfile.ReadError(f"{info.name}: {info.size} bytes were announced, {len(data)} are there")
    return {**found, "data": data, "large": False}


def _grouped(group: dict[str, Any], cut: bool = False) -> Iterator[Raw]:
    """The sample, or samples where names repeat, of the members that share a basename."""
    key = _text(PurePosixPath(group["base"]).name)
    rounds: list[dict[str, dict[str, Any]]] = [{}]
    dotted: dict[str, dict[str, Any]] = {}
    for member in group["members"]:
        ending = member["ending"]
        if "." in ending and _suffix(ending) in IMAGES:
            dotted[ending] = member
            continue
        slot = next((r for r in rounds if ending not in r), None)
        if slot is None:
            rounds.append(slot := {})
        slot[ending] = member
    has_image = any(ending in IMAGES for ending in rounds[0])
    if dotted and not has_image:
        for ending, member in dotted.items():
            dotted_key = f"{key}.{ending.rsplit('.', 1)[0]}"
            yield Raw(dotted_key, member["name"], member["offset"], member["data"], problem=DOTTED_KEY)
        return
    for number, members in enumerate(rounds):
        raw = _raw(key, members)
        if number:
            raw.problem = DUPLICATE_KEY
        if cut and (raw.image is None or raw.caption is None):
            raw.problem = TRUNCATED_TAR
        yield raw


def _raw(key: str, members: dict[str, dict[str, Any]]) -> Raw:
    raw = Raw(key)
    image = next((member for ending, member in members.items() if ending in IMAGES), None)
    if image is not None:
        raw.member, raw.offset, raw.image = image["name"], image["offset"], image["data"]
        if image["large"]:
            raw.problem = TOO_MANY_BYTES
    sidecar = _json(members["json"]["data"]) if "json" in members else {}
    raw.uid, raw.url = sidecar.get("uid"), sidecar.get("url")
    raw.caption = members["txt"]["data"] if "txt" in members else sidecar.get("caption")
    return raw


def _json(data: bytes | None) -> dict[str, Any]:
    try:
        value = json.loads(data) if data else {}
    except ValueError:
        return {}  # a damaged sidecar costs its facts, not the sample
    return value if isinstance(value, dict) else {}


# --- Parquet with image bytes


def _read_parquet(shard: Shard, max_bytes: int) -> Iterator[Raw | Broken]:
    row = 0
    try:
        with pq.ParquetFile(shard.files[0]) as file:
            image, caption = _columns(shard, file.schema_arrow.names)
            names = [n for n in (image, caption, "key", "uid", "url") if n in file.schema_arrow.names]
            for batch in file.iter_batches(batch_size=64, columns=names):
                for values in batch.to_pylist():
                    yield _parquet_raw(values, (image, caption), f"{row:09d}", row, max_bytes)
                    row += 1
    except (OSError, pa.ArrowException) as problem:
        yield Broken(f"unreadable Parquet after {row} rows: {str(problem).splitlines()[0]}")


def _columns(shard: Shard, names: list[str]) -> tuple[str, str]:
    image = next((name for name in IMAGE_COLUMNS if name in names), None)
    caption = next((name for name in CAPTION_COLUMNS if name in names), None)
    if image is None or caption is None:
        raise PoolError(
            f"{shard.path}: an image column ({', '.join(IMAGE_COLUMNS)}) and a caption column "
            f"({', '.join(CAPTION_COLUMNS)}) were expected; it has {', '.join(names)}"
        )
    return image, caption


def _parquet_raw(values: dict[str, Any], columns: tuple[str, str], key: str, row: int, max_bytes: int) -> Raw:
    image = values[columns[0]]
    name = ""
    if isinstance(image, dict):
        name, image = image.get("path") or "", image.get("bytes")
    own = values.get("key")
    raw = Raw(own if isinstance(own, str) and own else key, name, row, None, values[columns[1]])
    raw.uid, raw.url = values.get("uid"), values.get("url")
    if "." in raw.key:
        raw.problem = DOTTED_KEY
    if isinstance(image, bytes):
        raw.image = image if len(image) <= max_bytes else None
        raw.problem = raw.problem or (None if raw.image is not None else TOO_MANY_BYTES)
    return raw


# --- folders of images


def _read_folder(shard: Shard, max_bytes: int) -> Iterator[Raw | Broken]:
    files = [Path(name) for name in shard.files]
    facts: dict[str, dict[str, Any]] = {}
    broken = None
    for path in files:
        if path.name == "metadata.jsonl":
            facts, broken = _metadata(path)
    texts = {path.stem: path for path in files if path.suffix == ".txt"}
    for path in files:
        if _suffix(path.name) not in IMAGES:
            continue
        known = facts.get(path.name, {})
        raw = Raw(_text(path.stem).replace(".", "_"), _text(path.name), uid=known.get("uid"), url=known.get("url"))
        raw.caption = next((known[name] for name in CAPTION_COLUMNS if name in known), None)
        if raw.caption is None and path.stem in texts:
            raw.caption = texts[path.stem].read_bytes()[:TEXT_BYTES]
        if path.stat().st_size <= max_bytes:
            raw.image = path.read_bytes()
        else:
            raw.problem = TOO_MANY_BYTES
        yield raw
    if broken:
        yield Broken(broken)


def _metadata(path: Path) -> tuple[dict[str, dict[str, Any]], str | None]:
    """metadata.jsonl by file name, and what is wrong with it."""
    facts: dict[str, dict[str, Any]] = {}
    broken = None
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        value = _json(line)
        if isinstance(value.get("file_name"), str):
            facts[value["file_name"]] = value
        elif line.strip():
            broken = f"metadata.jsonl line {number} is not a JSON object with a file_name"
    return facts, broken
