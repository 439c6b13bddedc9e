"""A CLIP encoder by name: any open_clip model and weights (a hub tag or a file), or the shipped demo encoder."""

from __future__ import annotations

import dataclasses
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tasks.errors import EncoderError

if TYPE_CHECKING:
    import torch

SHIPPED: Final = "sluice-demo"
SHIPPED_FOLDER: Final = Path(__file__).parent.parent / "infra" / "demo" / "encoder"
SHIPPED_NOTE: Final = (
    "the shipped demo encoder, trained on drawn emoji and public-domain clip-art only: "
    "for trying Sluice out, not for curating photographs"
)


@dataclasses.dataclass(frozen=True)
class EncoderSpec:
    """What names an encoder, small enough to be sent to a worker."""

    model: str  # open_clip's name of it, or a model configuration's .json
    pretrained: str  # a hub tag, a weights file, or "" for random weights (benchmarks)
    digest: str  # sha256 of the weights file
    threads: int = 1  # of the forward pass; part of the result's last bits


def spec_of(model: str, pretrained: str | None, threads: int, cache: Any) -> EncoderSpec:
    """The encoder of a configuration, its weights found and digested; `cache(path)` gives a file's sha256.

    Raises EncoderError where the weights cannot be had.
    """
    if model == SHIPPED and pretrained is None:
        path = SHIPPED_FOLDER / f"{SHIPPED}.safetensors"
        return EncoderSpec(str(SHIPPED_FOLDER / f"{SHIPPED}.json"), str(path), cache(path), threads)
    if pretrained == "":
        return EncoderSpec(model, "", hashlib.sha256(b"random, seed 0").hexdigest(), threads)
    if pretrained is None:
        raise EncoderError(f"embed.pretrained: the weights of {model} were expected: a hub tag, or a .safetensors file")
    if Path(pretrained).suffix in (".safetensors", ".pt", ".pth", ".bin"):
        if not Path(pretrained).is_file():
            raise EncoderError(f"embed.pretrained: there is no weights file {pretrained}")
        return EncoderSpec(model, pretrained, cache(Path(pretrained)), threads)
    return EncoderSpec(model, _from_hub(model, pretrained, cache), "", threads)


def _from_hub(model: str, tag: str, cache: Any) -> str:
    from tasks.torchvision_ops import declare_missing_ops

    declare_missing_ops()
    import open_clip

    facts = open_clip.get_pretrained_cfg(model, tag)
    if not facts:
        known = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "none: is the model's name right?"
        raise EncoderError(f"embed.pretrained: {model} has no weights {tag!r}; open_clip knows: {known}")
    try:
        return str(open_clip.download_pretrained(facts))
    except (OSError, RuntimeError, ValueError) as problem:
        raise EncoderError(
            f"the weights {tag!r} of {model} could not be had ({problem}); download them where there is a network, "
            "and give their file as embed.pretrained"
        ) from problem


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

    def encode(self, tensors: list[torch.Tensor]) -> np.ndarray:
        """Transformed images [(3, h, w)] → (n, d) float16 of unit norm."""
        import torch

        batch = torch.stack(tensors).to(self.device)  # (n, 3, h, w)
        if self.device == "cuda":
            batch = batch.to(torch.bfloat16)
        with torch.inference_mode():
            features = self.model.encode_image(batch).float()
            features = torch.nn.functional.normalize(features, dim=-1)
        return features.cpu().numpy().astype(np.float16)


def _load(spec: EncoderSpec) -> tuple[Any, Any]:
    import torch

    from tasks.torchvision_ops import declare_missing_ops

    declare_missing_ops()
    import open_clip

    name = spec.model
    if name.endswith(".json"):
        open_clip.add_model_config(name)
        name = Path(name).stem
    torch.manual_seed(0)
    try:
        model, _, transform = open_clip.create_model_and_transforms(name)
        if spec.pretrained:
            model.load_state_dict(_weights(Path(spec.pretrained)))
    except (RuntimeError, KeyError, OSError) as problem:
        raise EncoderError(f"{spec.pretrained or 'random weights'} does not load into {name}: {problem}") from problem
    return model, transform


def _weights(path: Path) -> dict[str, Any]:
    """A state dict, read without running anything that the file might hold."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state: dict[str, Any] = load_file(path)
    else:
        import torch

        state = torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
    return {name.removeprefix("module."): value.float() for name, value in state.items()}


@lru_cache(maxsize=1)
def encoder(spec: EncoderSpec) -> Encoder:
    """This process's encoder, loaded once."""
    return Encoder(spec)
