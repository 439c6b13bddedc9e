from __future__ import annotations

import json
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import PoolError, UsageError
from tasks.exporting.export_kohya import Config, export_kohya
from tasks.lake import Version
from tests.tasks.decided_pool import clock, decided, ingested, member, samples, shape, write_tars

FILTERED = {"verdict": "filtered", "stage": "filter", "reason": "romance", "weight": None}
WEIGHTS = {i: {"weight": 0.5 + 0.25 * (i % 4)} for i in range(15)}  # x 4: 2, 3, 4, 5
READ = (".png", ".jpg", ".jpeg", ".webp", ".bmp")  # what sd-scripts looks for in a folder


def exported(version: Version, out: Path, **settings: Any) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(export_kohya(version, out, config=Config(**settings)).read_text())
    return facts


def trained(out: Path) -> dict[str, tuple[int, bytes, str]]:
    """uid → repeats, image, caption as sd-scripts reads the dataset's TOML: no subfolders, the caption's first line."""
    config = tomllib.loads((out / "dataset.toml").read_text("utf-8"))
    assert config["general"] == {"caption_extension": ".txt"}
    found = {}
    for subset in config["datasets"][0]["subsets"]:
        for path in Path(subset["image_dir"]).iterdir():
            if path.suffix in READ:
                caption = path.with_suffix(".txt").read_text("utf-8").splitlines(keepends=True)[0].strip()
                found[path.stem] = (subset["num_repeats"], path.read_bytes(), caption)
    return found


@pytest.fixture
def version(tmp_path: Path) -> Version:
    pool = write_tars(tmp_path / "pool", samples(15), per_shard=6)
    return decided(ingested(tmp_path / "lake", pool), {**WEIGHTS, 2: FILTERED, 9: FILTERED})


def test_the_trainer_reads_each_survivor_byte_for_byte_with_its_repeats(version: Version, tmp_path: Path) -> None:
    facts = exported(version, tmp_path / "out")
    uids = version.table("samples", ["uid"])["uid"].to_pylist()
    items = samples(15)
    wanted = {uids[i]: (2 + i % 4, items[i][1], items[i][2]) for i in range(15) if i not in (2, 9)}
    assert trained(tmp_path / "out") == wanted
    assert facts["samples"] == 13
    assert facts["images_an_epoch"] == sum(repeats for repeats, *_ in wanted.values())
    assert facts["raised"] == {"samples": 0, "share_added": 0.0, "factor_without": 2.0}


def test_folders_are_named_by_repeats_and_pool_and_the_toml_says_the_same(version: Version, tmp_path: Path) -> None:
    exported(version, tmp_path / "out")
    folders = {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert folders == {"2_small", "3_small", "4_small", "5_small"}
    config = tomllib.loads((tmp_path / "out" / "dataset.toml").read_text("utf-8"))
    for subset in config["datasets"][0]["subsets"]:
        path = Path(subset["image_dir"])
        assert path.is_absolute()
        assert path.name == f"{subset['num_repeats']}_small"


def test_weights_below_one_repeat_are_raised_and_the_bias_is_reported(version: Version, tmp_path: Path) -> None:
    facts = exported(version, tmp_path / "out", factor=1.0)
    weights = [0.5 + 0.25 * (i % 4) for i in range(15) if i not in (2, 9)]
    low = [w for w in weights if w < 1]
    added = sum(1 - w for w in low) / sum(max(w, 1) for w in weights)
    assert facts["raised"] == {"samples": len(low), "share_added": pytest.approx(added), "factor_without": 2.0}
    assert min(repeats for repeats, *_ in trained(tmp_path / "out").values()) == 1


def test_no_more_folders_are_made_than_asked_for(version: Version, tmp_path: Path) -> None:
    wide = decided(version, {0: {"weight": 30.0}, 1: {"weight": 11.3}})
    facts = exported(wide, tmp_path / "out", folders=3)
    assert len(facts["subsets"]) <= facts["folders"] == 3
    assert len([path for path in (tmp_path / "out").iterdir() if path.is_dir()]) == len(facts["subsets"])
    with pytest.raises(UsageError, match="folders"):
        Config(folders=1)


def hostile_pool(folder: Path) -> Path:
    """Names that lead out of a folder or look like options, captions of several lines, formats that kohya skips."""
    folder.mkdir(parents=True)
    with tarfile.open(folder / "odd.tar", "w") as tar:
        member(tar, "../../escape.png", clock(1))
        member(tar, "../../escape.txt", b"\n\n first line \r\nsecond line\n")
        member(tar, "-rf *;$(x)\n.JPG", shape(1))
        member(tar, "-rf *;$(x)\n.txt", "Uhr, 時計 {a|b}".encode())
        member(tar, "9_trap/CON.gif", shape(2, kind="GIF"))
        member(tar, "9_trap/CON.txt", b"moving")
        member(tar, "lies.png", shape(3, kind="BMP"))
        member(tar, "lies.txt", b"a bitmap that says png")
    return folder


def test_hostile_names_and_captions_become_plain_files_in_their_folder(tmp_path: Path) -> None:
    draft = decided(ingested(tmp_path / "lake", hostile_pool(tmp_path / "pool")), {}, {"weight": 1.0})
    before = set(tmp_path.iterdir())
    facts = exported(draft, tmp_path / "out", factor=1.0)
    assert set(tmp_path.iterdir()) - before == {tmp_path / "out"}
    names = {path.name for path in (tmp_path / "out" / "1_small").iterdir()}
    uids = draft.table("samples", ["uid"])["uid"].to_pylist()
    endings = ("png", "jpg", None, "bmp")
    assert names == {f"{uids[i]}.{e}" for i in (0, 1, 3) for e in (endings[i], "txt")}
    captions = {uid: caption for uid, (_, _, caption) in trained(tmp_path / "out").items()}
    assert captions == {
        uids[0]: "first line second line",
        uids[1]: "Uhr, 時計 {a|b}",
        uids[3]: "a bitmap that says png",
    }
    assert facts["left_out"] == [{"uid": uids[2], "format": "GIF"}]


def test_parquet_pools_are_written_with_their_formats_ending(tmp_path: Path) -> None:
    items = samples(4)
    (tmp_path / "pool").mkdir()
    rows = {"image": [{"bytes": image, "path": None} for _, image, _ in items], "text": [text for *_, text in items]}
    pq.write_table(pa.table(rows), tmp_path / "pool" / "train-0.parquet")
    draft = decided(ingested(tmp_path / "lake", tmp_path / "pool"), {}, {"weight": 1.0})
    exported(draft, tmp_path / "out")
    images = [image for _, image, _ in trained(tmp_path / "out").values()]
    assert sorted(images) == sorted(image for _, image, _ in items)
    assert sorted(path.suffix for path in (tmp_path / "out" / "4_small").iterdir() if path.suffix != ".txt") == [
        ".jpg", ".jpg", ".png", ".png"
    ]  # fmt: skip


def test_a_pool_of_formats_that_kohya_does_not_read_is_refused(tmp_path: Path) -> None:
    items = [("gif", shape(i, kind="GIF"), "moving") for i in range(2)]
    draft = decided(ingested(tmp_path / "lake", write_tars(tmp_path / "pool", items)), {}, {"weight": 1.0})
    with pytest.raises(UsageError, match="none of 2 kept images"):
        export_kohya(draft, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_same_seed_gives_the_same_folders(version: Version, tmp_path: Path) -> None:
    assert exported(version, tmp_path / "a", factor=1.3, seed=4) == exported(
        version, tmp_path / "b", factor=1.3, seed=4
    )
    assert trained(tmp_path / "a") == trained(tmp_path / "b")


def test_a_pool_that_is_gone_or_changed_is_named_and_nothing_is_left(version: Version, tmp_path: Path) -> None:
    write_tars(tmp_path / "pool", [*samples(14), ("jpg", shape(99), "another")], per_shard=6)
    with pytest.raises(PoolError, match=r"00002\.tar.*changed"):
        export_kohya(version, tmp_path / "out")
    (tmp_path / "pool" / "00002.tar").unlink()
    with pytest.raises(PoolError, match=r"00002\.tar.*no longer"):
        export_kohya(version, tmp_path / "out")
    (tmp_path / "pool").rename(tmp_path / "moved")
    with pytest.raises(PoolError, match="neither a file nor a folder"):
        export_kohya(version, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"lake", "moved"}


def test_the_pool_may_lie_elsewhere_now(version: Version, tmp_path: Path) -> None:
    (tmp_path / "pool").rename(tmp_path / "moved")
    export_kohya(version, tmp_path / "out", str(tmp_path / "moved"))
    assert len(trained(tmp_path / "out")) == 13


def test_bad_versions_and_folders_are_refused(version: Version, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no weight for 13 of 13"):
        export_kohya(decided(version, {}, {"weight": None}), tmp_path / "none")
    with pytest.raises(UsageError, match="keeps no sample"):
        export_kohya(decided(version, dict.fromkeys(range(15), FILTERED)), tmp_path / "none")
    exported(version, tmp_path / "out")
    with pytest.raises(UsageError, match="already holds"):
        export_kohya(version, tmp_path / "out")
