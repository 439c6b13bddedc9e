"""Archives that were cut, damaged or made to harm: all before the break is kept."""

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks import samples
from tests.small_pool import drawn, members_of, write_members
from tests.tars import cut, header, offsets, pax, read, told

WHOLE = drawn(4)


# --- archives that were cut or damaged


@pytest.mark.parametrize("place", [1, 400])
def test_a_cut_in_an_image_keeps_all_before_it_and_names_the_sample(tmp_path: Path, place: int) -> None:
    path = write_members(tmp_path / "0.tar", members_of([(k, i * 9, t) for k, i, t in WHOLE]))
    info = offsets(path)["000000002.png"]
    raws, broken = read(cut(path, info.offset_data + place))
    assert told(raws) == [("000000000", None), ("000000001", None), ("000000002", samples.TRUNCATED_TAR)]
    assert broken is not None and "000000002.png" in broken


def test_a_cut_in_a_header_keeps_all_before_it(tmp_path: Path) -> None:
    path = write_members(tmp_path / "0.tar", members_of(WHOLE))
    raws, broken = read(cut(path, offsets(path)["000000002.png"].offset + 100))
    assert told(raws) == [("000000000", None), ("000000001", None)]
    assert broken is not None and "header" in broken


def test_a_cut_between_two_samples_keeps_all_before_it(tmp_path: Path) -> None:
    path = write_members(tmp_path / "0.tar", members_of(WHOLE))
    raws, broken = read(cut(path, offsets(path)["000000003.png"].offset))
    assert told(raws) == [(key, None) for key, _, _ in WHOLE[:3]]
    assert broken is not None and "no end mark" in broken


@pytest.mark.parametrize("lost", ["txt", "json"])
def test_a_cut_between_an_image_and_what_belongs_to_it_is_no_whole_sample(tmp_path: Path, lost: str) -> None:
    path = write_members(tmp_path / "0.tar", members_of(WHOLE))
    raws, broken = read(cut(path, offsets(path)[f"000000002.{lost}"].offset))
    assert told(raws)[1:] == [("000000001", None), ("000000002", samples.TRUNCATED_TAR)]
    assert broken is not None


def test_a_cut_in_the_facts_of_the_only_sample_is_no_whole_sample(tmp_path: Path) -> None:
    path = write_members(tmp_path / "0.tar", members_of(WHOLE[:1]))
    assert told(read(cut(path, offsets(path)["000000000.json"].offset_data + 3))[0]) == [
        ("000000000", samples.TRUNCATED_TAR)
    ]


def test_a_damaged_header_ends_the_reading_and_says_so(tmp_path: Path) -> None:
    path = write_members(tmp_path / "0.tar", members_of(WHOLE))
    data = bytearray(path.read_bytes())
    data[offsets(path)["000000002.png"].offset + 150] ^= 0xFF
    path.write_bytes(data)
    raws, broken = read(path)
    assert told(raws) == [("000000000", None), ("000000001", None)]
    assert broken is not None and "damaged" in broken


def test_a_compressed_archive_that_was_cut_keeps_what_can_be_unpacked(tmp_path: Path) -> None:
    path = write_members(tmp_path / "0.tar.gz", members_of(drawn(40)), "w:gz")
    raws, broken = read(cut(path, path.stat().st_size // 2))
    assert broken is not None
    assert 5 < len(raws) < 40
    assert all(raw.problem is None for raw in raws[:-1])


@pytest.mark.parametrize(
    "hostile",
    [
        header(b"9.png", b"\x80" + b"\0" * 3 + struct.pack(">Q", 1 << 62)),  # exabytes
        header(b"9.png", b"\xff" * 12),  # minus one byte
        header(b"9.png", b"\x80" + b"\xff" * 11),  # more than any file has
        header(b"L", b"\x80" + b"\0" * 3 + struct.pack(">Q", 1 << 40), b"L"),  # a name of a terabyte
        header(b"x", b"\xff" * 12, b"x"),
        pax(b"20 size=-99999999999\n") + header(b"9.png", b"00000000001\0"),
        pax(b"22 GNU.sparse.major=1\n", b"22 GNU.sparse.minor=0\n") + header(b"9.png", b"00000000000\0"),
        pax(b"0 path=x\n") + header(b"9.png", b"00000000000\0"),
        pax(b"21 hdrcharset=\xff\xfe\xfd..\n") + header(b"9.png", b"00000000000\0"),
        header(b"9.png", b"00000000000\0", b"S"),
        pax(b"12 a=bcdefg\n") * 3000,  # headers of headers
    ],
)
def test_a_hostile_header_ends_the_reading_and_keeps_all_before_it(tmp_path: Path, hostile: bytes) -> None:
    path = write_members(tmp_path / "0.tar", members_of(WHOLE[:2]))
    before = path.read_bytes()[: offsets(path)["000000001.json"].offset_data + 512]
    path.write_bytes(before + hostile + b"\0" * 512)
    raws, broken = read(path)
    assert told(raws)[:2] == [("000000000", None), ("000000001", None)]
    assert all(raw.key == "9" and raw.image in (None, b"") for raw in raws[2:])
    assert broken is not None or len(raws) == 2 or raws[2].image == b""


# --- properties

PLAIN = b"".join(
    [
        header(name.encode(), b"%011o\0" % len(data)) + data.ljust(-(-len(data) // 512) * 512, b"\0")
        for name, data in members_of(drawn(5))
    ]
    + [bytes(1024)]
)
ENDS = [  # where each sample's last member ends
    PLAIN.index(f"{key}.json".encode()) + 512 + len(facts)
    for (key, _, _), (_, facts) in zip(drawn(5), members_of(drawn(5))[2::3], strict=True)
]


@given(st.integers(0, len(PLAIN)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_cut_at_any_byte_loses_no_sample_that_lies_before_it(tmp_path: Path, size: int) -> None:
    (tmp_path / "0.tar").write_bytes(PLAIN[:size])
    raws, broken = read(tmp_path / "0.tar")
    whole = [key for (key, _, _), end in zip(drawn(5), ENDS, strict=True) if end <= size]
    kept = [raw.key for raw in raws if raw.problem is None]
    # Nothing tells that facts would have followed the very first sample's image and caption.
    assert kept == (whole or kept[:1])
    assert len(raws) <= len(whole) + 1
    assert broken is not None or size > len(PLAIN) - 1024


@given(st.integers(0, len(PLAIN) - 1), st.integers(1, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_one_damaged_byte_anywhere_never_raises(tmp_path: Path, place: int, change: int) -> None:
    data = bytearray(PLAIN)
    data[place] ^= change
    (tmp_path / "0.tar").write_bytes(data)
    raws, _ = read(tmp_path / "0.tar")
    before = [key for (key, _, _), end in zip(drawn(5), ENDS, strict=True) if end <= place]
    assert [raw.key for raw in raws][: len(before)] == before
