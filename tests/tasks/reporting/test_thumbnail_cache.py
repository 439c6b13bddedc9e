import base64
import io
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tasks.lake import Version
from tasks.reporting import thumbnail_cache
from tasks.reporting.thumbnail_cache import ThumbnailCache, blurred
from tests.tasks.decided_pool import ingested, write_tars
from tests.tasks.queued import pictured


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    return pictured(tmp_path_factory.mktemp("thumbnails"), count=30)


def picture(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def uri_of(image: Image.Image) -> str:
    out = io.BytesIO()
    image.save(out, "WEBP", lossless=True)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()


def test_a_sample_has_a_sharp_and_a_blurred_thumbnail_of_the_same_proportions(version: Version) -> None:
    found = ThumbnailCache(version).get([2, 0])
    assert found.keys() == {0, 2}
    for thumbnail in found.values():
        assert thumbnail is not None
        assert picture(thumbnail.sharp).size == (48, 48)
        assert picture(thumbnail.blurred).size == (128, 128)


def test_nothing_as_fine_as_a_word_is_left_of_a_blurred_thumbnail() -> None:
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::16] = stripes[:, 1::16] = stripes[:, 2::16] = 255  # 32 strokes across
    left = np.asarray(picture(blurred(uri_of(Image.fromarray(stripes)))).convert("L"), np.int64)
    assert np.ptp(stripes) == 255
    assert np.ptp(left) < 40


@given(st.integers(1, 512), st.integers(1, 512))
def test_an_image_of_any_shape_can_be_blurred(width: int, height: int) -> None:
    found = picture(blurred(uri_of(Image.new("RGB", (width, height), "teal"))))
    assert max(found.size) == 128


def test_what_was_asked_for_ahead_is_there_without_the_pool(version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ThumbnailCache(version)
    cache.prefetch(list(range(20)))
    until = time.monotonic() + 20
    while len(cache._kept) < 20 and time.monotonic() < until:
        time.sleep(0.01)
    monkeypatch.setattr(thumbnail_cache, "thumbnails", lambda *_: pytest.fail("the pool was read again"))
    assert all(thumbnail is not None for thumbnail in cache.get(list(range(20))).values())


def test_a_thumbnail_carries_pixels_and_nothing_else_of_the_file(tmp_path: Path) -> None:
    """Where a picture was taken, by whom, and a script after its end stay in the pool."""
    exif = Image.Exif()
    exif[0x010E] = secret = "somebody's name"
    file = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(file, "JPEG", exif=exif, xmp=secret.encode(), comment=secret)
    assert file.getvalue().count(secret.encode()) == 3
    data = file.getvalue() + b"<script>" + secret.encode()
    version = ingested(tmp_path / "lake", write_tars(tmp_path / "pool", [("jpg", data, "a caption")]))
    thumbnail = ThumbnailCache(version).get([0])[0]
    assert thumbnail is not None
    for uri in thumbnail:
        head, _, encoded = uri.partition(",")
        assert head == "data:image/webp;base64"
        assert secret.encode() not in base64.b64decode(encoded)
        assert not {"exif", "xmp", "icc_profile", "comment"} & picture(uri).info.keys()


def test_the_oldest_thumbnails_make_room(version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnail_cache, "KEPT", 4)
    cache = ThumbnailCache(version)
    cache.get([0, 1, 2, 3])
    cache.get([0])
    cache.get([4, 5])
    assert sorted(cache._kept) == [0, 3, 4, 5]


def test_a_sample_whose_source_is_gone_has_no_thumbnail(tmp_path: Path) -> None:
    version = pictured(tmp_path, count=3)
    (tmp_path / "pool").rename(tmp_path / "elsewhere")
    assert ThumbnailCache(version).get([1]) == {1: None}
