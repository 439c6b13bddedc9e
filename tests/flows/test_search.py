"""Generated images against a pool: what is near, how often, with which bound; broken ones named, the page safe."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from flows.search import Asked, run_search, write
from tasks import embed, ingest
from tasks.errors import EncoderError, LakeError, PoolError, UsageError
from tasks.lake import Version
from tasks.searching import search
from tasks.searching.search_exact import Nearest
from tasks.searching.search_images import embedder_of, read_images
from tests.small_pool import digested, drawn, empty_version, encoded, picture, serial, write_img2dataset
from tests.tasks.small_version import uid, version
from tests.tiny_clip import write_model


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("search")


@pytest.fixture(scope="module")
def config(root: Path) -> embed.Config:
    return embed.Config(model=str(write_model(root / "model")), pretrained="", batch=4)


@pytest.fixture(scope="module")
def made(root: Path, config: embed.Config) -> Version:
    """A pool of twenty drawn shapes, ingested and embedded."""
    source = write_img2dataset(root / "pool", drawn(20))
    draft = empty_version(root / "lake", source)
    settings, shards = ingest.Config(), digested(source, draft.lake)
    key, sink = embed.embedder(draft.lake, config, ingest.samples_key(draft.lake, settings))
    draft = ingest.run(draft, settings, serial, shards, sink, 1)
    return embed.run(draft, config, serial, shards, key, sink)


@pytest.fixture
def asked(tmp_path: Path, config: embed.Config) -> Path:
    """Six images, of which two are the pool's own, and three that cannot be used; the file that names the encoder."""
    folder = tmp_path / "generated"
    (folder / "more").mkdir(parents=True)
    for number in (3, 30, 31, 32, 33):
        (folder / f"{number}.png").write_bytes(encoded(picture(number)))
    (folder / "more" / "7.jpg").write_bytes(encoded(picture(7), "JPEG", quality=95))
    (folder / "cut.png").write_bytes(encoded(picture(1))[:60])
    (folder / "empty.png").write_bytes(b"")
    (folder / "<b>.svg").write_text("<svg></svg>")
    text = f'[embed]\nmodel = "{config.model}"\npretrained = "{config.pretrained}"\nbatch = 4\n'
    (tmp_path / "c.toml").write_text(text)
    return folder


def run(made: Version, folder: Path, control: Path | None = None, **settings: object) -> dict[str, object]:
    return run_search(made, Asked(folder, control, search.Config(**settings)), folder.parent / "c.toml")  # type: ignore[arg-type]


def test_each_image_is_told_with_its_nearest_and_broken_ones_are_named(made: Version, asked: Path) -> None:
    told = run(made, asked, neighbors=3)
    assert (told["given"], told["searched"]) == (9, 6)
    reasons = {one["name"]: one["reason"] for one in told["unusable"]}  # type: ignore[attr-defined]
    assert reasons == {"cut.png": "truncated image", "empty.png": "zero bytes", "<b>.svg": "forbidden format"}
    found = {one["image"]: one["nearest"] for one in told["matches"]}  # type: ignore[attr-defined]
    own = found["3.png"][0]
    assert own["similarity"] > 0.999 and own["same_bytes"] and own["verdict"] == "kept"
    assert own["caption"] == drawn(1, 3)[0][2] and own["shard"] == "00000.tar" and own["group_size"] is None
    assert found["more/7.jpg"][0]["similarity"] > 0.98 and not found["more/7.jpg"][0]["same_bytes"]
    assert all([near["similarity"] for near in one] == sorted((n["similarity"] for n in one), reverse=True)
               for one in found.values())  # fmt: skip


def test_a_file_a_folder_and_a_tar_of_images_are_read_alike(made: Version, asked: Path, config: embed.Config) -> None:
    sink, _ = embedder_of(made, config)
    one = read_images(asked / "3.png", made, sink)
    tar = read_images(write_img2dataset(asked.parent / "tar", drawn(1, 3)) / "00000.tar", made, sink)
    assert one.names == ("3.png",) and tar.names == ("00000.tar/000000003.png",)
    assert np.array_equal(one.vectors, tar.vectors) and one.sha256 == tar.sha256
    with pytest.raises(PoolError, match="neither a file nor a folder"):
        read_images(asked / "none", made, sink)


def test_the_control_leaves_out_what_the_pool_holds(made: Version, asked: Path) -> None:
    told = run(made, asked, control=asked)
    control = told["control"]
    assert isinstance(control, dict) and control["not_held_out"] == 1
    assert {rate["images"] for rate in control["rates"]} == {5}


def test_the_index_gives_what_exact_search_gives(made: Version, asked: Path) -> None:
    exact, index = run(made, asked), run(made, asked, index=True)
    assert index["matches"] == exact["matches"] and index["recall"] == 1 and index["checked"] == 6
    assert exact["recall"] is None


def test_an_encoder_that_is_not_the_version_s_is_refused(made: Version, config: embed.Config, root: Path) -> None:
    other = str(write_model(root / "model", "other", embed_dim=16))
    with pytest.raises(EncoderError, match="another was found"):
        embedder_of(made, dataclasses.replace(config, model=other))
    with pytest.raises(EncoderError, match="--config"):
        embedder_of(made)


def test_embeddings_that_came_with_the_pool_need_an_encoder_by_name(made: Version, config: embed.Config) -> None:
    given = made.derive("embed", config={**made.config["embed"], "embeddings": "given"})
    with pytest.raises(EncoderError, match="came with its embeddings"):
        embedder_of(given)
    assert "caller's word" in (embedder_of(given, config)[1] or "")


def test_the_sheet_is_self_contained_blurred_and_escaped(made: Version, asked: Path, tmp_path: Path) -> None:
    told = run(made, asked, control=asked)
    hostile = "</bdi><script>alert(1)</script>"
    told["matches"][0]["nearest"][0]["caption"] = hostile  # type: ignore[index]
    page = write(told, made, asked, tmp_path / "out")[0].read_text()
    assert "<script" not in page and "&lt;script&gt;" in page and "&lt;b&gt;.svg" in page and "<b>.svg" not in page
    assert "http://" not in page and "https://" not in page and "default-src 'none'" in page
    assert page.count("data:image/webp") > 6 and "blur(" in page
    assert json.loads((tmp_path / "out" / "search.json").read_text()) == told


def test_a_search_in_which_nothing_can_be_used_says_so(made: Version, asked: Path, tmp_path: Path) -> None:
    (asked.parent / "alone").mkdir()
    (asked.parent / "alone" / "empty.png").write_bytes(b"")
    told = run(made, asked.parent / "alone", control=asked.parent / "alone")
    assert told["searched"] == 0 and told["rates"][0]["upper"] is None  # type: ignore[index]
    assert "No image could be searched for" in write(told, made, asked, tmp_path / "out")[0].read_text()


def test_a_version_whose_files_are_gone_is_not_searched(made: Version, asked: Path) -> None:
    gone = made.derive("embed", columns={"embedding": "gone"})
    with pytest.raises(LakeError, match="lacks"):
        run(gone, asked)


def test_the_bound_of_none_of_n_is_that_of_the_article_on_zero_numerators() -> None:
    for n in (1, 10, 300):
        assert search.upper(0, n) == pytest.approx(1 - 0.05 ** (1 / n))
    assert search.upper(5, 5) == 1 and search.upper(0, 0) is None


def test_the_bound_holds_in_95_of_100_searches() -> None:
    rng = np.random.default_rng(0)
    for rate in (0.01, 0.2):
        bounds = np.array([search.upper(hits, 60) for hits in range(61)], float)
        assert (bounds[rng.binomial(60, rate, 20_000)] >= rate).mean() >= 0.949


def test_recall_counts_an_equally_near_neighbour() -> None:
    exact = Nearest(np.array([[4, 5, -1]]), np.array([[0.9, 0.8, np.nan]]))
    assert search.recall(Nearest(np.array([[4, 6, -1]]), np.array([[0.9, 0.8, np.nan]])), exact) == 1
    assert search.recall(Nearest(np.array([[4, 6, -1]]), np.array([[0.9, 0.7, np.nan]])), exact) == 0.5


def test_group_sizes_and_verdicts_are_those_of_the_version(tmp_path: Path) -> None:
    vectors = np.eye(4)
    small = version(tmp_path, list("abcd"), vectors, ["kept", "duplicate", "filtered", "kept"], groups=[[0, 1, 2]])
    near = Nearest(np.array([[1, 3]]), np.array([[1.0, 0.0]]))
    images = type("Images", (), {"sha256": ("x",), "names": ("x",)})()
    (told,) = search.matches(small, images, near)
    assert [(one["uid"], one["verdict"], one["group_size"], one["let_in"]) for one in told] == [
        (uid(1), "duplicate", 3, None),
        (uid(3), "kept", 1, 0),
    ]
    assert search.by_verdict([told], 0.95) == {"duplicate": 1}


@pytest.mark.parametrize("wrong", [{"above": 0}, {"above": 1.01}, {"above": float("nan")}, {"neighbors": 0}])
def test_settings_out_of_range_are_a_wrong_call(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="was expected"):
        search.Config(**wrong)  # type: ignore[arg-type]
