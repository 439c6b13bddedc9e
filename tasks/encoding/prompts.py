"""Where labelling begins: how near each image lies to what the specification's prompts describe.

CLIP's text tower embeds the prompts as captions (as GLIDE's filters were begun by text search: arXiv 2112.10741,
appendix F). Weak encoders are weak here too; the labels that follow correct it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.encoding.encoder import EncoderSpec, encoder


def embed_prompts(spec: EncoderSpec, prompts: Sequence[str]) -> NDArray[np.float32]:
    """(d,) mean of the prompts' text embeddings, of unit norm."""
    import torch

    loaded = encoder(spec)  # first: it declares what open_clip's import may lack
    import open_clip

    tokenizer = open_clip.get_tokenizer(Path(spec.model).stem if spec.config else spec.model)
    with torch.inference_mode():
        texts = loaded.model.encode_text(tokenizer(list(prompts)).to(loaded.device)).float()
        mean = torch.nn.functional.normalize(texts, dim=-1).mean(dim=0)
        out: NDArray[np.float32] = torch.nn.functional.normalize(mean, dim=-1).cpu().numpy()
    return out


def similarity(parts: Sequence[NDArray[np.floating]], prompt: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n,) cosine of each embedding of (rows, d) parts with the prompts'."""
    found = [part.astype(np.float32) @ prompt for part in parts]
    return np.concatenate(found) if found else np.zeros(0, np.float32)
