import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks import embed, ingest, samples
from tasks.encoding.encoder import encoder, squares
from tasks.errors import ConfigError, EncoderError, PoolError
from tasks.lake import Lake, Version
from tasks.reading.images import decode
from tests.small_pool import (
    Sample,
    digested,
    drawn,
    empty_version,
    encoded,
    members_of,
    picture,
    serial,
    write_img2dataset,
    write_members,
)
from tests.tiny_clip import write_model, write_weights


@pytest.fixture
def config(tmp_path: Path) -> embed.Config:
    return embed.Config(model=str(write_model(tmp_path / "model")), pretrained="", batch=4)


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """Two shards of ten samples and one of eleven, each with an image that is none and an empty caption."""
    folder = write_img2dataset(tmp_path / "pool", drawn(20))
    bad = [("x.png", b"none"), ("x.txt", b"c"), ("y.png", drawn(1)[0][1]), ("y.txt", b" ")]
    write_members(folder / "00002.tar", members_of(drawn(5, first=50)) + bad + members_of(drawn(4, first=60)))
    return folder


def run(root: Path, pool: Path, config: embed.Config, decoders: int = 1) -> Version:
    """Ingest and embed, as the flow chains them."""
    version = empty_version(root, pool)
    settings = ingest.Config()
    shards = digested(pool, version.lake)
    key, sink = embed.embedder(version.lake, config, ingest.samples_key(version.lake, settings))
    draft = ingest.run(version, settings, serial, shards, sink, decoders)
    return embed.run(draft, config, serial, shards, key, sink)


def files(version: Version) -> dict[str, str]:
    return {p.path: version.lake.digest(version.column_path("embedding", p)) for p in version.parts}


def forget(version: Version) -> None:
    for part in version.parts:
        version.column_path("embedding", part).unlink()


def test_each_usable_sample_has_a_row_of_unit_norm_and_the_others_zeros(
    tmp_path: Path, pool: Path, config: embed.Config
) -> None:
    version = run(tmp_path / "lake", pool, config)
    found = np.concatenate(version.embeddings())
    usable = np.array([status == "ok" for status in version.table("samples")["status"].to_pylist()])
    assert (found.shape, found.dtype, usable.sum()) == ((31, 32), np.float16, 29)
    assert np.abs(np.linalg.norm(found[usable].astype(np.float64), axis=1) - 1).max() < 2e-3
    assert (found[~usable] == 0).all()


def test_a_row_is_the_embedding_of_its_own_image(tmp_path: Path, pool: Path, config: embed.Config) -> None:
    version = run(tmp_path / "lake", pool, config, decoders=3)
    _, sink = embed.embedder(version.lake, config, "")
    assert sink is not None
    alone = encoder(sink.spec)
    images = [image for _, image, _ in drawn(20)]
    expected = np.concatenate([alone.encode([alone.prepare(decode(image, 10**6))]) for image in images])
    found = np.concatenate(version.embeddings()[:2])
    assert np.abs(expected.astype(np.float32) - found.astype(np.float32)).max() < 2e-3


def test_embedding_alone_gives_the_bytes_of_the_fused_pass(tmp_path: Path, pool: Path, config: embed.Config) -> None:
    fused = run(tmp_path / "lake", pool, config)
    before = files(fused)
    forget(fused)
    assert files(run(tmp_path / "lake", pool, config)) == before


def test_the_number_of_decoding_threads_changes_nothing(tmp_path: Path, pool: Path, config: embed.Config) -> None:
    assert files(run(tmp_path / "one", pool, config)) == files(run(tmp_path / "four", pool, config, decoders=4))


def test_another_model_reads_the_samples_again_and_leaves_them_as_they_are(
    tmp_path: Path, pool: Path, config: embed.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(tmp_path / "lake", pool, config)
    monkeypatch.setattr(ingest, "read_shard", None)  # it must not be called again
    weights = str(write_weights(tmp_path / "other.safetensors", 7))
    second = run(tmp_path / "lake", pool, embed.Config(model=config.model, pretrained=weights, batch=4))
    assert first.columns["samples"] == second.columns["samples"]
    assert first.columns["embedding"] != second.columns["embedding"]
    assert not set(files(first).values()) & set(files(second).values())


def test_embedding_again_keeps_to_the_limits_of_ingest(tmp_path: Path, config: embed.Config) -> None:
    pool = write_img2dataset(tmp_path / "pool", drawn(4))
    version = empty_version(tmp_path / "lake", pool)
    largest = max(len(image) for _, image, _ in drawn(4))
    settings = ingest.Config(max_bytes=largest - 1)
    shards = digested(pool, version.lake)
    key, sink = embed.embedder(version.lake, config, ingest.samples_key(version.lake, settings))
    draft = ingest.run(version, settings, serial, shards, None, 1)
    done = embed.run(draft, config, serial, shards, key, sink)
    norms = np.linalg.norm(np.concatenate(done.embeddings()).astype(float), axis=1)
    too_large = [reason == samples.TOO_MANY_BYTES for reason in done.table("samples")["reason"].to_pylist()]
    assert any(too_large) and not all(too_large)
    assert ((norms == 0) == too_large).all()


@pytest.mark.parametrize("change", ["other images", "fewer", "more"])
def test_a_shard_that_changed_while_it_was_worked_on_is_named(
    tmp_path: Path, config: embed.Config, change: str
) -> None:
    pool = write_img2dataset(tmp_path / "pool", drawn(6))
    version = empty_version(tmp_path / "lake", pool)
    shards = digested(pool, version.lake)
    key, sink = embed.embedder(version.lake, config, ingest.samples_key(version.lake, ingest.Config()))
    draft = ingest.run(version, ingest.Config(), serial, shards, None, 1)
    changed = {"other images": drawn(6, first=1), "fewer": drawn(5), "more": drawn(7)}[change]
    write_members(pool / "00000.tar", members_of(changed))
    with pytest.raises(PoolError, match=r"00000\.tar: the shard changed"):
        embed.run(draft, config, serial, shards, key, sink)
    assert not list((tmp_path / "lake").rglob("*.npy"))


# --- the key


def test_the_key_depends_on_the_model_the_weights_the_batch_and_the_rows_and_on_no_path(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", "small")
    model, elsewhere = (str(write_model(tmp_path / name)) for name in ("one", "two"))
    weights = [str(write_weights(tmp_path / f"{seed}.safetensors", seed)) for seed in (1, 2)]
    base = embed.Config(model, weights[0])
    other = str(write_model(tmp_path / "three", quick_gelu=True))
    configs = [base, embed.Config(model, weights[1]), embed.Config(model, weights[0], batch=8)]
    configs += [embed.Config(model, weights[0], threads=2), embed.Config(other, weights[0]), embed.Config(model, "")]
    keys = [embed.embedder(lake, config, "rows")[0] for config in configs] + [embed.embedder(lake, base, "others")[0]]
    assert len(set(keys)) == len(keys)
    assert embed.embedder(lake, embed.Config(elsewhere, weights[0]), "rows")[0] == keys[0]
    assert str(tmp_path) not in str(embed.settings(base))
    assert embed.settings(embed.Config("ViT-B-32", "laion400m_e31"))["pretrained"] == "laion400m_e31"


def test_a_pinned_digest_must_be_that_of_the_weights(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", "small")
    model, weights = str(write_model(tmp_path)), write_weights(tmp_path / "a.safetensors", 1)
    right = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert embed.embedder(lake, embed.Config(model, str(weights), sha256=right.upper()), "")[1] is not None
    with pytest.raises(EncoderError, match=f"{'0' * 64} were expected, {right} was found"):
        embed.embedder(lake, embed.Config(model, str(weights), sha256="0" * 64), "")


def test_a_batch_or_a_number_of_threads_below_one_is_refused() -> None:
    for values in ({"batch": 0}, {"threads": 0}):
        with pytest.raises(ConfigError, match="at least 1 was expected"):
            embed.Config(**values)  # type: ignore[arg-type]


def test_an_embedding_that_is_no_number_quarantines_its_sample_alone(tmp_path: Path, config: embed.Config) -> None:
    version = run(tmp_path / "lake", write_img2dataset(tmp_path / "pool", drawn(4)), config)
    path = version.column_path("embedding", version.parts[0])
    values = np.load(path)
    values[1, 3], values[2] = np.nan, 0
    np.save(path, values)
    found = embed.without_embedding(version)
    assert found.table("decision")["reason"].to_pylist() == [None, samples.NO_EMBEDDING, samples.NO_EMBEDDING, None]
    assert found.summary["ingest"]["quarantined"] == {samples.NO_EMBEDDING: 2}
    assert version.table("decision")["reason"].to_pylist() == [None] * 4


# --- crops


def wide(count: int) -> list[Sample]:
    """Images three times as wide as high, or as high as wide, of which every third is square."""
    out = []
    for n, (key, _, text) in enumerate(drawn(count)):
        image = Image.new("RGB", [(96, 32), (32, 96), (32, 32)][n % 3], "white")
        image.paste(picture(n), (0, 0))
        image.paste(picture(n + 7), (image.width - 32, image.height - 32))
        out.append((key, encoded(image), text))
    return out


def test_a_row_of_three_crops_is_the_mean_of_its_squares_scaled_to_unit_norm(
    tmp_path: Path, config: embed.Config
) -> None:
    pool = write_img2dataset(tmp_path / "pool", wide(7))
    version = run(tmp_path / "lake", pool, dataclasses.replace(config, crops=3))
    _, sink = embed.embedder(version.lake, config, "")
    assert sink is not None
    alone = encoder(sink.spec)
    expected = []
    for _, image, _ in wide(7):
        parts = [alone.encode([alone.prepare(part)])[0] for part in squares(decode(image, 10**6))]
        mean = np.mean([part.astype(np.float64) for part in parts], axis=0)
        expected.append(mean / np.linalg.norm(mean))
    found = np.concatenate(version.embeddings()).astype(np.float64)
    assert np.abs(np.array(expected) - found).max() < 2e-3
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 2e-3
    centre = np.concatenate(run(tmp_path / "lake", pool, config).embeddings()).astype(np.float64)
    assert np.abs(centre - found).max(axis=1)[[0, 1]].min() > 0.01  # the ends are seen
    assert np.abs(centre - found).max(axis=1)[[2, 5]].max() < 2e-3  # a square has none


def test_three_crops_read_again_give_the_bytes_of_the_fused_pass(tmp_path: Path, config: embed.Config) -> None:
    pool = write_img2dataset(tmp_path / "pool", wide(11))
    three = dataclasses.replace(config, crops=3)
    fused = run(tmp_path / "lake", pool, three)
    before = files(fused)
    forget(fused)
    assert files(run(tmp_path / "lake", pool, three, decoders=3)) == before


def test_one_crop_has_the_key_that_embeddings_had_before_there_were_crops(tmp_path: Path, config: embed.Config) -> None:
    lake = Lake(tmp_path / "lake", "small")
    key, sink = embed.embedder(lake, dataclasses.replace(config, crops=1), "rows")
    assert sink is not None and key == lake.key("embedding", 1, sink.spec.identity, 4, 1, "rows")
    assert embed.embedder(lake, dataclasses.replace(config, crops=3), "rows")[0] != key


@pytest.mark.parametrize(
    ("size", "corners"),
    [
        ((90, 30), [(0, 0), (30, 0), (60, 0)]),
        ((30, 75), [(0, 0), (0, 22), (0, 45)]),
        ((30, 30), [(0, 0)]),
        ((31, 30), [(0, 0), (1, 0)]),
    ],
)
def test_squares_lie_at_both_ends_and_in_the_middle(size: tuple[int, int], corners: list[tuple[int, int]]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    found = squares(Image.fromarray(noise))
    assert [part.size for part in found] == [(30, 30)] * len(corners)
    for part, (left, top) in zip(found, corners, strict=True):
        assert (np.asarray(part) == noise[top : top + 30, left : left + 30]).all()


def test_another_number_of_crops_or_crops_of_given_embeddings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"embed\.crops: 1 or 3 was expected, 2 was found"):
        embed.Config(crops=2)
    with pytest.raises(ConfigError, match=r"embed\.crops: embeddings that come with the pool"):
        embed.Config(crops=3, embeddings="folder")
