"""A CLIP encoder by name: any open_clip model and weights (a hub tag or a file), or the shipped demo encoder."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import importlib.util
import pickle
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tasks.errors import EncoderError

if TYPE_CHECKING:
    import torch
    from PIL import Image

SHIPPED: Final = "sluice-demo"
SHIPPED_FOLDER: Final = Path(__file__).resolve().parents[2] / "infra" / "demo" / "encoder"
SHIPPED_NOTE: Final = (
    "the shipped demo encoder, trained on drawn emoji and public-domain clip-art only: "
    "for trying Sluice out, not for curating photographs"
)
WEIGHTS: Final = (".safetensors", ".pt", ".pth", ".bin")
CROPS: Final = 3  # of an image that is embedded whole: one end, the middle, the other end
TOLD: Final = 400  # characters of another library's message: torch names every tensor that does not fit
LONGEST: Final = 16  # long side / short side that is resized; beyond it the ends are cut off first


@dataclasses.dataclass(frozen=True)
class EncoderSpec:
    """What names an encoder, small enough to be sent to a worker."""

    model: str  # open_clip's name of it, or a model configuration's .json
    pretrained: str  # a hub tag, a weights file, or "" for random weights (benchmarks)
    digest: str  # sha256 of the weights file
    threads: int = 1  # of the forward pass; part of the result's last bits
    config: str = ""  # sha256 of the model configuration's .json; "" for one that open_clip knows

    @property
    def identity(self) -> list[str]:
        """What the embeddings depend on, free of this machine's paths."""
        tag = "" if Path(self.pretrained).suffix in WEIGHTS else self.pretrained  # a tag brings its own preprocessing
        return [Path(self.model).stem if self.config else self.model, self.config, tag, self.digest]


def spec_of(model: str, pretrained: str | None, threads: int, digest: Callable[[Path], str]) -> EncoderSpec:
    """The encoder of a configuration, its files found and digested; `digest` gives a file's sha256.

    Raises EncoderError where open_clip does not know the model, a file is not there, or the weights cannot be had.
    """
    if model == SHIPPED:
        if pretrained is not None:
            raise EncoderError(f"embed.pretrained: {SHIPPED} brings its weights, {pretrained!r} found; leave it out")
        model, pretrained = str(SHIPPED_FOLDER / f"{SHIPPED}.json"), str(SHIPPED_FOLDER / f"{SHIPPED}.safetensors")
    _check_known(model)
    if pretrained is None:
        raise EncoderError(f"embed.pretrained: the weights of {model} were expected: a hub tag, or a .safetensors file")
    config = digest(_file(model, "embed.model")) if model.endswith(".json") else ""
    if pretrained == "":
        return EncoderSpec(model, "", hashlib.sha256(b"random, seed 0").hexdigest(), threads, config)
    if Path(pretrained).suffix in WEIGHTS:
        return EncoderSpec(model, pretrained, digest(_file(pretrained, "embed.pretrained")), threads, config)
    return EncoderSpec(model, pretrained, digest(_from_hub(model, pretrained)), threads, config)


def _check_known(model: str) -> None:
    """EncoderError for a name that open_clip would not load; what follows hf-hub: and such only it can tell."""
    name, known = model.replace("/", "-"), known_models()
    if model.endswith(".json") or ":" in model or name in known:
        return
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    raise EncoderError(
        f"embed.model: a model that open_clip knows or a model configuration's .json was expected, {model!r} was found"
        + (f" (nearest: {', '.join(near)})" if near else "")
        + "; name the model that the weights were trained as"
    )


def known_models() -> list[str]:
    """Names of open_clip's models, from the names of its files: importing it would take seconds."""
    found = importlib.util.find_spec("open_clip")
    folders = found.submodule_search_locations if found is not None else None
    return sorted(file.stem for folder in folders or () for file in Path(folder).glob("model_configs/*.json"))


def _file(name: str, where: str) -> Path:
    if not Path(name).is_file():
        raise EncoderError(f"{where}: there is no file {name}; name one that exists, or a model that open_clip knows")
    return Path(name)


def _from_hub(model: str, tag: str) -> Path:
    """The downloaded weights of a tag."""
    open_clip = _open_clip()
    facts = open_clip.get_pretrained_cfg(model, tag)
    if not facts:
        known = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "none"
        raise EncoderError(f"embed.pretrained: {model} has no weights {tag!r}; open_clip knows: {known}")
    try:
        return Path(open_clip.download_pretrained(facts))
    except (OSError, RuntimeError, ValueError) as problem:
        raise EncoderError(
            f"the weights {tag!r} of {model} could not be had ({problem}); download them where there is a network, "
            "and give their file as embed.pretrained"
        ) from problem


def _open_clip() -> Any:
    from tasks.encoding.torchvision_ops import declare_missing_ops

    declare_missing_ops()
    import open_clip

    return open_clip


class Encoder:
    """A loaded model: images in, unit-norm float16 embeddings out."""

    def __init__(self, spec: EncoderSpec) -> None:
        import torch

        torch.set_num_threads(spec.threads)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model, self.transform = _load(spec)
        self.model = self.model.eval().to(self.device)
        if self.device == "cuda":
            self.model = self.model.to(torch.bfloat16)
        self.dimension = self._dimension()

    def _dimension(self) -> int:
        from PIL import Image

        return int(self.encode([self.transform(Image.new("RGB", (8, 8)))]).shape[1])

    def prepare(self, image: Image.Image) -> torch.Tensor:
        """The model's own resize, crop and normalisation of an RGB image: (3, h, w) float32."""
        tensor: torch.Tensor = self.transform(_without_ends(image))
        return tensor

    def encode(self, tensors: list[torch.Tensor]) -> np.ndarray:
        """Prepared images [(3, h, w)] → (n, d) float16 of unit norm."""
        return self._features(tensors).cpu().numpy().astype(np.float16)

    def prepare_crops(self, image: Image.Image) -> torch.Tensor:
        """The image's squares, each prepared: (1 to CROPS, 3, h, w) float32."""
        import torch

        return torch.stack([self.transform(square) for square in squares(image)])

    def encode_crops(self, tensors: list[torch.Tensor]) -> np.ndarray:
        """Prepared squares of n images [(1 to CROPS, 3, h, w)] → (n, d) float16 of unit norm.

        The mean over an image's squares of their features of unit norm, scaled to unit norm: what lies at the ends of
        a long image counts as well. GLIDE, arXiv 2112.10741, appendix F.
        """
        import torch

        features = self._features([square for image in tensors for square in image])
        parts = torch.split(features, [len(image) for image in tensors])
        means = torch.stack([part.mean(dim=0) for part in parts])
        unit = torch.nn.functional.normalize(means, dim=-1)
        return unit.cpu().numpy().astype(np.float16)

    def _features(self, tensors: list[torch.Tensor]) -> torch.Tensor:
        """Prepared images [(3, h, w)] → (n, d) float32 of unit norm."""
        import torch

        batch = torch.stack(tensors).to(self.device)  # (n, 3, h, w)
        if self.device == "cuda":
            batch = batch.to(torch.bfloat16)
        with torch.inference_mode():
            features = self.model.encode_image(batch).float()
            return torch.nn.functional.normalize(features, dim=-1)


def squares(image: Image.Image) -> list[Image.Image]:
    """CROPS squares as large as the image is narrow: at both ends and in the middle; one where it is square."""
    width, height = image.size
    side, rest = min(width, height), abs(width - height)
    corners = [(start, 0) if width > height else (0, start) for start in sorted({0, rest // 2, rest})]
    return [image.crop((left, top, left + side, top + side)) for left, top in corners]


def _without_ends(image: Image.Image) -> Image.Image:
    """The middle of an image that is far longer than wide.

    Scaled up whole, 2 × 40,000,000 pixels would fill memory, and CLIP's centre crop would drop the ends anyway.
    """
    width, height = image.size
    longest = LONGEST * min(width, height)
    if max(width, height) <= longest:
        return image
    left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
    return image.crop((left, top, left + min(width, longest), top + min(height, longest)))


def _load(spec: EncoderSpec) -> tuple[Any, Any]:
    import torch

    open_clip = _open_clip()
    with _load_errors(spec):
        name = spec.model
        if spec.config:
            open_clip.add_model_config(name)
            name = Path(name).stem
        # Some published weights need the activation that they were trained with, whatever the model's name says.
        tag = open_clip.get_pretrained_cfg(name, spec.pretrained) if spec.pretrained else {}
        torch.manual_seed(0)
        model, _, transform = open_clip.create_model_and_transforms(
            name, spec.pretrained or None, force_quick_gelu=bool(tag.get("quick_gelu"))
        )
    return model, transform


@contextmanager
def _load_errors(spec: EncoderSpec) -> Iterator[None]:
    """What can go wrong while foreign files are read, as one EncoderError."""
    from safetensors import SafetensorError

    try:
        yield
    except (RuntimeError, LookupError, OSError, EOFError, ValueError, TypeError, AttributeError, AssertionError,
            ImportError, SafetensorError, pickle.UnpicklingError) as problem:  # fmt: skip
        told = textwrap.shorten(str(problem), TOLD, placeholder=" …")
        raise EncoderError(
            f"{spec.pretrained or 'random weights'} does not load into {spec.model}: {told}; "
            "name the model that the weights were trained as"
        ) from problem


@lru_cache(maxsize=1)
def encoder(spec: EncoderSpec) -> Encoder:
    """This process's encoder, loaded once."""
    return Encoder(spec)
