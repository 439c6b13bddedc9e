"""What varies between two looks at one image-caption pair while the demo encoder is trained."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

MEAN = (0.48145466, 0.4578275, 0.40821073)  # open_clip's default preprocessing
STD = (0.26862954, 0.26130258, 0.27577711)
ZOOM = (0.72, 1.12)  # the part of the image that is seen, along a side; over 1 adds a white border
TURN = 0.2  # radians, at most
SHIFT = 0.1  # of half a side, at most


def normalise(images: torch.Tensor) -> torch.Tensor:
    """(n, 3, h, w) in 0..1 → as open_clip's preprocessing leaves them."""
    import torch

    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


def look(images: np.ndarray, flip: np.ndarray, side: int, generator: torch.Generator) -> torch.Tensor:
    """(n, h, w, 3) uint8 → (n, 3, side, side): cropped, turned, recoloured; flipped at random where `flip`.

    Emoji are not flipped: their names say left and right.
    """
    import torch
    from torch.nn import functional

    n = len(images)
    inks = 1.0 - torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255  # 0 is white, what padding gives
    corners = _transforms(n, torch.from_numpy(flip), generator)
    grid = functional.affine_grid(corners, [n, 3, side, side], align_corners=False)
    seen = functional.grid_sample(inks, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return normalise(_recolour(1.0 - seen, generator))


def _transforms(n: int, flip: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    import torch

    def uniform(low: float, high: float) -> torch.Tensor:
        return torch.rand(n, generator=generator) * (high - low) + low

    zoom, aspect, turn = uniform(*ZOOM), uniform(0.9, 1.1), uniform(-TURN, TURN)
    mirrored = torch.where(flip & (uniform(0, 1) < 0.5), -1.0, 1.0)
    across, down = zoom * aspect, zoom / aspect
    rows = [
        torch.stack([across * turn.cos() * mirrored, -across * turn.sin(), uniform(-SHIFT, SHIFT)], dim=1),
        torch.stack([down * turn.sin() * mirrored, down * turn.cos(), uniform(-SHIFT, SHIFT)], dim=1),
    ]
    return torch.stack(rows, dim=1)  # (n, 2, 3)


def _recolour(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Small changes only: skin tones and hearts differ in nothing but colour."""
    import torch

    def factor(spread: float, channels: int = 1) -> torch.Tensor:
        return 1 + (torch.rand(len(images), channels, 1, 1, generator=generator) * 2 - 1) * spread

    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * factor(0.2)
    images = 1 - (1 - images * factor(0.06, 3)) * factor(0.15)
    noise = torch.randn(images.shape, generator=generator) * 0.02
    return (images + noise).clamp(0, 1)


def reword(caption: str, draw: random.Random) -> str:
    """The caption, or its parts (title, keywords, skin tones) in another order with some left out."""
    if draw.random() < 0.4:
        return caption
    head, _, tail = caption.partition(". ")
    parts = [part for part in (tail or head).split(", ") if part]
    if not tail:  # an emoji: what it shows stays, skin tones may go
        rest = parts[1:]
        kept = rest if draw.random() < 0.7 else []
        return ", ".join([parts[0], *kept]) if parts else caption
    draw.shuffle(parts)
    parts = parts[: max(1, round(len(parts) * draw.uniform(0.4, 1.0)))]
    return ", ".join([head, *parts] if draw.random() < 0.6 else parts)
