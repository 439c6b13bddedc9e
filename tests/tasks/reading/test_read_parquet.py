from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks import samples
from tasks.errors import PoolError
from tasks.reading.raw import Broken, Raw, Shard
from tasks.reading.read_parquet import UNREADABLE_PARQUET, failed_in, read_parquet
from tests.small_pool import LIMIT, drawn, write_huggingface, write_img2dataset

WHOLE = drawn(12)


def read(path: Path, limit: int = LIMIT) -> tuple[list[Raw], str | None]:
    items = list(read_parquet(Shard(path.name, "parquet", (str(path),)), limit))
    broken = [item.why for item in items if isinstance(item, Broken)]
    return [item for item in items if isinstance(item, Raw)], broken[0] if broken else None


def table_of(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_hugging_face_s_layout_is_read_in_order(tmp_path: Path) -> None:
    raws, broken = read(write_huggingface(tmp_path / "0.parquet", WHOLE, rows_per_group=5))
    assert broken is None
    assert [(raw.image, raw.caption) for raw in raws] == [(image, text.encode()) for _, image, text in WHOLE]
    assert [(raw.key, raw.member, raw.offset) for raw in raws][7] == ("000000007", "000000007.png", 7)


def test_own_keys_uids_and_urls_are_taken(tmp_path: Path) -> None:
    path = write_huggingface(
        tmp_path / "0.parquet", WHOLE[:2], key=["a", "b.c"], uid=["f" * 32, None], url=[None, "https://pool.example/1"]
    )
    first, second = read(path)[0]
    assert (first.key, first.uid, first.url, first.problem) == ("a", "f" * 32, None, None)
    assert (second.key, second.uid, second.url) == ("b.c", None, "https://pool.example/1")
    assert second.problem == samples.DOTTED_KEY


def test_an_own_key_leads_nowhere(tmp_path: Path) -> None:
    keys = ["../../etc/passwd", "/root", "v1.0/a", "..", ""]
    raws, _ = read(write_huggingface(tmp_path / "0.parquet", WHOLE[:5], key=keys))
    assert [(raw.key, raw.problem) for raw in raws] == [
        (key, None) for key in ("etc/passwd", "root", "v1.0/a", "000000003", "000000004")
    ]


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (pa.binary(), pa.string()),
        (pa.large_binary(), pa.large_string()),
        (pa.struct([("bytes", pa.binary())]), pa.binary()),
        (pa.struct([("path", pa.string()), ("bytes", pa.large_binary())]), pa.dictionary(pa.int32(), pa.string())),
    ],
)
def test_any_arrow_type_of_bytes_and_text_is_read(tmp_path: Path, image: pa.DataType, text: pa.DataType) -> None:
    value: Any = {"bytes": b"image"} if pa.types.is_struct(image) else b"image"
    captions = pa.array(["caption", None]).cast(pa.string() if pa.types.is_dictionary(text) else text)
    captions = captions.dictionary_encode() if pa.types.is_dictionary(text) else captions
    raws, _ = read(table_of(tmp_path / "0.parquet", image=pa.array([value, None], image), text=captions))
    assert [(raw.image, raw.caption) for raw in raws] == [(b"image", b"caption"), (None, None)]


def test_a_caption_that_is_not_utf8_keeps_its_bytes_and_costs_no_other(tmp_path: Path) -> None:
    captions = pa.array([b"caf\xe9", "café".encode()]).view(pa.string())
    raws, broken = read(table_of(tmp_path / "0.parquet", image=[b"a", b"b"], text=captions))
    assert ([raw.caption for raw in raws], broken) == ([b"caf\xe9", "café".encode()], None)


def test_a_file_name_beside_the_bytes_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    images = [{"bytes": None, "path": str(tmp_path / "secret.png")}]
    column = pa.array(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    assert read(table_of(tmp_path / "0.parquet", image=column, text=["c"]))[0][0].image is None


def test_an_image_above_the_limit_is_too_many_bytes(tmp_path: Path) -> None:
    raws, _ = read(table_of(tmp_path / "0.parquet", image=[b"x" * 11, b"x" * 10], text=["a", "b"]), limit=10)
    assert [raw.problem for raw in raws] == [samples.TOO_MANY_BYTES, None]


def test_a_file_without_images_or_captions_is_refused_with_its_columns(tmp_path: Path) -> None:
    for columns in (
        {"image": [b"x"]},
        {"text": ["a"]},
        {"image": [1], "text": ["a"]},
        {"jpg": [b"x"], "text": [["a"]]},
    ):
        path = table_of(tmp_path / "0.parquet", **columns)
        with pytest.raises(PoolError, match=f"it has {next(iter(columns))} "):
            read(path)


# --- img2dataset's Parquet, with the rows that failed


def test_rows_that_failed_to_download_are_no_samples(tmp_path: Path) -> None:
    status = ["success", "failed_to_download", "failed_to_resize", "success"]
    path = table_of(
        tmp_path / "0.parquet", key=["0", "1", "2", "3"], jpg=[b"a", None, None, b"d"], txt=list("abcd"),
        status=status, error_message=[None, "404", "zero", None],
    )  # fmt: skip
    assert [(raw.key, raw.offset) for raw in read(path)[0]] == [("0", 0), ("3", 3)]
    assert failed_in(path) == 2


def test_failed_rows_are_counted_beside_a_tar_and_absent_or_foreign_files_count_none(tmp_path: Path) -> None:
    write_img2dataset(tmp_path, drawn(3), failed=4)
    assert failed_in(tmp_path / "00000.parquet") == 4
    assert failed_in(tmp_path / "absent.parquet") == 0
    assert failed_in(tmp_path / "00000_stats.json") == 0
    assert failed_in(table_of(tmp_path / "x.parquet", status=["failed", "lost"])) == 0


# --- damage


@pytest.mark.parametrize("content", [b"", b"PAR1", b"garbage" * 100, b"PAR1" + b"\0" * 50 + b"PAR1"])
def test_what_is_no_parquet_has_no_samples_and_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "0.parquet").write_bytes(content)
    raws, broken = read(tmp_path / "0.parquet")
    assert raws == []
    assert broken is not None and broken.startswith(UNREADABLE_PARQUET)


def test_a_truncated_parquet_has_no_samples_and_says_so(tmp_path: Path) -> None:
    path = write_huggingface(tmp_path / "0.parquet", WHOLE)
    path.write_bytes(path.read_bytes()[:-20])
    assert read(path)[0] == []


def damaged(path: Path, group: int) -> Path:
    column = pq.ParquetFile(path).metadata.row_group(group).column(0)
    data = bytearray(path.read_bytes())
    start = column.data_page_offset if column.dictionary_page_offset is None else column.dictionary_page_offset
    data[start : start + 60] = b"\xff" * 60
    path.write_bytes(data)
    return path


def test_a_damaged_row_group_costs_itself_and_each_of_its_rows_says_so(tmp_path: Path) -> None:
    path = damaged(write_huggingface(tmp_path / "0.parquet", WHOLE, rows_per_group=4), group=1)
    raws, broken = read(path)
    assert [raw.offset for raw in raws] == list(range(12))
    assert [raw.problem for raw in raws] == [None] * 4 + [UNREADABLE_PARQUET] * 4 + [None] * 4
    assert [raw.image for raw in raws if raw.problem is None] == [image for _, image, _ in WHOLE[:4] + WHOLE[8:]]
    assert broken is not None and "row group 1" in broken


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_damaged_bytes_anywhere_never_raise_more_than_a_refusal(tmp_path: Path, data: st.DataObject) -> None:
    path = write_huggingface(tmp_path / "0.parquet", WHOLE[:6], rows_per_group=2)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        raws, _ = read(path)
    except PoolError:
        return  # the damage hit a column's name
    assert len(raws) < 10_000


def test_memory_is_that_of_a_few_rows_and_not_of_a_row_group(tmp_path: Path) -> None:
    images = pa.array([bytes([n % 251]) * 50_000 for n in range(400)])
    pq.write_table(
        pa.table({"image": images, "text": ["c"] * 400}), tmp_path / "0.parquet", compression="none",
        use_dictionary=False, data_page_size=100_000, write_batch_size=4,
    )  # fmt: skip
    del images
    before, peak = pa.total_allocated_bytes(), 0
    for _ in read_parquet(Shard("0", "parquet", (str(tmp_path / "0.parquet"),)), LIMIT):
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert peak < 8_000_000
