"""A CLIP of a few thousand weights, for tests: loads and runs in a moment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 1, "layers": 1},
}


def write_model(folder: Path, name: str = "tiny", **changes: Any) -> Path:
    """A model configuration of open_clip's; give it as embed.model, with pretrained = "" for random weights."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({**CONFIG, **changes}))
    return path


def write_weights(path: Path, seed: int, dimension: int = 32) -> Path:
    """Weights of the configuration, other ones for each seed."""
    import torch
    from open_clip.model import CLIP
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    state = CLIP(**{**CONFIG, "embed_dim": dimension}).state_dict()  # type: ignore[arg-type]
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    return path
