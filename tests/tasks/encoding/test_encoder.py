import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.encoding.encoder import SHIPPED, SHIPPED_FOLDER, Encoder, EncoderSpec, known_models, spec_of
from tasks.errors import EncoderError
from tasks.files import Digests
from tests.small_pool import picture
from tests.tiny_clip import write_model, write_weights


def spec(folder: Path, model: str, pretrained: str | None) -> EncoderSpec:
    return spec_of(model, pretrained, 1, Digests(folder).of)


@pytest.fixture
def tiny(tmp_path: Path) -> EncoderSpec:
    return spec(tmp_path, str(write_model(tmp_path)), "")


def test_embeddings_are_of_unit_norm_in_half_precision(tiny: EncoderSpec) -> None:
    encoder = Encoder(tiny)
    found = encoder.encode([encoder.prepare(picture(n)) for n in range(5)])
    assert (found.shape, found.dtype, encoder.dimension) == ((5, 32), np.float16, 32)
    assert np.abs(np.linalg.norm(found.astype(np.float64), axis=1) - 1).max() < 2e-3
    assert len(np.unique(found, axis=0)) == 5


def test_random_weights_are_the_same_in_each_process(tiny: EncoderSpec) -> None:
    first, second = Encoder(tiny), Encoder(tiny)
    tensor = first.prepare(picture(1))
    assert (first.encode([tensor]) == second.encode([tensor])).all()


def test_a_weights_file_is_loaded_into_the_model_of_the_configuration(tmp_path: Path) -> None:
    model = str(write_model(tmp_path))
    images = [picture(n) for n in range(3)]
    found = []
    for seed in (1, 2):
        encoder = Encoder(spec(tmp_path, model, str(write_weights(tmp_path / f"{seed}.safetensors", seed))))
        found.append(encoder.encode([encoder.prepare(image) for image in images]))
    assert (found[0] != found[1]).any()


@pytest.mark.parametrize("size", [(1, 3000), (3000, 1), (2, 40_000)])
def test_a_very_long_image_is_not_blown_up(tiny: EncoderSpec, size: tuple[int, int]) -> None:
    encoder = Encoder(tiny)
    sizes: list[int] = []
    whole = encoder.transform

    def watched(image: Image.Image) -> object:
        sizes.append(image.width * image.height * 32 * 32 // min(image.size) ** 2)  # once scaled to the model's 32
        return whole(image)

    encoder.transform = watched
    assert encoder.prepare(Image.new("RGB", size)).shape == (3, 32, 32)
    assert max(sizes) <= 16 * 32 * 32


def test_cutting_the_ends_of_a_long_image_leaves_its_centre_as_it_was(tiny: EncoderSpec) -> None:
    encoder = Encoder(tiny)
    noise = np.random.default_rng(0).integers(0, 255, (40, 1200, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    assert np.abs(encoder.prepare(image).numpy() - encoder.transform(image).numpy()).max() < 0.05


def test_what_an_embedding_depends_on_is_told_without_paths(tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "a.safetensors", 1)
    known = {}
    for folder in ("one", "two"):
        known[folder] = spec(tmp_path, str(write_model(tmp_path / folder)), str(weights))
    assert known["one"].identity == known["two"].identity
    assert str(tmp_path) not in str(known["one"].identity)
    other = spec(tmp_path, str(write_model(tmp_path / "three", quick_gelu=True)), str(weights))
    assert other.identity != known["one"].identity


def test_the_digest_is_that_of_the_weights_file(tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "a.safetensors", 1)
    assert spec(tmp_path, "ViT-B-32", str(weights)).digest == Digests(tmp_path).of(weights)


@pytest.mark.parametrize(
    ("model", "pretrained", "message"),
    [
        ("ViT-B-32", None, "the weights of ViT-B-32 were expected"),
        ("ViT-B-32", "absent.safetensors", "there is no file absent.safetensors"),
        ("absent.json", "", "there is no file absent.json"),
        ("ViT-B-32", "no_such_tag", "open_clip knows: openai, laion400m_e31"),
        ("ViT-B-33", "openai", "'ViT-B-33' was found .nearest: ViT-B-32, "),
        ("vit-b-32", "", "'vit-b-32' was found .nearest: "),
        ("?", "", "'?' was found; name the model"),
        ("sluice-demo", "absent.safetensors", "sluice-demo brings its weights, 'absent.safetensors' found"),
    ],
)
def test_what_cannot_be_found_is_refused_and_named(
    tmp_path: Path, model: str, pretrained: str | None, message: str
) -> None:
    with pytest.raises(EncoderError, match=message):
        spec(tmp_path, model, pretrained)


def test_the_models_that_can_be_named_are_those_that_open_clip_loads() -> None:
    program = "from tasks.encoding.encoder import _open_clip; print(*_open_clip().list_models())"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert known_models() == sorted(done.stdout.split())


def test_a_model_of_a_scheme_or_with_its_papers_slash_is_left_to_open_clip(tmp_path: Path) -> None:
    weights = str(write_weights(tmp_path / "a.safetensors", 1))
    for model in ("ViT-B/32", "hf-hub:someone/some-model"):
        assert spec(tmp_path, model, weights).model == model


def test_weights_that_do_not_fit_or_are_none_are_refused(tmp_path: Path) -> None:
    model = str(write_model(tmp_path))
    garbage = [tmp_path / f"garbage.{ending}" for ending in ("safetensors", "pt", "bin")]
    for path in garbage:
        path.write_bytes(b"no weights" * 10)
    for path in (*garbage, write_weights(tmp_path / "other.safetensors", 1, dimension=16)):
        with pytest.raises(EncoderError, match="does not load into") as refused:
            Encoder(spec(tmp_path, model, str(path)))
        assert len(str(refused.value)) < 1000


def test_weights_that_open_clip_asserts_do_not_fit_are_refused(tmp_path: Path) -> None:
    shipped = SHIPPED_FOLDER / f"{SHIPPED}.safetensors"
    with pytest.raises(EncoderError, match="text pos_embed width changed"):
        Encoder(spec(tmp_path, str(write_model(tmp_path)), str(shipped)))


def test_a_weights_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    import pickle

    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (eval, (f"open({str(tmp_path / 'harmed')!r}, 'w')",))

    (tmp_path / "harmful.pt").write_bytes(pickle.dumps({"a": Harmful()}, protocol=2))
    with pytest.raises(EncoderError):
        Encoder(spec(tmp_path, str(write_model(tmp_path)), str(tmp_path / "harmful.pt")))
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    "text", ["{", '{"embed_dim": 8}', '{"embed_dim": 8, "vision_cfg": {"depth": 1}, "text_cfg": {}}']
)
def test_a_model_configuration_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    import open_clip.factory

    before = list(open_clip.factory._MODEL_CONFIG_PATHS)
    (tmp_path / "odd.json").write_text(text)
    with pytest.raises(EncoderError, match="does not load into"):
        Encoder(spec(tmp_path, str(tmp_path / "odd.json"), ""))
    open_clip.factory._MODEL_CONFIG_PATHS[:] = before
