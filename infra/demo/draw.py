"""Draws the demo pool: every emoji as an image with its name, in img2dataset's layout.

A folder that is there is whole: the pool is drawn aside and renamed at the end. The same font, packages and
code give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageFont, features

from infra.demo.font import GLYPH_SIZE
from infra.demo.labels import write_labels
from infra.demo.names import Emoji, fully_qualified
from tasks.errors import PoolError

REVISION = 1
SHARD_ROWS = 1000
WIDTH, HEIGHT = 136, 128  # pixels: one of Noto's bitmap glyphs
MARKER = "demo-pool.json"  # what the pool was drawn from; its presence says that the folder is ours
CONFIG = Path(__file__).with_name("sluice.toml")
SPECIFICATION = Path(__file__).parent.parent / "categories" / "romance.toml"  # that CONFIG names
GROUPS = CONFIG.with_name("groups.toml")  # as well
COPIED = (CONFIG, SPECIFICATION, GROUPS)
NOWHERE = "\U0010ffff"  # a code point that no font may name

FAILED = "failed_to_download"  # img2dataset's word for a row without an image
MANY_GLYPHS = "the font draws it as {} glyphs, not as one"
NO_GLYPH = "the font has no glyph for it"

SCHEMA = pa.schema(
    [
        ("url", pa.string()),
        ("caption", pa.string()),
        ("key", pa.string()),
        ("status", pa.string()),
        ("error_message", pa.string()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("original_width", pa.int64()),
        ("original_height", pa.int64()),
        ("sha256", pa.string()),
        ("uid", pa.string()),
    ]
)

Row = dict[str, Any]


def draw_pool(out: Path, font: Path, emojis: Sequence[Emoji] | None = None, workers: int = 2) -> Path:
    """Draw `emojis` (default: all fully-qualified ones) into the folder `out`, and return it.

    Beside the shards it holds labels.csv, oracle-romance.csv, sluice.toml and what that names. Returns at once if `out`
    was drawn from the same. Raises PoolError if `out` holds something else, or if this Pillow cannot shape emoji.
    """
    emojis = fully_qualified() if emojis is None else emojis
    facts = _facts(font, emojis)
    if _drawn_from(out) == facts:
        return out
    _refuse_other_folders(out)
    _require_raqm()
    aside = out.parent / f".{out.name}.drawing"
    shutil.rmtree(aside, ignore_errors=True)  # what an interrupted call left
    aside.mkdir(parents=True)
    rows = _draw_shards(aside, font, emojis, workers)
    write_labels(aside, emojis, rows)
    for file in COPIED:
        shutil.copyfile(file, aside / file.name)
    (aside / MARKER).write_text(json.dumps(facts, indent=1), "utf-8")
    _put_in_place(aside, out)
    return out


def _facts(font: Path, emojis: Sequence[Emoji]) -> Row:
    names = "\n".join(f"{one.uid} {one.caption}" for one in emojis)
    return {
        "revision": REVISION,
        "font_sha256": hashlib.sha256(font.read_bytes()).hexdigest(),
        "emoji": version("emoji"),
        "pillow": version("pillow"),
        "names_sha256": hashlib.sha256(names.encode()).hexdigest(),
        "config_sha256": hashlib.sha256(b"".join(file.read_bytes() for file in COPIED)).hexdigest(),
    }


def _drawn_from(out: Path) -> Row | None:
    try:
        facts: Row = json.loads((out / MARKER).read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return facts


def _refuse_other_folders(out: Path) -> None:
    if out.is_dir() and ((out / MARKER).is_file() or not any(out.iterdir())):
        return
    if out.exists():
        raise PoolError(
            f"The demo pool is drawn into a new folder or over an earlier demo pool; {out} is neither "
            f"(it has no {MARKER}). Name another folder, or move this one away."
        )


def _require_raqm() -> None:
    if not features.check("raqm"):
        raise PoolError(
            "Drawing emoji needs Pillow with raqm, which joins their parts; this Pillow has none. Install what its own "
            "wheel loads (apt-get install libfribidi0), or that wheel (pip install --force-reinstall pillow), then run "
            "again."
        )


def _put_in_place(aside: Path, out: Path) -> None:
    replaced = out.parent / f".{out.name}.replaced"
    shutil.rmtree(replaced, ignore_errors=True)
    if out.exists():
        out.rename(replaced)
    aside.rename(out)
    shutil.rmtree(replaced, ignore_errors=True)


def _draw_shards(folder: Path, font: Path, emojis: Sequence[Emoji], workers: int) -> list[Row]:
    """One row for each emoji, in order."""
    shards = [list(emojis[start : start + SHARD_ROWS]) for start in range(0, len(emojis), SHARD_ROWS)]
    draw = partial(_draw_shard, folder, font)
    if min(workers, len(shards)) <= 1:
        drawn = list(map(draw, range(len(shards)), shards))
    else:
        # spawn: a fork would copy the locks of whatever threads the caller runs
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            drawn = list(pool.map(draw, range(len(shards)), shards))
    return [row for rows in drawn for row in rows]


def _draw_shard(folder: Path, font: Path, shard: int, emojis: Sequence[Emoji]) -> list[Row]:
    pen = Pen(font)
    rows = []
    with tarfile.open(folder / f"{shard:05d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for index, one in enumerate(emojis):
            png, problem = pen.draw(one.text)
            row = _row(one, f"{shard:05d}{index:04d}", png, problem)
            rows.append(row)
            if png is not None:
                _add(tar, row["key"] + ".png", png)
                _add(tar, row["key"] + ".txt", row["caption"].encode())
                _add(tar, row["key"] + ".json", json.dumps(row, ensure_ascii=False).encode())
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / f"{shard:05d}.parquet")
    failed = sum(row["status"] == FAILED for row in rows)
    counts = {
        "count": len(rows),
        "successes": len(rows) - failed,
        "failed_to_download": failed,
        "failed_to_resize": 0,
    }
    (folder / f"{shard:05d}_stats.json").write_text(json.dumps(counts, indent=1), "utf-8")
    return rows


def _row(one: Emoji, key: str, png: bytes | None, problem: str | None) -> Row:
    drawn = png is not None
    return {
        "url": one.url,
        "caption": one.caption,
        "key": key,
        "status": "success" if drawn else FAILED,
        "error_message": problem,
        "width": WIDTH if drawn else None,
        "height": HEIGHT if drawn else None,
        "original_width": WIDTH if drawn else None,
        "original_height": HEIGHT if drawn else None,
        "sha256": hashlib.sha256(png).hexdigest() if png is not None else None,
        "uid": one.uid,
    }


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # mtime, owner and group are 0: the same bytes every time
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


class Pen:
    """Draws one emoji on white, if the font has it as one glyph."""

    def __init__(self, font: Path) -> None:
        try:
            self.font = ImageFont.truetype(str(font), GLYPH_SIZE, layout_engine=ImageFont.Layout.RAQM)
        except OSError as error:
            raise PoolError(
                f"The demo pool is drawn with a colour-emoji font at {GLYPH_SIZE} px; {font} cannot be opened "
                f"as one ({error}). Name another with SLUICE_EMOJI_FONT."
            ) from error
        self.advance = self.font.getlength("\U0001f600")
        self.missing = self._image(NOWHERE).tobytes()

    def draw(self, text: str) -> tuple[bytes | None, str | None]:
        """(PNG bytes, None), or (None, why not)."""
        glyphs = round(self.font.getlength(text) / self.advance)
        if glyphs != 1:
            return None, MANY_GLYPHS.format(glyphs)
        image = self._image(text)
        if image.tobytes() == self.missing:
            return None, NO_GLYPH
        file = io.BytesIO()
        image.save(file, "PNG")
        return file.getvalue(), None

    def _image(self, text: str) -> Image.Image:
        image = Image.new("RGB", (WIDTH, HEIGHT), "white")
        ImageDraw.Draw(image).text((0, 0), text, font=self.font, embedded_color=True)
        return image
