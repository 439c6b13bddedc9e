import base64
import gzip
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tasks.lake import Version
from tasks.reporting.pictures import thumbnails
from tests.tasks.decided_pool import ingested, samples, write_tars


def picture(uri: str | None) -> Image.Image:
    assert uri is not None
    head, data = uri.split(",")
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


def pool_of(layout: str, folder: Path) -> Path:
    """Eight samples as plain tars, compressed tars, Parquet or a folder."""
    items = samples(8)
    folder.mkdir()
    if layout in ("tar", "tar.gz"):
        write_tars(folder, items, per_shard=5)
        for path in list(folder.glob("*.tar")) if layout == "tar.gz" else []:
            path.with_suffix(".tar.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    elif layout == "parquet":
        rows = {"jpg": [image for _, image, _ in items], "caption": [text for *_, text in items]}
        pq.write_table(pa.table(rows), folder / "a.parquet", row_group_size=3)
    else:
        for i, (ending, image, caption) in enumerate(items):
            (folder / f"{i}.{ending}").write_bytes(image)
            (folder / f"{i}.txt").write_text(caption)
    return folder


@pytest.mark.parametrize("layout", ["tar", "tar.gz", "parquet", "folder"])
def test_a_thumbnail_shows_the_sample_of_its_row(layout: str, tmp_path: Path) -> None:
    draft = ingested(tmp_path / "lake", pool_of(layout, tmp_path / "pool"))
    found = thumbnails(draft, [7, 1, 4, 7], size=24)
    assert list(found) == [1, 4, 7]
    for row, uri in found.items():
        shown = picture(uri)
        original = Image.open(io.BytesIO(samples(8)[row][1])).convert("RGB")
        assert shown.size == (24, 24)
        for got, wanted in zip(shown.getpixel((12, 12)), original.getpixel((24, 24)), strict=True):  # type: ignore[arg-type]
            assert abs(got - wanted) < 24


@pytest.fixture
def version(tmp_path: Path) -> Version:
    return ingested(tmp_path / "lake", write_tars(tmp_path / "pool", samples(8), per_shard=4))


def test_a_pool_that_is_gone_gives_no_pictures_and_no_error(version: Version, tmp_path: Path) -> None:
    (tmp_path / "pool").rename(tmp_path / "elsewhere")
    assert thumbnails(version, [0, 5]) == {0: None, 5: None}


def test_a_shard_that_changed_or_is_cut_gives_no_picture_of_another_image(version: Version, tmp_path: Path) -> None:
    write_tars(tmp_path / "pool", samples(8)[::-1], per_shard=4)
    shard = tmp_path / "pool" / "00001.tar"
    shard.write_bytes(shard.read_bytes()[:100])
    assert thumbnails(version, [0, 1, 5]) == {0: None, 1: None, 5: None}


def test_a_quarantined_image_has_no_thumbnail(tmp_path: Path) -> None:
    items = [("jpg", b"not an image", "broken"), *samples(2)]
    draft = ingested(tmp_path / "lake", write_tars(tmp_path / "pool", items))
    found = thumbnails(draft, [0, 1])
    assert found[0] is None
    assert found[1] is not None
