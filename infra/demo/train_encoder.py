"""Trains the demo's small CLIP: python -m infra.demo.train_encoder DEMO_POOL CLIPART_POOL --minutes 30.

The contrastive loss of CLIP (Radford et al. 2021, section 2.3), with all pairs that share an image or a caption
as positives (UniCL, Yang et al. 2022, section 3.2), and with second looks at some images drawn to the first ones:
what is near in this space should be near whatever the crop, and images should fill the sphere (uniformity,
Wang & Isola 2020, section 4.1). The shipped weights are an average over the last
steps, in float16.
"""

from __future__ import annotations

import argparse
import copy
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from infra.demo.encoder_augment import look, reword
from infra.demo.encoder_data import Pairs, read_pools
from tasks.encoding.torchvision_ops import declare_missing_ops

NAME = "sluice-demo"
FOLDER = Path(__file__).parent / "encoder"
STORED_SIDE = 96  # pixels, in memory
SIDES = ((0.25, 48), (0.75, 64), (1.0, 80))  # (until this share of the time, pixels): small images first, for speed
CAP = 200  # samples a epoch with one same image or caption: 1,375 stars are named alike
BATCH = 256  # pairs
TWICE = 64  # of them are looked at twice
PEAK_RATE = 2e-3
WEIGHT_DECAY = 0.1
WARM_UP_STEPS = 80
AVERAGE = 0.995  # of the weights, a step
TOGETHER = 0.3  # weight of the distance between two looks
SPREAD = 0.3  # weight of uniformity: without it half of all image pairs had a cosine over 0.44
MAX_SCALE = math.log(16.0)  # of the logits; with CLIP's 100 the images stay in a narrow cone


@dataclass
class Training:
    model: Any
    average: Any
    optimizer: torch.optim.Optimizer
    tokenizer: Any
    seconds: float  # the budget: the schedule follows the clock, so that a busy machine ends on time too
    began: float
    step: int = 0

    @property
    def progress(self) -> float:
        """The share of the budget that is spent, in [0, 1]."""
        return min(1.0, (time.perf_counter() - self.began) / self.seconds)

    def side(self) -> int:
        progress = self.progress
        return next(side for until, side in SIDES if progress <= until)

    def rate(self) -> float:
        warm = min(1.0, (self.step + 1) / WARM_UP_STEPS)
        return PEAK_RATE * warm * 0.5 * (1 + math.cos(math.pi * self.progress))


def build(name: str = NAME) -> Any:
    """A new model of the shipped configuration, with open_clip's random weights."""
    declare_missing_ops()
    import open_clip

    open_clip.add_model_config(FOLDER / f"{NAME}.json")
    return open_clip.create_model(name)


def tokenizer() -> Any:
    declare_missing_ops()
    import open_clip

    open_clip.add_model_config(FOLDER / f"{NAME}.json")
    return open_clip.get_tokenizer(NAME)


def main() -> None:
    options = _options()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    pairs = read_pools(options.pools, STORED_SIDE)
    train = np.flatnonzero(~pairs.held_out)
    print(f"{len(train)} pairs to train on, {len(pairs) - len(train)} held out", flush=True)
    training = _start(60 * options.minutes, options.start)
    draw = random.Random(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    while training.progress < 1:
        loss = _train_epoch(training, pairs, _epoch(pairs, train, draw), draw, generator)
        found = recall_at_5(training.average, training.tokenizer, pairs)
        print(f"step {training.step} ({training.progress:.0%}): loss {loss:.3f}, held-out R@5 {found:.3f}", flush=True)
        export(training.average, options.out)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pools", nargs="+", type=Path, help="folders in img2dataset's layout")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=FOLDER / f"{NAME}.safetensors")
    return parser.parse_args()


def _start(seconds: float, weights: Path | None) -> Training:
    model = build()
    if weights is not None:
        model.load_state_dict(load_file(weights))
    model = model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": WEIGHT_DECAY},
            {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=PEAK_RATE,
        betas=(0.9, 0.98),
    )
    average = copy.deepcopy(model).eval()
    return Training(model, average, optimizer, tokenizer(), seconds, time.perf_counter())


def _epoch(pairs: Pairs, train: np.ndarray, draw: random.Random) -> list[int]:
    """Indices in random order, at most CAP of those with one image or caption."""
    order = train.tolist()
    draw.shuffle(order)
    taken: dict[int, int] = {}
    kept = []
    for index in order:
        same = int(pairs.same[index])
        taken[same] = taken.get(same, 0) + 1
        if taken[same] <= CAP:
            kept.append(index)
    return kept


def _train_epoch(
    training: Training, pairs: Pairs, order: list[int], draw: random.Random, generator: torch.Generator
) -> float:
    losses = []
    for batch in _batches(order):
        if training.progress >= 1:
            break
        for group in training.optimizer.param_groups:
            group["lr"] = training.rate()
        images, flip = pairs.images[batch], ~pairs.drawn[batch]
        side = training.side()
        looks = torch.cat([look(images[:n], flip[:n], side, generator) for n in (BATCH, TWICE)])
        words = training.tokenizer([reword(pairs.captions[index], draw) for index in batch])
        loss = _loss(training.model, looks, words, torch.from_numpy(pairs.same[batch]))
        training.optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(training.model.parameters(), 1.0)
        training.optimizer.step()
        training.step += 1
        _average(training)
        losses.append(loss.item())
    return float(np.mean(losses)) if losses else math.nan


def _batches(order: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(order) - BATCH + 1, BATCH):
        yield order[start : start + BATCH]


def _loss(model: Any, looks: torch.Tensor, words: torch.Tensor, same: torch.Tensor) -> torch.Tensor:
    """looks (n + m, 3, h, w), of which the last m show the first m again; words (n, context); same (n,)."""
    with torch.autocast("cpu", torch.bfloat16):
        image, text = model.encode_image(looks), model.encode_text(words)
    image, text = functional.normalize(image.float(), dim=-1), functional.normalize(text.float(), dim=-1)
    scale = model.logit_scale.clamp(max=MAX_SCALE).exp()
    n, again = len(words), len(looks) - len(words)
    positive = (same[:, None] == same[None, :]).float()
    wanted = positive / positive.sum(dim=1, keepdim=True)  # (n, n)
    logits = scale * image[:n] @ text.T  # (n, n)
    matched = functional.cross_entropy(logits, wanted) + functional.cross_entropy(logits.T, wanted)
    apart = (1 - (image[:again] * image[n:]).sum(dim=-1)).mean()
    others = image[:n] @ image[:n].T
    crowded = torch.exp(4 * (others[positive == 0] - 1)).mean().log()
    return matched / 2 + TOGETHER * apart + SPREAD * crowded


@torch.no_grad()
def _average(training: Training) -> None:
    decay = min(AVERAGE, (1 + training.step) / (10 + training.step))
    states = zip(training.average.state_dict().values(), training.model.state_dict().values(), strict=True)
    for kept, new in states:
        if kept.is_floating_point():
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


@torch.inference_mode()
def recall_at_5(model: Any, tokens: Any, pairs: Pairs) -> float:
    """Held-out captions whose image, or one with the same caption, is among the five nearest held-out images."""
    from infra.demo.encoder_use import embed_images, embed_texts

    held = np.flatnonzero(pairs.held_out)
    similarity = (
        embed_texts(model, tokens, [pairs.captions[i] for i in held]) @ embed_images(model, pairs.images[held]).T
    )
    nearest = np.argsort(-similarity, axis=1)[:, :5]
    same = pairs.same[held]
    return float((same[nearest] == same[:, None]).any(axis=1).mean())


def export(model: Any, path: Path) -> None:
    """float16 safetensors, with the temperature as it was used."""
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in model.state_dict().items()
    }
    state["logit_scale"] = state["logit_scale"].clamp(max=MAX_SCALE)
    aside = path.with_suffix(".tmp")
    save_file(state, aside, metadata={"format": "pt"})
    aside.replace(path)


if __name__ == "__main__":
    main()
