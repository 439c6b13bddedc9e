import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tasks import samples
from tasks.reading.images import FORMATS, ImageProblem, decode
from tests.small_pool import encoded, picture

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")

LIMIT = 80_000_000


def pixels(data: bytes) -> np.ndarray:
    image = decode(data, LIMIT)
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def reason(data: bytes, limit: int = LIMIT, formats: tuple[str, ...] = FORMATS) -> str:
    with pytest.raises(ImageProblem) as problem:
        decode(data, limit, formats)
    return str(problem.value)


def halves(left: Any, right: Any, mode: str) -> Image.Image:
    """8 × 4 pixels: the left half of one value, the right half of another."""
    image = Image.new(mode, (8, 4), left)
    image.paste(right, (4, 0, 8, 4))
    return image


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


# --- what is not an image, or not a whole one


def test_no_bytes_are_zero_bytes() -> None:
    assert reason(b"") == samples.ZERO_BYTES


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_an_image_that_was_cut_is_truncated(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    assert reason(data[: int(len(data) * share)]) == samples.TRUNCATED_IMAGE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_an_image_cut_within_its_header_is_truncated(kind: str) -> None:
    assert reason(encoded(picture(1), kind)[:12]) == samples.TRUNCATED_IMAGE


def test_an_image_with_a_damaged_middle_is_unreadable() -> None:
    data = bytearray(encoded(Image.effect_noise((64, 64), 80).convert("RGB"), "PNG"))
    data[200:240] = bytes(40)
    assert reason(bytes(data)) == samples.UNREADABLE_IMAGE


@pytest.mark.parametrize(
    "text", [b"not an image", b"<!DOCTYPE html><title>404</title>", b"<?xml version='1.0'?><Error/>"]
)
def test_text_in_an_image_s_place_is_unreadable(text: bytes) -> None:
    assert reason(text) == samples.UNREADABLE_IMAGE


@pytest.mark.parametrize(
    "data",
    [
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b'\xef\xbb\xbf <?xml version="1.0"?>\n<!-- drawn -->\n<svg width="1"/>',
        b"%PDF-1.7\n",
        b"\0\0\0\x20ftypavif\0\0\0\0avifmif1",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        b"%!PS-Adobe-3.0 EPSF-3.0",
        b"8BPS\0\1",
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"P6 1 1 255\n\0\0\0",
    ],
)
def test_a_format_that_is_never_decoded_is_forbidden(data: bytes) -> None:
    assert reason(data) == samples.FORBIDDEN_FORMAT


@pytest.mark.parametrize("kind", FORMATS)
def test_a_format_that_the_configuration_leaves_out_is_forbidden(kind: str) -> None:
    others = tuple(name for name in FORMATS if name != kind)
    assert reason(encoded(picture(1), kind), formats=others) == samples.FORBIDDEN_FORMAT


# --- decompression bombs


@pytest.mark.parametrize("side", [8945, 13_000, 50_000, 2**31 - 1])
def test_a_small_file_that_declares_too_many_pixels_is_never_decoded(side: int) -> None:
    assert reason(png(side, side, 8, 2, b"\0" * 100)) == samples.TOO_MANY_PIXELS


def test_the_pixel_limit_is_exact() -> None:
    data = encoded(Image.new("RGB", (20, 10)))
    assert decode(data, 200).size == (20, 10)
    assert reason(data, 199) == samples.TOO_MANY_PIXELS


# --- modes, with the pixels that a viewer shows


def test_a_cmyk_jpeg_in_adobe_s_inverted_convention_keeps_its_colours() -> None:
    data = encoded(halves((0, 255, 255, 0), (255, 0, 255, 0), "CMYK").resize((32, 16)), "JPEG", quality=95)
    assert b"Adobe" in data
    found = pixels(data)
    assert np.abs(found[8, 2] - (255, 0, 0)).max() < 12
    assert np.abs(found[8, -3] - (0, 255, 0)).max() < 12


def test_sixteen_bit_grey_is_scaled_and_not_clipped() -> None:
    values = np.array([[0, 256, 32768, 65535]], dtype=np.uint16)
    assert pixels(encoded(Image.fromarray(values)))[0, :, 0].tolist() == [0, 1, 128, 255]
    assert pixels(encoded(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_sixteen_bit_colour_is_scaled() -> None:
    row = b"\0" + struct.pack(">6H", 65535, 32768, 0, 0, 257, 65535)
    assert pixels(png(2, 1, 16, 2, row)).tolist() == [[[255, 128, 0], [0, 1, 255]]]


def test_sixteen_bit_grey_with_alpha_is_laid_on_white() -> None:
    row = b"\0" + struct.pack(">4H", 0, 65535, 0, 0)
    assert pixels(png(2, 1, 16, 4, row))[0, :, 0].tolist() == [0, 255]


def test_transparency_is_laid_on_white() -> None:
    found = pixels(encoded(halves((200, 0, 0, 255), (0, 0, 0, 0), "RGBA")))
    assert found[0, 0].tolist() == [200, 0, 0]
    assert found[0, 7].tolist() == [255, 255, 255]
    half = pixels(encoded(Image.new("RGBA", (2, 2), (0, 0, 0, 128))))
    assert abs(half[0, 0, 0] - 127) <= 1


def test_grey_with_alpha_is_laid_on_white() -> None:
    assert pixels(encoded(halves((10, 255), (10, 0), "LA")))[0, :, 1].tolist() == [10] * 4 + [255] * 4


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_palette_with_a_transparent_colour_is_laid_on_white(kind: str) -> None:
    image = halves(0, 1, "P")
    image.putpalette([200, 10, 20, 0, 0, 0])
    found = pixels(encoded(image, kind, transparency=1))
    assert (found[0, 0].tolist(), found[0, 7].tolist()) == ([200, 10, 20], [255, 255, 255])


def test_a_palette_with_an_alpha_for_each_colour_is_laid_on_white() -> None:
    image = halves(0, 1, "P")
    image.putpalette([0, 0, 0, 0, 0, 0])
    found = pixels(encoded(image, transparency=bytes([255, 0])))
    assert (found[0, 0].tolist(), found[0, 7].tolist()) == ([0, 0, 0], [255, 255, 255])


def test_one_bit_images_become_black_and_white() -> None:
    for kind in ("PNG", "TIFF", "BMP"):
        assert pixels(encoded(halves(0, 1, "1"), kind))[0, :, 2].tolist() == [0] * 4 + [255] * 4


@pytest.mark.parametrize(("white", "top"), [(1.0, 255), (255.0, 255), (65535.0, 255)])
def test_a_float_tiff_is_scaled_to_the_range_that_it_uses(white: float, top: int) -> None:
    values = np.array([[0, white / 2, white]], dtype=np.float32)
    assert pixels(encoded(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == [0, 127, top]


def test_a_float_tiff_with_values_that_are_no_numbers_is_decoded() -> None:
    values = np.array([[np.nan, 1.0, np.inf, -np.inf]], dtype=np.float32)
    assert pixels(encoded(Image.fromarray(values), "TIFF")).shape == (1, 4, 3)


def test_a_tiff_of_wide_integers_is_scaled() -> None:
    values = np.array([[0, 32768, 65535]], dtype=np.int32)
    assert pixels(encoded(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == [0, 127, 255]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "lime")]
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options)
    assert Image.open(io.BytesIO(data)).n_frames == 3  # type: ignore[attr-defined]
    assert pixels(data)[8, 8].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_rotated_photograph_is_upright_with_its_size_as_seen(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.new("RGB", (24, 16), "white")
    image.paste((200, 0, 0), (0, 0, 12, 8))
    data = encoded(image, kind, exif=exif, **({"quality": 95} if kind != "PNG" else {}))
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert decode(data, LIMIT).size == ((24, 16) if orientation < 5 else (16, 24))
    assert np.abs(pixels(data) - np.asarray(expected).astype(int)).max() == 0


def test_damaged_exif_costs_the_rotation_and_not_the_image() -> None:
    data = encoded(picture(1), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 40)
    assert decode(data, LIMIT).size == (32, 32)


# --- whatever the bytes


KINDS = [encoded(picture(n), kind) for n, kind in enumerate(FORMATS)] + [
    encoded(Image.new("RGBA", (9, 9)), "WEBP"),
    encoded(picture(1).convert("P"), "PNG", transparency=0),
    encoded(picture(1), "TIFF", compression="tiff_lzw"),
    encoded(picture(1), "JPEG", exif=Image.Exif(), progressive=True),
]


@given(st.sampled_from(KINDS), st.data())
@settings(deadline=None)
def test_damaged_bytes_are_an_image_or_a_reason(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        damaged[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.one_of(st.none(), st.integers(0, len(data))))
    try:
        assert decode(bytes(damaged[:cut]), 1_000_000).mode == "RGB"
    except ImageProblem as problem:
        assert str(problem) in vars(samples).values()


@given(
    st.sampled_from(
        [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"BM", b"\xff\xd8\xff", b"RIFF\x10\0\0\0WEBPVP8 "]
    ),
    st.binary(),
)
@settings(deadline=None)
def test_nonsense_after_a_signature_is_an_image_or_a_reason(start: bytes, data: bytes) -> None:
    try:
        assert decode(start + data, 1_000).mode == "RGB"
    except ImageProblem as problem:
        assert str(problem) in vars(samples).values()
