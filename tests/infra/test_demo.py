"""The demo pool is drawn whole, the same every time, and says what it could not draw; the shipped encoder works."""

from __future__ import annotations

import csv
import hashlib
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from infra.demo import font as fonts
from infra.demo.draw import FAILED, MARKER, draw_pool
from infra.demo.labels import is_hard, write_labels
from infra.demo.names import Emoji, fully_qualified
from tasks.errors import PoolError

ENCODER = Path(__file__).parents[2] / "infra" / "demo" / "encoder"


@pytest.fixture(scope="module")
def font() -> Path:
    """A colour-emoji font that is here already; tests do not download one."""
    patch = pytest.MonkeyPatch()
    patch.setattr(fonts, "_bring", _nothing_brought)
    try:
        return fonts.find_font()
    except PoolError as problem:
        pytest.skip(f"no colour-emoji font on this machine: {problem}")
    finally:
        patch.undo()


def _nothing_brought(cache: Path) -> Path:
    raise PoolError("tests bring none")


def _named(*names: str) -> list[Emoji]:
    known = {one.name: one for one in fully_qualified()}
    return [known[name] for name in names]


FEW = ("dog face", "red apple", "kiss woman man", "couple with heart", "one o’clock", "red heart")


def test_the_same_font_gives_the_same_bytes_with_one_process_or_two(
    font: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.demo.draw.SHARD_ROWS", 4)
    emojis = _named(*FEW)
    one = draw_pool(tmp_path / "one", font, emojis, workers=1)
    two = draw_pool(tmp_path / "two", font, emojis, workers=2)
    assert _digests(one) == _digests(two)
    assert {"00000.tar", "00001.tar", "labels.csv", "oracle-romance.csv", "sluice.toml"} <= set(_digests(one))


def test_a_pool_that_is_whole_is_not_drawn_again(font: Path, tmp_path: Path) -> None:
    pool = draw_pool(tmp_path / "pool", font, _named(*FEW))
    before = (pool / "00000.tar").stat().st_mtime_ns
    draw_pool(pool, font, _named(*FEW))
    assert (pool / "00000.tar").stat().st_mtime_ns == before


def test_what_an_interrupted_call_left_is_replaced(font: Path, tmp_path: Path) -> None:
    left = tmp_path / ".pool.drawing"
    left.mkdir()
    (left / "00000.tar").write_bytes(b"half a tar")
    pool = draw_pool(tmp_path / "pool", font, _named(*FEW))
    assert not left.exists()
    assert len(_members(pool)) == 3 * len(FEW)


def test_a_folder_that_is_no_demo_pool_is_not_overwritten(font: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(PoolError, match=MARKER):
        draw_pool(tmp_path, font, _named(*FEW))
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_shard_has_the_layout_and_facts_that_img2dataset_writes(font: Path, tmp_path: Path) -> None:
    pool = draw_pool(tmp_path / "pool", font, _named(*FEW))
    members = _members(pool)
    assert list(members)[:3] == ["000000000.png", "000000000.txt", "000000000.json"]
    facts = json.loads(members["000000002.json"])
    assert facts["uid"] == hashlib.md5(facts["url"].encode()).hexdigest()
    assert facts["sha256"] == hashlib.sha256(members["000000002.png"]).hexdigest()
    assert facts["caption"] == members["000000002.txt"].decode() == "kiss, woman and man"
    assert (facts["width"], facts["height"], facts["status"]) == (136, 128, "success")
    stats = json.loads((pool / "00000_stats.json").read_text())
    assert stats["count"] == stats["successes"] == len(FEW)


def test_what_is_not_one_glyph_is_a_failed_row_with_a_reason_and_no_image(font: Path, tmp_path: Path) -> None:
    apart, unknown = Emoji("\U0001f436\U0001f34e", "dog apple"), Emoji("\U0001fbff", "unknown")
    pool = draw_pool(tmp_path / "pool", font, [*_named("dog face"), apart, unknown])
    rows = pq.read_table(pool / "00000.parquet").to_pylist()
    assert [row["status"] for row in rows] == ["success", FAILED, FAILED]
    assert "2 glyphs" in rows[1]["error_message"]
    assert "no glyph" in rows[2]["error_message"]
    assert {name[:9] for name in _members(pool)} == {"000000000"}
    assert json.loads((pool / "00000_stats.json").read_text())["failed_to_download"] == 2


def test_every_fully_qualified_emoji_is_there_with_a_uid_of_its_own() -> None:
    known = fully_qualified()
    assert len(known) > 3900
    assert len({one.uid for one in known}) == len(known)


def test_labels_are_a_sample_of_the_oracle_that_leaves_positives_to_find(tmp_path: Path) -> None:
    emojis = fully_qualified()
    rows = [{"uid": one.uid, "key": f"{i:09d}", "status": "success"} for i, one in enumerate(emojis)]
    rows[7]["status"] = FAILED
    write_labels(tmp_path, emojis, rows)
    oracle, labels = _labels(tmp_path / "oracle-romance.csv"), _labels(tmp_path / "labels.csv")
    assert set(oracle) == {one.uid for one in emojis} - {emojis[7].uid}
    assert labels.items() < oracle.items()
    assert 0.5 < sum(labels.values()) / sum(oracle.values()) < 0.7
    assert sum(label == 0 for label in labels.values()) == 300
    assert sum(is_hard(one) for one in emojis if one.uid in labels) >= 60


def test_captions_are_ordinary_words_and_romance_needs_two_people_and_a_heart() -> None:
    by_name = {one.name: one for one in fully_qualified()}
    kiss = by_name["kiss woman man medium-dark skin tone light skin tone"]
    assert kiss.caption == "kiss, woman and man, medium-dark skin tone, light skin tone"
    assert by_name["Albania"].caption == "flag of Albania"
    assert not any("_" in one.caption for one in fully_qualified())
    assert kiss.romance
    assert not any(by_name[name].romance for name in ("kissing face", "red heart", "kiss mark", "women holding hands"))


def test_skin_tones_and_genders_of_one_emoji_are_one_group() -> None:
    by_name = {one.name: one for one in fully_qualified()}
    assert by_name["woman pilot dark skin tone"].group == by_name["man pilot"].group == by_name["pilot"].group
    assert by_name["one o’clock"].group == by_name["ten-thirty"].group != by_name["mantelpiece clock"].group


def test_a_machine_without_a_font_is_told_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SLUICE_EMOJI_FONT", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(fonts, "SYSTEM_FOLDERS", ())
    monkeypatch.setattr(fonts.shutil, "which", _no_tool)
    with pytest.raises(PoolError, match=r"apt-get install fonts-noto-color-emoji.*SLUICE_EMOJI_FONT="):
        fonts.find_font()


def _no_tool(name: str) -> None:
    return None


def test_a_font_that_is_named_but_cannot_draw_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    monkeypatch.setenv("SLUICE_EMOJI_FONT", str(broken))
    with pytest.raises(PoolError, match=r"broken\.ttf"):
        fonts.find_font()


def test_the_shipped_encoder_is_small_and_ranks_drawn_emoji_above_chance(font: Path, tmp_path: Path) -> None:
    weights = ENCODER / "sluice-demo.safetensors"
    assert weights.stat().st_size <= 16_000_000
    pool = draw_pool(tmp_path / "pool", font, fully_qualified()[:3000:15], workers=1)
    members = _members(pool)
    captions = [content.decode() for name, content in members.items() if name.endswith(".txt")]
    image, text = _embed(weights, [content for name, content in members.items() if name.endswith(".png")], captions)
    found = (np.argsort(-(text @ image.T), axis=1)[:, :5] == np.arange(len(captions))[:, None]).any(axis=1).mean()
    assert found > 10 * 5 / len(captions)
    assert np.median(image @ image.T) < 0.7  # not collapsed


def _embed(weights: Path, images: list[bytes], captions: list[str]) -> tuple[np.ndarray, np.ndarray]:
    import io

    from infra.demo.encoder_use import embed_images, embed_texts, load

    model, tokenizer = load(weights.with_suffix(".json"), weights)
    square = [Image.open(io.BytesIO(png)).resize((80, 80)) for png in images]
    return embed_images(model, np.stack([np.asarray(one) for one in square])), embed_texts(model, tokenizer, captions)


def _members(pool: Path) -> dict[str, bytes]:
    with tarfile.open(pool / "00000.tar") as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def _digests(pool: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(pool.iterdir())}


def _labels(path: Path) -> dict[str, int]:
    with path.open(newline="") as file:
        return {row["uid"]: int(row["label"]) for row in csv.DictReader(file)}
