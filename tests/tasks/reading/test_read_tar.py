import bz2
import gzip
import lzma
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from tasks import samples
from tasks.reading.raw import Raw, Shard
from tasks.reading.read_tar import read_tar
from tests.small_pool import LIMIT, drawn, member, members_of, write_members
from tests.tars import header, pax, read, told

WHOLE = drawn(4)


def tar_of(path: Path, names: list[str], data: bytes = b"x") -> Path:
    return write_members(path, [(name, data) for name in names])


# --- whole archives


def test_a_sample_is_its_image_caption_and_facts(tmp_path: Path) -> None:
    path = write_members(tmp_path / "0.tar", members_of(WHOLE))
    raws, broken = read(path)
    assert broken is None
    assert [(raw.key, raw.image, raw.caption) for raw in raws] == [(k, i, t.encode()) for k, i, t in WHOLE]
    assert raws[2].url == "https://pool.example/000000002"
    for raw in raws:
        assert path.read_bytes()[raw.offset :].startswith(raw.image or b"?")


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_archive_is_read_with_offsets_of_the_uncompressed_one(tmp_path: Path, compress: object) -> None:
    plain = write_members(tmp_path / "0.tar", members_of(WHOLE))
    packed = tmp_path / "0.tar.gz"
    packed.write_bytes(compress(plain.read_bytes()))  # type: ignore[operator]
    assert read(packed) == read(plain)


def test_an_archive_without_members_has_no_samples_and_is_not_broken(tmp_path: Path) -> None:
    assert read(write_members(tmp_path / "0.tar", [])) == ([], None)


@pytest.mark.parametrize("content", [b"", b"not an archive at all", b"\xff" * 5000, b"\x1f\x8bnot gzip"])
def test_what_is_no_archive_has_no_samples_and_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "0.tar").write_bytes(content)
    raws, broken = read(tmp_path / "0.tar")
    assert raws == []
    assert broken is not None and broken.startswith("truncated tar: ")


def test_long_and_odd_names_are_read_in_every_tar_format(tmp_path: Path) -> None:
    name = "folder/" + "n" * 240 + "é"
    for kind in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        with tarfile.open(tmp_path / "0.tar", "w", format=kind) as tar:
            member(tar, f"{name}.png", b"image")
            member(tar, f"{name}.txt", b"caption")
        raws, broken = read(tmp_path / "0.tar")
        assert ([(raw.key, raw.caption) for raw in raws], broken) == ([(name, b"caption")], None)


def test_a_name_that_is_not_utf8_becomes_text(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "0.tar", "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as tar:
        member(tar, "caf\xe9.png", b"image")
        member(tar, "caf\xe9.txt", b"caption")
    raws, _ = read(tmp_path / "0.tar")
    assert [(raw.key, raw.member, raw.caption) for raw in raws] == [("caf\\xe9", "caf\\xe9.png", b"caption")]


def test_the_folder_is_part_of_the_key_and_leads_nowhere(tmp_path: Path) -> None:
    names = ["cats/1.png", "dogs/1.png", "/etc/passwd.png", "../../up.png", "./here/./2.png"]
    raws, _ = read(tar_of(tmp_path / "0.tar", names))
    assert told(raws) == [(key, None) for key in ("cats/1", "dogs/1", "etc/passwd", "up", "here/2")]
    assert [path.name for path in tmp_path.rglob("*")] == ["0.tar"]


def test_members_without_a_name_or_an_ending_are_no_samples(tmp_path: Path) -> None:
    names = ["README", ".DS_Store", "._000.png", "folder/.hidden.txt", "000.png"]
    assert told(read(tar_of(tmp_path / "0.tar", names))[0]) == [("000", None)]


def test_links_and_devices_are_never_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE)
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for number, kind in enumerate(kinds):
            for ending in ("png", "txt"):
                member(tar, f"{number}.{ending}", type=kind, linkname=str(secret))
        member(tar, "9.png", b"image")
    raws, broken = read(tmp_path / "0.tar")
    assert [(raw.key, raw.image, raw.caption) for raw in raws] == [
        *((str(n), None, None) for n in range(4)),  # a folder is no member of a sample
        ("9", b"image", None),
    ]
    assert broken is None


def test_facts_that_are_no_json_object_cost_only_themselves(tmp_path: Path) -> None:
    for facts in (b"{", b"[1]", b"\xff\xfe", b"[" * 100_000, b'{"uid": ' + b"9" * 5000 + b"}"):
        write_members(tmp_path / "0.tar", [("0.png", b"image"), ("0.txt", b"caption"), ("0.json", facts)])
        assert read(tmp_path / "0.tar")[0] == [Raw("0", "0.png", 512, b"image", b"caption")]


def test_the_facts_caption_serves_where_there_is_no_text_member(tmp_path: Path) -> None:
    write_members(tmp_path / "0.tar", [("0.png", b"i"), ("0.json", b'\xef\xbb\xbf{"caption": "of the facts"}')])
    assert read(tmp_path / "0.tar")[0][0].caption == "of the facts"
    write_members(tmp_path / "0.tar", [("0.png", b"i"), ("0.json", b'{"caption": ["a", "list"]}')])
    assert read(tmp_path / "0.tar")[0][0].caption is None


# --- samples that the archive itself rules out


def test_a_repeated_name_is_a_second_sample_of_the_same_key(tmp_path: Path) -> None:
    names = ["0.png", "0.txt", "0.png", "0.txt", "1.png", "1.txt"]
    raws, _ = read(tar_of(tmp_path / "0.tar", names))
    assert told(raws) == [("0", None), ("0", samples.DUPLICATE_KEY), ("1", None)]


def test_a_dotted_name_is_a_dotted_key(tmp_path: Path) -> None:
    names = ["photo.v2.png", "photo.v2.txt", "other.png", "other.txt"]
    raws, _ = read(tar_of(tmp_path / "0.tar", names))
    assert told(raws) == [("photo.v2", samples.DOTTED_KEY), ("other", None)]


def test_a_mask_beside_an_image_is_no_sample_but_a_dotted_image_with_its_own_caption_is(tmp_path: Path) -> None:
    raws, _ = read(tar_of(tmp_path / "0.tar", ["0.png", "0.seg.png", "0.txt"]))
    assert told(raws) == [("0", None)]
    raws, _ = read(tar_of(tmp_path / "0.tar", ["0.png", "0.txt", "0.v2.png", "0.v2.txt"]))
    assert told(raws) == [("0", None), ("0.v2", samples.DOTTED_KEY)]


def test_a_readable_image_is_preferred_to_one_that_is_not(tmp_path: Path) -> None:
    raws, _ = read(tar_of(tmp_path / "0.tar", ["0.psd", "0.JPG", "0.txt"]))
    assert [raw.member for raw in raws] == ["0.JPG"]
    assert [raw.member for raw in read(tar_of(tmp_path / "0.tar", ["0.svg", "0.txt"]))[0]] == ["0.svg"]


def test_an_image_above_the_limit_is_not_read(tmp_path: Path) -> None:
    write_members(tmp_path / "0.tar", [("0.png", b"x" * 101), ("0.txt", b"c"), ("1.png", b"x" * 100), ("1.txt", b"c")])
    raws, broken = read(tmp_path / "0.tar", limit=100)
    assert told(raws) == [("0", samples.TOO_MANY_BYTES), ("1", None)]
    assert (raws[0].image, broken) == (None, None)


def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        write_members(tmp_path / "0.tar", [(f"{n // 2:06d}.{('png', 'txt')[n % 2]}", b"x" * 900) for n in range(count)])
        tracemalloc.start()
        found = sum(1 for _ in read_tar(Shard("0.tar", "tar", (str(tmp_path / "0.tar"),)), LIMIT))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found == count // 2
        return used

    peak(100)
    assert peak(3000) < peak(300) + 100_000


def test_memory_does_not_grow_with_members_of_one_name(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for _ in range(300):
            member(tar, "0.png", bytes(100_000))
    tracemalloc.start()
    raws, _ = read(tmp_path / "0.tar")
    assert (len(raws), raws[1].problem) == (300, samples.DUPLICATE_KEY)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_a_sparse_member_is_read_whole(tmp_path: Path) -> None:
    body = b"2\n0\n3\n600\n4\n".ljust(512, b"\0") + b"abc" + b"wxyz"
    records = {
        b"GNU.sparse.major": b"1",
        b"GNU.sparse.minor": b"0",
        b"GNU.sparse.name": b"0.png",
        b"GNU.sparse.realsize": b"604",
    }
    lines = [b" " + key + b"=" + value + b"\n" for key, value in records.items()]
    data = pax(*[b"%d" % (len(line) + 2) + line for line in lines])
    data += header(b"GNUSparseFile.0/0.png", b"%011o\0" % len(body)) + body.ljust(1024, b"\0") + bytes(1024)
    (tmp_path / "0.tar").write_bytes(data)
    raws, broken = read(tmp_path / "0.tar")
    assert [(raw.key, raw.image) for raw in raws] == [("0", b"abc" + bytes(597) + b"wxyz")]
    assert broken is None
