import json
from pathlib import Path

import pytest

from tasks import samples
from tasks.reading import read_folder as module
from tests.small_pool import drawn, raws, write_imagefolder

WHOLE = drawn(4)
TEXTS = [text for _, _, text in WHOLE]


def lines(folder: Path, *values: object) -> None:
    text = "\n".join(value if isinstance(value, str) else json.dumps(value) for value in values)
    (folder / "metadata.jsonl").write_text(text)


def captions(source: Path) -> list[object]:
    return [raw.caption for raw in raws(source)[0]]


def test_metadata_beside_the_images_gives_the_captions(tmp_path: Path) -> None:
    found, broken = raws(write_imagefolder(tmp_path / "pool", WHOLE))
    assert [(raw.key, raw.image, raw.caption) for raw in found] == WHOLE
    assert ([raw.member for raw in found][1], broken) == ("000000001.png", [])


def test_texts_beside_the_images_give_the_captions(tmp_path: Path) -> None:
    assert captions(write_imagefolder(tmp_path, WHOLE, "txt")) == [text.encode() for text in TEXTS]


def test_images_without_captions_are_samples_without_captions(tmp_path: Path) -> None:
    assert captions(write_imagefolder(tmp_path, WHOLE, "none")) == [None] * 4


def test_metadata_comes_first_and_the_text_fills_in(tmp_path: Path) -> None:
    write_imagefolder(tmp_path, WHOLE, "txt")
    lines(tmp_path, {"file_name": "000000000.png", "text": "listed"}, {"file_name": "000000001.png", "text": None})
    assert captions(tmp_path) == ["listed", *[text.encode() for text in TEXTS[1:]]]


def test_metadata_above_names_images_in_folders_below(tmp_path: Path) -> None:
    write_imagefolder(tmp_path / "train" / "cats", WHOLE[:2], "none")
    write_imagefolder(tmp_path / "test", WHOLE[2:], "none")
    names = ["train/cats/000000000.png", "./train/cats/000000001.png", "test/000000002.png", "test/000000003.png"]
    lines(tmp_path, *({"file_name": name, "text": text} for name, text in zip(names, TEXTS, strict=True)))
    assert captions(tmp_path) == TEXTS[2:] + TEXTS[:2]  # folders in path order
    lines(tmp_path / "test", {"file_name": "000000003.png", "text": "nearer"})
    assert captions(tmp_path)[1] == "nearer"


def test_uid_and_url_come_from_the_metadata(tmp_path: Path) -> None:
    write_imagefolder(tmp_path, WHOLE[:1], "none")
    lines(tmp_path, {"file_name": "000000000.png", "caption": "c", "uid": "a" * 32, "url": "https://pool.example"})
    assert [(raw.uid, raw.url) for raw in raws(tmp_path)[0]] == [("a" * 32, "https://pool.example")]


@pytest.mark.parametrize("bad", ["{", "[]", '{"text": "no name"}', '{"file_name": 3}', "[" * 100_000])
def test_a_bad_line_costs_itself_and_is_told(tmp_path: Path, bad: str) -> None:
    write_imagefolder(tmp_path, WHOLE[:2], "none")
    lines(tmp_path, {"file_name": "000000000.png", "text": "a"}, bad, "", {"file_name": "000000001.png", "text": "b"})
    found, broken = raws(tmp_path)
    assert [raw.caption for raw in found] == ["a", "b"]
    assert broken == ["metadata.jsonl line 2 is not a JSON object with a file_name"]


def test_of_two_lines_for_one_image_the_first_counts_and_the_second_is_told(tmp_path: Path) -> None:
    write_imagefolder(tmp_path, WHOLE[:1], "none")
    lines(tmp_path, {"file_name": "000000000.png", "text": "a"}, {"file_name": "000000000.png", "text": "b"})
    found, broken = raws(tmp_path)
    assert [raw.caption for raw in found] == ["a"]
    assert "line 2 names 000000000.png a second time" in broken[0]


def test_a_line_for_an_image_that_is_not_there_is_told(tmp_path: Path) -> None:
    write_imagefolder(tmp_path, WHOLE[:1])
    with (tmp_path / "metadata.jsonl").open("a") as file:
        file.write(json.dumps({"file_name": "lost.png", "text": "t"}) + "\n{\n")
    assert raws(tmp_path)[1] == ["metadata.jsonl line 2 names lost.png, which is not there (and 1 more lines)"]


def test_a_file_name_that_leads_out_of_the_pool_is_no_image_of_it(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    pool = write_imagefolder(tmp_path / "pool", WHOLE[:1], "none")
    lines(pool, {"file_name": "../secret.png", "text": "a"}, {"file_name": str(tmp_path / "secret.png"), "text": "b"})
    assert [(raw.key, raw.caption) for raw in raws(pool)[0]] == [("000000000", None)]


def test_metadata_that_is_not_utf8_costs_its_own_captions_only(tmp_path: Path) -> None:
    write_imagefolder(tmp_path, WHOLE[:2], "none")
    (tmp_path / "metadata.jsonl").write_bytes(
        b'{"file_name": "000000000.png", "text": "caf\xe9"}\n{"file_name": "000000001.png", "text": "b"}\n'
    )
    assert captions(tmp_path) == ["caf\udce9", "b"]


def test_a_dotted_file_name_is_a_key_without_dots(tmp_path: Path) -> None:
    (tmp_path / "scan.2024.01.png").write_bytes(b"x")
    (tmp_path / "scan.2024.01.txt").write_text("caption")
    assert [(raw.key, raw.caption) for raw in raws(tmp_path)[0]] == [("scan_2024_01", b"caption")]


def test_two_images_of_one_name_are_one_key_twice(tmp_path: Path) -> None:
    for ending in ("jpg", "png"):
        (tmp_path / f"0.{ending}").write_bytes(b"x")
    assert [raw.problem for raw in raws(tmp_path)[0]] == [None, samples.DUPLICATE_KEY]


def test_files_above_their_limits_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TEXT_BYTES", 10)
    for name, size in (("0", 11), ("1", 10)):
        (tmp_path / f"{name}.png").write_bytes(b"x" * size)
        (tmp_path / f"{name}.txt").write_bytes(b"y" * (21 - size))
    found, _ = raws(tmp_path, limit=10)
    assert [(raw.image, raw.problem) for raw in found] == [
        (None, samples.TOO_MANY_BYTES),
        (b"x" * 10, samples.TOO_MANY_BYTES),
    ]


def test_an_image_that_vanished_since_the_listing_is_unreadable(tmp_path: Path) -> None:
    from tasks.reading.pools import Raw, list_shards, read_shard

    write_imagefolder(tmp_path, WHOLE[:2])
    shard = list_shards(str(tmp_path))[1][0]
    (tmp_path / "000000000.png").unlink()
    found = [item for item in read_shard(shard, 10**6) if isinstance(item, Raw)]
    assert [raw.problem for raw in found] == [samples.UNREADABLE_IMAGE, None]


def test_a_big_folder_is_cut_into_parts_with_their_own_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FOLDER_PART", 3)
    write_imagefolder(tmp_path, WHOLE, "txt")
    from tasks.reading.pools import list_shards

    shards = list_shards(str(tmp_path))[1]
    assert [(shard.path, len(shard.files)) for shard in shards] == [("./00000", 6), ("./00001", 2)]
    assert captions(tmp_path) == [text.encode() for text in TEXTS]
