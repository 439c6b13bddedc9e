"""The objects of a store, by the paths that stand for them: listed, read, written; and what goes wrong, told.

Keys and endpoint come from the environment alone, as every program of Amazon's takes them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from tasks.errors import LakeError, SluiceError, Unavailable, UsageError
from tasks.storing.addresses import endpoint, is_plain, name_of, shown

AT_ONCE: Final = 16  # transfers
ATTEMPTS: Final = 20  # at a name that another asks for at the same moment
SETTINGS: Final = {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 4, "mode": "standard"}}

_TAKEN: Final = ("PreconditionFailed", "412")
_NO_RANGE: Final = ("InvalidRange", "416")
_OF_TIME: Final = {
    "RequestTimeTooSkewed": "set this machine's clock: it is far from the store's",
    "ExpiredToken": "get new temporary keys, or set this machine's clock if these should still hold",
}
_BUSY: Final = ("ConditionalRequestConflict", "409")


class Entry(NamedTuple):
    """An object as a listing tells of it."""

    bytes: int
    tag: str  # changes with the content
    changed: float  # when it was stored, by the store's clock; seconds since 1970


def find(folder: Path) -> dict[str, Entry]:
    """All objects below a folder, by their names below it. LakeError where there is no such bucket."""
    return _listed(folder, "")[0]


def entries(folder: Path) -> tuple[dict[str, Entry], list[str]]:
    """The objects right in a folder, and the names of the folders in it. LakeError where there is no such bucket."""
    return _listed(folder, "/")


def _listed(folder: Path, delimiter: str) -> tuple[dict[str, Entry], list[str]]:
    files, folders = every(folder, delimiter)
    return {name: one for name, one in files.items() if is_plain(name)}, [name for name in folders if is_plain(name)]


def every(folder: Path, delimiter: str = "") -> tuple[dict[str, Entry], list[str]]:
    """Objects and folders whatever they are called: a name may be no path."""
    bucket, _, start = f"{name_of(folder)}/".partition("/")
    files: dict[str, Entry] = {}
    folders: list[str] = []
    for page in _pages(folder, {"Bucket": bucket, "Prefix": start, "Delimiter": delimiter}):
        files |= {one["Key"].removeprefix(start): _entry(one) for one in page.get("Contents", ())}
        folders += [one["Prefix"].removeprefix(start).removesuffix("/") for one in page.get("CommonPrefixes", ())]
    return files, folders


def entry(path: Path) -> Entry | None:
    """What the store tells of one object; None where there is none."""
    bucket, _, key = name_of(path).partition("/")
    with asking(path), suppress(FileNotFoundError):
        facts = client().call_s3("head_object", Bucket=bucket, Key=key)
        return _entry({**facts, "Size": facts["ContentLength"]})
    return None


def _entry(facts: dict[str, Any]) -> Entry:
    return Entry(facts["Size"], facts["ETag"], facts["LastModified"].timestamp())


def _pages(folder: Path, wanted: dict[str, str]) -> Iterator[dict[str, Any]]:
    """A listing, at most a thousand names at a time."""
    more: dict[str, str] = {}
    while True:
        with asking(folder):
            try:
                page = client().call_s3("list_objects_v2", **wanted, **more)
            except FileNotFoundError:
                raise LakeError(
                    f"{shown(folder)}: there is no bucket {wanted['Bucket']}; make it, or correct the address"
                ) from None
        yield page
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}


def get(wanted: Mapping[Path, Path]) -> None:
    """Copy objects: path that stands for one → file to write."""
    if wanted:
        with asking(next(iter(wanted))):
            client().get(
                [name_of(path) for path in wanted], [str(file) for file in wanted.values()], batch_size=AT_ONCE
            )


def put(wanted: Mapping[Path, Path]) -> None:
    """Store files: file → path that stands for the object."""
    if wanted:
        with asking(next(iter(wanted.values()))):
            names = [name_of(path) for path in wanted.values()]
            client().put([str(file) for file in wanted], names, batch_size=AT_ONCE)


def read(path: Path) -> bytes:
    """An object as it is now. FileNotFoundError where there is none."""
    with asking(path):
        data: bytes = client().cat_file(name_of(path))
    return data


def start_of(path: Path, most: int) -> bytes:
    """An object's first bytes, at most `most`. FileNotFoundError where there is none."""
    with asking(path):
        try:
            data: bytes = client().cat_file(name_of(path), start=0, end=most)
        except OSError as problem:
            if _code(problem) not in _NO_RANGE:
                raise
            return b""  # no byte of it can be asked for
    return data


def write(path: Path, data: bytes) -> None:
    with asking(path):
        client().pipe_file(name_of(path), data)


def create(path: Path, data: bytes) -> bool:
    """Write an object of a name that was free; whether it was. Of several who try at once one succeeds."""
    bucket, _, key = name_of(path).partition("/")
    for _ in range(ATTEMPTS):
        try:
            client().call_s3("put_object", Bucket=bucket, Key=key, Body=data, IfNoneMatch="*")
            return True
        except Exception as problem:
            if _code(problem) in _TAKEN or isinstance(problem, FileExistsError):
                return read(path) == data  # ours, where the answer to a first attempt was lost
            if _code(problem) not in _BUSY:
                raise _told(problem, path) from problem
            time.sleep(0.1)
    raise Unavailable(f"{shown(path)}: the store stayed busy; run the same command again")


def remove(path: Path) -> None:
    """Remove an object; nothing where there is none."""
    with asking(path), suppress(FileNotFoundError):
        client().rm_file(name_of(path))


def client() -> Any:
    """The store's file system, as s3fs has it; one a process."""
    try:
        import s3fs
    except ImportError:
        raise UsageError("an object store needs s3fs, which is not there; pip install 'sluice[s3]'") from None
    return s3fs.S3FileSystem(endpoint_url=endpoint(), use_listings_cache=False, config_kwargs=SETTINGS)


@contextmanager
def asking(path: Path) -> Iterator[None]:
    """What goes wrong while the store is asked for an object, told; that there is none stays FileNotFoundError."""
    try:
        yield
    except (SluiceError, FileNotFoundError):
        raise
    except Exception as problem:
        raise _told(problem, path) from problem


def _told(problem: Exception, path: Path) -> SluiceError:
    """What went wrong with the store, and what to do."""
    from botocore.exceptions import NoCredentialsError, PartialCredentialsError

    what = f"{shown(path)}: {_without_request(problem)}"
    if isinstance(problem, (NoCredentialsError, PartialCredentialsError)):
        return UsageError(f"{what}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role")
    if isinstance(problem, PermissionError):
        todo = _OF_TIME.get(_code(problem), "see that the keys are right and may list, read and write there")
        return LakeError(f"{what}: the store refused; {todo}")
    at = endpoint() or "Amazon's"
    return Unavailable(f"{what}; the store ({at}) did not serve the request: see AWS_ENDPOINT_URL, then run again")


def _without_request(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}".splitlines()[0]


def _code(problem: BaseException) -> str:
    """The store's own word for what went wrong."""
    cause = getattr(problem, "response", None) or getattr(problem.__cause__, "response", None) or {}
    return str(cause.get("Error", {}).get("Code", ""))
