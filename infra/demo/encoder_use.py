"""Images and captions through a small CLIP, as open_clip would: for training and measuring, without data loaders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from infra.demo.encoder_augment import normalise

BATCH = 256


def load(config: Path, weights: Path) -> tuple[Any, Any]:
    """The model in float32, ready to use, and its tokenizer."""
    from safetensors.torch import load_file

    from tasks.encoding.torchvision_ops import declare_missing_ops

    declare_missing_ops()
    import open_clip

    open_clip.add_model_config(config)
    model = open_clip.create_model(config.stem)
    model.load_state_dict(load_file(weights))
    return model.eval(), open_clip.get_tokenizer(config.stem)


@torch.inference_mode()
def embed_images(model: Any, images: np.ndarray) -> np.ndarray:
    """(n, h, w, 3) uint8 → (n, d) float32 of unit norm."""
    side = model.visual.image_size[0]
    found = []
    for start in range(0, len(images), BATCH):
        batch = torch.from_numpy(images[start : start + BATCH]).permute(0, 3, 1, 2).float() / 255
        if batch.shape[-1] != side:
            batch = functional.interpolate(batch, size=(side, side), mode="bicubic", antialias=True).clamp(0, 1)
        found.append(functional.normalize(model.encode_image(normalise(batch)), dim=-1))
    return torch.cat(found).numpy()


@torch.inference_mode()
def embed_texts(model: Any, tokenizer: Any, texts: Sequence[str]) -> np.ndarray:
    """n texts → (n, d) float32 of unit norm."""
    found = [
        functional.normalize(model.encode_text(tokenizer(list(texts[start : start + BATCH]))), dim=-1)
        for start in range(0, len(texts), BATCH)
    ]
    return torch.cat(found).numpy()
