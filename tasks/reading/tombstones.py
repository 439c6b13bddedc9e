"""Tombstones: what a deletion request leaves behind, so that the sample is refused when it comes again.

    forgotten/tombstones.json    the pool's salt, and a salted hash of each forgotten uid and image

A hash tells nothing by itself, but whoever has the lake and the uid, or the image, can tell that it was forgotten: less
would not refuse it. A forgotten row keeps its place, since every file is row-aligned; the first half of its uid's hash
stands where the uid stood.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from tasks.errors import LakeError
from tasks.files import write_json
from tasks.lake import Lake
from tasks.samples import QUARANTINED

FORGOTTEN: Final = "forgotten"  # the reason for which ingest quarantines it
_ERASED: Final = ("member", "caption", "width", "height", "sha256")  # columns of `samples` that say what it was


class Tombstones(NamedTuple):
    """The salted hashes of what may not come back; sent to the workers."""

    salt: str = ""  # 64 hex digits; empty where nothing was ever forgotten
    hashes: frozenset[str] = frozenset()  # 64 hex digits each

    @property
    def marks(self) -> list[str]:
        """What a key is made of besides, where something was forgotten: another request, another decision."""
        return [hashlib.sha256("".join(sorted(self.hashes)).encode()).hexdigest()] if self.hashes else []

    def refuses(self, uid: str, sha256: str | None) -> bool:
        """Whether the sample's uid, or its image's bytes, were forgotten."""
        if not self.hashes:
            return False
        return self.hash_of("uid", uid) in self.hashes or (
            sha256 is not None and self.hash_of("image", sha256) in self.hashes
        )

    def hash_of(self, kind: str, value: str) -> str:
        """The salted hash of a `uid`, or of an `image`'s sha256."""
        return hmac.new(bytes.fromhex(self.salt), f"{kind}\0{value}".encode(), hashlib.sha256).hexdigest()

    def pseudonym(self, uid: str) -> str:
        """What stands where the uid stood: 32 hex digits."""
        return self.hash_of("uid", uid)[:32]


NONE: Final = Tombstones()


def path_of(lake: Lake) -> Path:
    return lake.home / "forgotten" / "tombstones.json"


def read_tombstones(lake: Lake) -> Tombstones:
    """The pool's tombstones; empty ones where nothing was forgotten. LakeError where the file is damaged."""
    path = path_of(lake)
    if not path.exists():
        return NONE
    try:
        facts = json.loads(path.read_text("utf-8"))
        found = Tombstones(facts["salt"], frozenset(one["hash"] for one in facts["tombstones"]))
        bytes.fromhex(found.salt)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise LakeError(
            f"{path} is damaged ({type(problem).__name__}: {problem}); restore it from a backup: without it what was "
            "forgotten would come back"
        ) from None
    return found


def begin(lake: Lake) -> Tombstones:
    """The pool's tombstones, with a salt made for a first request and not yet written."""
    found = read_tombstones(lake)
    return found if found.salt else Tombstones(secrets.token_hex(32))


def add(lake: Lake, stones: Tombstones, samples: Iterable[Mapping[str, Any]], time: str) -> None:
    """Write tombstones of samples (uid, sha256: None where the image was never read); those that are there stay."""
    path = path_of(lake)
    known = json.loads(path.read_text("utf-8"))["tombstones"] if path.exists() else []
    there = {one["hash"] for one in known}
    for sample in samples:
        for kind, value in (("uid", sample["uid"]), ("image", sample["sha256"])):
            if value is not None and (hashed := stones.hash_of(kind, value)) not in there:
                there.add(hashed)
                known.append({"kind": kind, "hash": hashed, "time": time})
    write_json(path, {"salt": stones.salt, "tombstones": known})


def blank(row: Mapping[str, Any], pseudonym: str) -> dict[str, Any]:
    """A row of the `samples` group with nothing left of what it was but its place."""
    gone: dict[str, Any] = dict.fromkeys(_ERASED)
    return {**row, **gone, "uid": pseudonym, "key": pseudonym, "status": QUARANTINED, "reason": FORGOTTEN}


def refuse(row: dict[str, Any], stones: Tombstones) -> dict[str, Any] | None:
    """The blanked row where the sample is refused, None where it may come in."""
    return blank(row, stones.pseudonym(row["uid"])) if stones.refuses(row["uid"], row["sha256"]) else None
