"""Finds the colour-emoji font that the demo pool is drawn with, or brings one without root.

Looked for in this order: `SLUICE_EMOJI_FONT`, fontconfig, the system's font folders, our cache folder; then Debian's
package is downloaded and unpacked (not installed) into the cache folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tasks.errors import PoolError

PACKAGE = "fonts-noto-color-emoji"
GLYPH_SIZE = 109  # the only size, in pixels, at which Noto's bitmap glyphs exist; each is 136 × 128
SYSTEM_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts")
DOWNLOAD_SECONDS = 180

HOW_TO_GET_ONE = (
    f"Install one (apt-get install {PACKAGE}) or name a file "
    "(SLUICE_EMOJI_FONT=/path/to/NotoColorEmoji.ttf), then run again."
)


def find_font() -> Path:
    """The file of a font that draws colour emoji at `GLYPH_SIZE`.

    Raises PoolError if `SLUICE_EMOJI_FONT` names a file that cannot draw them, or if there is none and none could be
    brought.
    """
    named = os.environ.get("SLUICE_EMOJI_FONT")
    if named:
        return _checked(Path(named).expanduser())
    for candidate in _candidates():
        if draws_colour(candidate):
            return candidate
    return _bring(cache_folder())


def cache_folder() -> Path:
    """Where a font that we bring is kept: `XDG_CACHE_HOME` (else ~/.cache) /sluice/fonts."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "sluice" / "fonts"


def draws_colour(path: Path) -> bool:
    """Whether Pillow draws a grinning face from this file in colours."""
    try:
        font = ImageFont.truetype(str(path), GLYPH_SIZE)
        image = Image.new("RGB", (136, 128), "white")
        ImageDraw.Draw(image).text((0, 0), "\U0001f600", font=font, embedded_color=True)
    except OSError:  # not a font, or a bitmap font without this size
        return False
    red, green, blue = image.resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    return max(red, green, blue) - min(red, green, blue) > 10  # outlines without colour come out grey


def _checked(path: Path) -> Path:
    if draws_colour(path):
        return path
    found = "a file that cannot" if path.is_file() else "no such file"
    raise PoolError(
        f"SLUICE_EMOJI_FONT must name a font that draws colour emoji at {GLYPH_SIZE} px; {path} is {found}. "
        + HOW_TO_GET_ONE
    )


def _candidates() -> Iterator[Path]:
    yield from _from_fontconfig()
    for folder in (*SYSTEM_FOLDERS, str(cache_folder())):
        yield from sorted(Path(folder).expanduser().rglob("*Emoji*.ttf"))


def _from_fontconfig() -> list[Path]:
    """Colour fonts that fontconfig knows, Noto's bitmap font first; empty without fontconfig."""
    if shutil.which("fc-list") is None:
        return []
    listed = subprocess.run(
        ["fc-list", ":color=true", "--format", "%{file}\n"], capture_output=True, text=True, check=False
    )
    paths = {Path(line) for line in listed.stdout.splitlines() if line}
    return sorted(paths, key=lambda path: (path.name != "NotoColorEmoji.ttf", str(path)))


def _bring(cache: Path) -> Path:
    """Downloads Debian's package and unpacks the font into the cache folder; raises PoolError if it cannot."""
    missing = [tool for tool in ("apt-get", "dpkg") if shutil.which(tool) is None]
    if missing:
        raise PoolError(
            f"No colour-emoji font is installed, and without {' and '.join(missing)} none can be brought. "
            + HOW_TO_GET_ONE
        )
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as aside:
        unpacked = _unpack(Path(aside))
        final = cache / unpacked.name
        unpacked.replace(final)  # a rename within one folder: whole or absent
    return _checked_download(final)


def _unpack(folder: Path) -> Path:
    if os.geteuid() == 0 and not _lists_present():
        _run(["apt-get", "update"], folder)  # as root only; it changes package lists and nothing else
    _run(["apt-get", "download", PACKAGE], folder)
    package = next(folder.glob("*.deb"), None)
    if package is None:
        raise PoolError(f"apt-get download {PACKAGE} left no .deb file. {HOW_TO_GET_ONE}")
    _run(["dpkg", "-x", package.name, "."], folder)
    font = next(folder.rglob("*.ttf"), None)
    if font is None:
        raise PoolError(f"{package.name} holds no .ttf file. {HOW_TO_GET_ONE}")
    return font


def _checked_download(path: Path) -> Path:
    if not draws_colour(path):
        raise PoolError(f"{PACKAGE} came, but {path} draws no colour emoji at {GLYPH_SIZE} px. {HOW_TO_GET_ONE}")
    return path


def _lists_present() -> bool:
    return any(Path("/var/lib/apt/lists").glob("*_Packages*"))


def _run(command: list[str], folder: Path) -> None:
    shown = " ".join(command)
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise PoolError(
            f"No colour-emoji font is installed, and `{shown}` took over {DOWNLOAD_SECONDS} s. {HOW_TO_GET_ONE}"
        ) from error
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no message"])[-1]
        if not _lists_present():
            why += " (the package lists are absent: `apt-get update` as root brings them)"
        raise PoolError(f"No colour-emoji font is installed, and `{shown}` failed: {why}. {HOW_TO_GET_ONE}")
