"""Where samples come from: lists a pool's shards and streams one shard's raw samples. Knows no image and no verdict.

Layouts: tar shards (webdataset, img2dataset), Parquet with image bytes (Hugging Face), folders of images with
metadata.jsonl or .txt beside them; in a folder or in an object store. Nothing is extracted or copied, and little more
than one sample is held.
"""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from tasks.errors import PoolError
from tasks.reading.raw import IMAGES, Broken, Raw, Shard, as_text, bytes_of
from tasks.reading.read_folder import list_folders, read_folder
from tasks.reading.read_parquet import IMAGE_COLUMNS, failed_in, read_parquet
from tasks.reading.read_tar import read_tar
from tasks.samples import DUPLICATE_KEY
from tasks.storing.addresses import copies, is_address, is_copy, located_pool, shown
from tasks.storing.objects import AT_ONCE
from tasks.storing.streams import absent, in_store, is_object, objects_below

__all__ = [
    "IMAGES", "IMAGE_COLUMNS", "Broken", "Raw", "Shard", "bytes_of", "expect_files", "failed_rows", "list_shards",
    "read_shard", "shard_digest",
]  # fmt: skip

TARS: Final = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
MARKS: Final = "*?[{"  # of a glob or a brace list
MARKED: Final = r"[*?\[{]"
READERS: Final = {"tar": read_tar, "parquet": read_parquet, "folder": read_folder}


def list_shards(source: str) -> tuple[Path, list[Shard]]:
    """A pool's root and its shards in path order. PoolError: nothing there, or no layout that we read.

    `source` is a folder, one shard, a glob or a brace list such as pool/{00000..00099}.tar; here, or s3://bucket/…,
    which may be Unavailable too.
    """
    if is_address(source):
        return _stored(source)
    path = Path(source).absolute()
    if path.is_file():
        return path.parent, [file_shard(path.parent, path)]
    if not path.is_dir():
        if any(mark in source for mark in MARKS):
            return _listed(source)
        raise PoolError(f"{source} is neither a file nor a folder; give a folder, shard, glob or brace list")
    files = sorted(p for p in path.rglob("*") if p.is_file() and not _hidden(p.relative_to(path)))
    shards = [file_shard(path, p) for p in _shards_among(files)] or list_folders(path, files)
    if not shards:
        raise PoolError(f"the folder {source} holds no .tar, no .parquet and no image; see `sluice curate --help`")
    return path, shards


def _stored(source: str) -> tuple[Path, list[Shard]]:
    """`list_shards` for a pool in an object store; its paths stand for objects."""
    if any(mark in source for mark in MARKS):
        return _listed_there(source)
    path = located_pool(source)
    files = [file for file in objects_below(path) if not _hidden(file.relative_to(path))]
    if not files and is_object(path):
        return path.parent, [file_shard(path.parent, path)]
    shards = [file_shard(path, file) for file in _shards_among(files)] or list_folders(path, files)
    if not shards:
        found = f"{len(files):,} other objects" if files else "nothing"
        raise PoolError(
            f"the pool {source}: an object or a folder with .tar, .parquet or images was expected, {found} was found "
            "there; correct the address"
        )
    return path, shards


def is_empty(address: str) -> bool:
    """Whether nothing is below an address yet. What a pattern names is expected to be there."""
    return not any(mark in address for mark in MARKS) and not objects_below(located_pool(address))


def _listed_there(source: str) -> tuple[Path, list[Shard]]:
    """The shards that a glob or a brace list of addresses names, among all objects below what they share."""
    from fsspec.utils import glob_translate

    root = located_pool(re.split(MARKED, source)[0] + "x").parent
    if root == copies():
        raise PoolError(f"the pool {source}: a bucket's name was expected without any of {MARKS}")
    there = dict.fromkeys(objects_below(root))
    files: set[Path] = set()
    for name in _expanded(source):
        path = located_pool(name)
        if path in there:
            files.add(path)
            continue
        pattern = re.compile(glob_translate(str(path)))
        files.update(_expected(name, _shards_among([one for one in there if pattern.match(str(one))])))
    return root, [file_shard(root, path) for path in sorted(files)]


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _shards_among(files: list[Path]) -> list[Path]:
    """The tars, else the Parquet files: beside a tar, or of clip-retrieval, Parquet tells of samples and holds none."""
    tars = [path for path in files if path.name.endswith(TARS)]
    return tars or [path for path in files if path.suffix == ".parquet" and path.parent.name != "metadata"]


def _listed(source: str) -> tuple[Path, list[Shard]]:
    """The shards that a glob or a brace list names."""
    files: set[Path] = set()
    for name in _expanded(source):
        files.update(_named(name))
    root = Path(re.split(MARKED, source)[0] + "x").absolute().parent
    return root, [file_shard(root, path) for path in sorted(files)]


def _expanded(source: str) -> list[str]:
    """What a brace list names."""
    from braceexpand import braceexpand

    try:
        return list(braceexpand(source))
    except ValueError:
        raise PoolError(f"the pool {source} lacks a brace; a list is written as pool/{{00000..00099}}.tar") from None


def _named(name: str) -> list[Path]:
    """One name's file, or a glob's shards."""
    path = Path(name).absolute()
    if path.is_file():
        return [path]
    below = path.relative_to(path.anchor)
    return _expected(name, _shards_among(sorted(p for p in Path(path.anchor).glob(str(below)) if p.is_file())))


def _expected(name: str, found: list[Path]) -> list[Path]:
    """What was found under a name, if anything was."""
    if not found:
        raise PoolError(f"the pool names {name}, which does not exist; correct the list, or give the folder")
    return found


def is_file(name: str) -> bool:
    """Whether a shard of that name is a file, and not images of a folder."""
    return name.endswith((*TARS, ".parquet"))


def file_shard(root: Path, path: Path) -> Shard:
    """A tar or a Parquet file as a shard. PoolError where it is neither."""
    name = as_text(path.relative_to(root).as_posix())
    if path.name.endswith(TARS):
        return Shard(name, "tar", (str(path),))
    if path.suffix == ".parquet":
        return Shard(name, "parquet", (str(path),))
    raise PoolError(f"a shard is a .tar or a .parquet, not {shown(path)}")


def shard_digest(shard: Shard, digest: Callable[[Path], str]) -> str:
    """sha256 of a shard's content; `digest` gives that of one file. PoolError where a file cannot be read."""
    try:
        if shard.layout != "folder":
            return digest(Path(shard.files[0]))
        paths = [Path(name) for name in shard.files]
        with ThreadPoolExecutor(AT_ONCE) if in_store(paths[-1]) else nullcontext() as threads:
            digests = list(threads.map(digest, paths) if threads is not None else map(digest, paths))
        lines = [f"{path.name}\0{one}\n" for path, one in zip(paths, digests, strict=True)]
    except OSError as problem:
        raise PoolError(f"{shard.path}: cannot be read ({problem}); restore it, or leave it out") from None
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def expect_files(shard: Shard) -> None:
    """PoolError where the shard is not there: a worker that cannot see the pool must not find its samples missing."""
    for path in absent(map(Path, shard.files)):
        if is_copy(path):
            raise PoolError(f"{shard.path}: there is no {shown(path)} any more; bring the shard back, and run again")
        raise PoolError(
            f"{shard.path}: there is no {path} on {socket.gethostname()}; workers read the pool by the paths that "
            "the run reads it by: mount it there, or bring the shard back, and run again"
        )


def failed_rows(shard: Shard) -> int:
    """Downloads that img2dataset recorded as failed: in the Parquet beside a tar, or in the shard itself."""
    if shard.layout == "folder":
        return 0
    return failed_in(Path(re.sub(r"(\.tar(\.gz|\.bz2|\.xz)?|\.tgz)$", ".parquet", shard.files[0])))


def read_shard(shard: Shard, max_bytes: int) -> Iterator[Raw | Broken]:
    """The shard's samples in order; `Broken` last if not all could be read. Images above max_bytes are not read."""
    seen: set[str] = set()
    for item in READERS[shard.layout](shard, max_bytes):
        if isinstance(item, Raw):
            if item.key in seen and item.problem is None:
                item.problem = DUPLICATE_KEY
            seen.add(item.key)
        yield item
