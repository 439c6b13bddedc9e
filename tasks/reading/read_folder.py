"""Folders of images with metadata.jsonl (Hugging Face's imagefolder) or .txt beside them: listed and read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

from tasks.reading.ahead import in_order
from tasks.reading.raw import IMAGES, TEXT_BYTES, Broken, Raw, Shard, as_text, caption_in, ending_of, json_object
from tasks.samples import TOO_MANY_BYTES, UNREADABLE_IMAGE
from tasks.storing.objects import AT_ONCE
from tasks.storing.streams import has_name, in_store, opened, whole

FOLDER_PART: Final = 10_000  # images of one folder in one part
METADATA: Final = "metadata.jsonl"


def list_folders(root: Path, files: list[Path]) -> list[Shard]:
    """Folders of images, each cut into parts of at most FOLDER_PART images with what is said of them."""
    by_folder: dict[Path, list[Path]] = {}
    for path in files:
        by_folder.setdefault(path.parent, []).append(path)
    shards = []
    for folder, here in sorted(by_folder.items()):
        images = [path for path in here if ending_of(path.name) in IMAGES]
        beside = {path.stem: path for path in here if path.suffix == ".txt"}
        above = [folder, *(parent for parent in folder.parents if parent.is_relative_to(root))]
        listings = [parent / METADATA for parent in above if parent / METADATA in by_folder.get(parent, ())]
        for start in range(0, len(images), FOLDER_PART):
            chunk = images[start : start + FOLDER_PART]
            texts = [beside[stem] for stem in dict.fromkeys(path.stem for path in chunk) if stem in beside]
            name = as_text(f"{folder.relative_to(root).as_posix()}/{start // FOLDER_PART:05d}")
            shards.append(Shard(name, "folder", tuple(map(str, [*listings, *texts, *chunk]))))
    return shards


def read_folder(shard: Shard, max_bytes: int) -> Iterator[Raw | Broken]:
    files = [Path(name) for name in shard.files]
    images = [path for path in files if ending_of(path.name) in IMAGES]
    texts = {path.stem: path for path in files if path.suffix == ".txt"}
    facts, wrong = _metadata([path for path in files if path.name == METADATA], images[0].parent)

    def read(path: Path) -> Raw:
        return _raw(path, facts.get(path.name, {}), texts.get(path.stem), max_bytes)

    # An object is waited for, and many can be waited for together.
    yield from in_order(read, iter(images), AT_ONCE, ahead=AT_ONCE) if in_store(images[0]) else map(read, images)
    if wrong:
        yield Broken(wrong[0] if len(wrong) == 1 else f"{wrong[0]} (and {len(wrong) - 1} more lines)")


def _raw(path: Path, known: dict[str, Any], beside: Path | None, max_bytes: int) -> Raw:
    # A dot in a file's name is no error here, but a key with one would fall apart in an exported tar.
    raw = Raw(as_text(path.stem).replace(".", "_"), as_text(path.name), uid=known.get("uid"), url=known.get("url"))
    raw.caption = caption_in(known)
    try:
        if raw.caption is None and beside is not None:
            raw.caption = whole(beside, TEXT_BYTES)
            raw.problem = TOO_MANY_BYTES if raw.caption is None else None
        raw.image = whole(path, max_bytes)
        raw.problem = TOO_MANY_BYTES if raw.image is None else raw.problem
    except OSError:
        raw.problem = UNREADABLE_IMAGE  # gone since the pool was listed, or on a failing disk
    return raw


def _metadata(listings: list[Path], folder: Path) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """What the listings say of the folder's images, by file name, the nearest listing first; and what is wrong."""
    facts: dict[str, dict[str, Any]] = {}
    wrong: list[str] = []
    there = has_name(folder)
    for listing in listings:
        with opened(listing) as lines:
            here, bad = _listed(lines, listing.parent, folder, there)
        facts = {**here, **facts}
        wrong += bad
    return facts, wrong


def _listed(
    lines: Iterable[bytes], base: Path, folder: Path, there: Callable[[str], bool]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """What one listing in `base` says of the folder's images, by file name; and what is wrong with its lines."""
    here: dict[str, dict[str, Any]] = {}
    wrong: list[str] = []
    for number, line in enumerate(lines, 1):
        value = json_object(line)
        name = value.get("file_name")
        if not isinstance(name, str):
            wrong += [f"{METADATA} line {number} is not a JSON object with a file_name"] if line.strip() else []
        elif base / PurePosixPath(name).parent == folder:
            wrong += _doubtful(here, there, PurePosixPath(name).name, number)
            here.setdefault(PurePosixPath(name).name, value)
    return here, wrong


def _doubtful(here: dict[str, dict[str, Any]], there: Callable[[str], bool], name: str, number: int) -> list[str]:
    """What is wrong with a line that names one of the folder's images; of two lines for one image, the first counts."""
    if name in here:
        return [f"{METADATA} line {number} names {as_text(name)} a second time"]
    if not there(name):
        return [f"{METADATA} line {number} names {as_text(name)}, which is not there"]
    return []
