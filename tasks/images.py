"""Image bytes → a decoded RGB image, or the reason why not. Nothing is decoded before its size is known to be safe."""

from __future__ import annotations

import io
import warnings
from typing import Any, Final

from PIL import Image, ImageFile, ImageOps

from tasks import samples

ImageFile.LOAD_TRUNCATED_IMAGES = False

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_SIGNATURES: Final = (  # formats that a pool may hold though they are not decoded, by their first bytes
    b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF", b"8BPS", b"%!PS", b"%PDF", b"<svg",
    b"<?xml", b"\0\0\1\0", b"\0\0\0\x0cjP", b"\xff\x4f\xff\x51", b"v/1\x01", b"#?RADIANCE", b"DDS ", b"P6", b"P5",
)  # fmt: skip


class ImageProblem(Exception):
    """An image that cannot be used; the text is one of the quarantine reasons."""


def decode(data: bytes, max_pixels: int, formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """An upright 8-bit RGB image: first frame, transparency over white, 16 bits scaled. Raises ImageProblem."""
    if not data:
        raise ImageProblem(samples.ZERO_BYTES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=formats)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise ImageProblem(samples.TOO_MANY_PIXELS) from None
    except (OSError, ValueError, SyntaxError, TypeError, IndexError, KeyError, OverflowError, EOFError):
        raise ImageProblem(_unopened(data, formats)) from None
    if image.width * image.height > max_pixels:
        raise ImageProblem(samples.TOO_MANY_PIXELS)
    try:
        image.load()
        return _rgb(ImageOps.exif_transpose(image))
    except MemoryError:
        raise ImageProblem(samples.TOO_MANY_PIXELS) from None
    except (OSError, ValueError, SyntaxError, TypeError, IndexError, KeyError, OverflowError, EOFError) as problem:
        cut = "truncat" in str(problem).lower() or "unexpected end" in str(problem).lower()
        raise ImageProblem(samples.TRUNCATED_IMAGE if cut else samples.UNREADABLE_IMAGE) from None


def _unopened(data: bytes, formats: tuple[str, ...]) -> str:
    """Why bytes did not open: another format than the ones allowed, or no image."""
    start = data[:64].lstrip()
    allowed: dict[str, Any] = {
        "JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG", "GIF": b"GIF8", "BMP": b"BM", "WEBP": b"RIFF",
    }  # fmt: skip
    if any(start.startswith(allowed[name]) for name in formats if name in allowed):
        return samples.TRUNCATED_IMAGE if len(data) < 64 else samples.UNREADABLE_IMAGE
    if start.startswith(_SIGNATURES) or data[4:8] == b"ftyp":
        return samples.FORBIDDEN_FORMAT
    return samples.UNREADABLE_IMAGE


def _rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB of any mode that Pillow reads."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _narrow(image).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _narrow(image: Image.Image) -> Image.Image:
    """A 16-bit or wider grey image scaled to 8 bits; values beyond 16 bits are clipped."""
    import numpy as np

    values = np.asarray(image, dtype=np.float64)
    if image.mode == "F" and values.size and float(values.max()) <= 1.0:
        values = values * 65535.0
    return Image.fromarray(np.clip(values / 257.0, 0, 255).astype(np.uint8))
