"""A small lake that a whole run made, with hostile captions among its near-duplicates: what the pages are tested on."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from tests.drawn_pool import draw, draw_pool
from tests.flows.runs import TOML, curated, settings
from tests.small_pool import member
from tests.tasks.queued import HOSTILE

GROUPS = """
[groups.person]
terms = ["woman", "man", "child"]
[groups."person/woman"]
terms = ["woman"]
[groups."person/man"]
terms = ["man"]
[groups."a woman in red"]
all = ["person/woman", "red"]
[groups.red]
terms = ["red"]
[attributes.crossed]
terms = ["cross"]
[attributes.flagged]
classifier = "redcross"
above = 0.5
"""


@pytest.fixture(scope="session")
def curated_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run on 240 drawn samples and a shard of copies of one image, each with a caption that tries something.

    Read only: a test that appends labels copies it.
    """
    folder = tmp_path_factory.mktemp("pools")
    pool = folder / "shapes"
    draw_pool(pool, 240, shard_rows=80)
    hostile_shard(pool / "00009.tar")
    (pool / "groups.toml").write_text(GROUPS, "utf-8")
    audit = {**TOML["audit"], "groups": str(pool / "groups.toml")}
    curated(pool, folder / "lake", settings(pool, audit=audit))
    return folder / "lake"


def hostile_shard(path: Path) -> None:
    """Copies of one drawn image; their captions are markup of every kind."""
    out = io.BytesIO()
    draw(3, 64)[0].save(out, "PNG")
    with tarfile.open(path, "w") as tar:
        for number, caption in enumerate(caption for caption in HOSTILE if caption):
            member(tar, f"0{number}.png", out.getvalue())
            member(tar, f"0{number}.txt", caption.encode())
            member(tar, f"0{number}.json", json.dumps({"uid": f"{0xBAD + number:032x}"}).encode())
