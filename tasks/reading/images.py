"""Image bytes → a decoded RGB image, or the reason why not. Nothing is decoded before its size is known to be safe."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import Final, Literal

from PIL import Image, ImageFile

from tasks import samples

ImageFile.LOAD_TRUNCATED_IMAGES = False
# Its remarks on single images are answered here with a reason. Filters are the process's, so not to be set by a thread.
warnings.filterwarnings("ignore", module="PIL")

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
ORIENTATION: Final = 0x0112  # EXIF: how the camera was held
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_SIGNATURES: Final = {  # first bytes → a format that is decoded
    b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"GIF8": "GIF", b"BM": "BMP",
    b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "TIFF", b"MM\0+": "TIFF",
}  # fmt: skip
_OTHERS: Final = (  # first bytes of formats that a pool may hold though they are not decoded
    b"8BPS", b"%!PS", b"%PDF", b"\0\0\1\0", b"\0\0\0\x0cjP", b"\xff\x4f\xff\x51", b"\xff\x0a", b"\0\0\0\x0cJXL",
    b"v/1\x01", b"#?RADIANCE", b"DDS ", b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"P7", b"RIFF",
)  # fmt: skip
# What Pillow's readers raise on nonsense: they catch little of what Python itself raises.
_UNREADABLE: Final = (OSError, EOFError, ValueError, SyntaxError, TypeError, LookupError, ArithmeticError,
                      AttributeError, AssertionError, RuntimeError, struct.error, zlib.error)  # fmt: skip


class ImageProblem(Exception):
    """An image that cannot be used; the text is one of the quarantine reasons."""


def decode(data: bytes, max_pixels: int, formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """An upright 8-bit RGB image: first frame, transparency over white, 16 bits scaled. Raises ImageProblem."""
    if not data:
        raise ImageProblem(samples.ZERO_BYTES)
    try:
        image = Image.open(io.BytesIO(data), formats=formats)
        if image.width * image.height > max_pixels:
            raise ImageProblem(samples.TOO_MANY_PIXELS)
        image.load()
        return _rgb(_upright(image))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError, MemoryError):
        raise ImageProblem(samples.TOO_MANY_PIXELS) from None
    except _UNREADABLE as problem:
        raise ImageProblem(_reason(data, formats, problem)) from None


def _reason(data: bytes, formats: tuple[str, ...], problem: BaseException) -> str:
    """Why bytes did not become an image: another format than those allowed, a part of an image, or none."""
    kind = _format(data)
    if kind is None:
        return samples.UNREADABLE_IMAGE
    if kind not in formats:
        return samples.FORBIDDEN_FORMAT
    cut = "truncated" in str(problem).lower() or _lacks_end(data, kind)
    return samples.TRUNCATED_IMAGE if cut else samples.UNREADABLE_IMAGE


def _format(data: bytes) -> str | None:
    """The format that the first bytes announce; "other" for one that is never decoded, None for no image."""
    if data.startswith(b"RIFF") and data[8:12] in (b"WEBP", b""):
        return "WEBP"
    for start, name in _SIGNATURES.items():
        if data.startswith(start):
            return name
    text = data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if data.startswith(_OTHERS) or data[4:8] == b"ftyp" or (text.startswith(b"<") and b"<svg" in text):
        return "other"
    return None


def _lacks_end(data: bytes, kind: str) -> bool:
    """Whether the bytes stop before the format's end."""
    size = len(data)
    if kind == "PNG":
        return b"IEND" not in data
    if kind == "JPEG":
        return not data.rstrip(b"\0\r\n ").endswith(b"\xff\xd9")
    if kind == "GIF":
        return not data.rstrip(b"\0").endswith(b";")
    if kind == "TIFF":  # the directory, whose place the header tells, is most often last: 12 bytes an entry
        order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
        place = int.from_bytes(data[4:8], order)
        return size < place + 2 or size < place + 2 + 12 * int.from_bytes(data[place : place + 2], order)
    announced = {"WEBP": data[4:8], "BMP": data[2:6]}[kind]
    return int.from_bytes(announced, "little") + (8 if kind == "WEBP" else 0) > size


def _upright(image: Image.Image) -> Image.Image:
    """The image as a viewer shows it. Damaged EXIF costs the rotation, not the image."""
    try:
        method = _UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
    except _UNREADABLE:
        method = None
    return image if method is None else image.transpose(method)


def _rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB of any mode that Pillow reads."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _narrow(image).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image)
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _narrow(image: Image.Image) -> Image.Image:
    """A grey image of 16 bits or more, in 8 bits. 16 bits lose their low byte, as Pillow does with 16-bit RGB.

    32 bits and floats do not tell their white: it is the least of 1 (floats), 255, 65535 and 2³²−1 that none exceeds.
    """
    import numpy as np

    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray((values >> 8).astype(np.uint8))
    values = np.nan_to_num(values.astype(np.float32))
    top = float(values.max(initial=0.0))
    white = next((w for w in (1.0, 255.0, 65535.0) if top <= w and (w > 1 or image.mode == "F")), 2.0**32 - 1)
    return Image.fromarray(np.clip(values * (255.0 / white), 0, 255).astype(np.uint8))
