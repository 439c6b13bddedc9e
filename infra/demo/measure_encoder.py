"""Measures the shipped encoder on what it was not trained on, and writes encoder/QUALITY.md:

    python -m infra.demo.measure_encoder DEMO_POOL CLIPART_POOL --emoji-pool OTHER_EMOJI_POOL

The pools must be the ones that train_encoder was given, so that the split is the same. The emoji pool
(img2dataset's layout, with Unicode subgroups as `folder`) is only probed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from infra.demo import encoder_measures as measures
from infra.demo.encoder_data import Pairs, read_pools
from infra.demo.encoder_use import embed_images, embed_texts, load
from infra.demo.train_encoder import FOLDER, NAME, build

THRESHOLDS = (0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99)
BINS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.92, 0.94, 0.96, 0.98, 0.99, 1.0)
RAW_SIDE = 32  # pixels, of the raw baseline
REPORT = FOLDER / "QUALITY.md"

Encoders = tuple[Callable[[np.ndarray], np.ndarray], ...]  # (n, h, w, 3) uint8 → (n, d)

ABOUT = """\
# The demo encoder, measured

`sluice-demo` is a CLIP of {parameters:.1f} million parameters ({bytes:.1f} MB of float16): cs3darknet_focus_s at
80 × 80 pixels, a text tower of three layers and 96 channels, 128-dimensional embeddings. It was trained from random
weights on {trained:,} image-caption pairs: emoji drawn from Noto Color Emoji (Open Font License) and the Open Clip Art
Library 0.18 (public domain), in 1,130 steps of 256 pairs on one shared core: 627 with an earlier loss (no uniformity,
logits scaled up to 60), then 503 from there as `train_encoder --start` does it; held-out recall was watched meanwhile.
It exists so that the demo runs offline.

**It is not good for** photographs, for text in images, for counting, for anything that neither source draws, or for
deciding what is harmful in a real pool. It tells skin tones and genders of one emoji apart only in part, and for
clip-art folders it is not shown to be better than raw pixels (the intervals below overlap). Name an open_clip model and
its weights for real work.

What follows is on held-out samples unless it says otherwise: {held:,} samples in {groups:,} groups that training never
saw. A group is one emoji in all skin tones, genders and directions, or the clip-art that shares pixels, a caption or a
title; groups over 60 samples are always trained on. Written by `python -m infra.demo.measure_encoder`.
"""

RETRIEVAL = """\
## Text to image retrieval

Share of captions with an image of theirs among the k nearest of the pool; 95% bootstrap interval over groups; chance
in brackets.

| pool | images | R@1 | R@5 | R@10 |
| --- | --- | --- | --- | --- |"""

PROBES = f"""\
## Linear probes

Held-out accuracy of logistic regression on frozen embeddings: {measures.SEEDS} seeds, each with
{measures.PROBE_SAMPLES:,} samples that are not held out, the same for each column; 95% bootstrap interval over
held-out groups.

| labels | held out | classes | most frequent | this encoder | random weights | raw 32 × 32 pixels |
| --- | --- | --- | --- | --- | --- | --- |"""

DUPLICATES = """\
## Near-duplicates in the demo pool

All {images:,} images, trained on or not, as the demo's dedup stage sees them. Cosine to the nearest other image:

| cosine | images |
| --- | --- |
{bins}

What each threshold links. "One emoji": the share of linked pairs that are variants of one emoji. The {clocks} clock
faces make {clock_pairs} pairs and should be one set.

| threshold | pairs | one emoji | linked sets | images fewer | largest set | clock pairs | clocks' sets |
| --- | --- | --- | --- | --- | --- | --- | --- |"""

THRESHOLD_LINE = (
    "| {threshold:.2f} | {pairs:,} | {one_group:.1%} | {groups} | {fewer} | {largest} | {chosen_pairs} "
    "| {chosen_groups} |"
)

SPEED = """\
## Speed

{:.0f} images a second on one thread (float32, batches of 64; decoding not counted).
"""


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    weights = FOLDER / f"{NAME}.safetensors"
    model, tokenizer = load(FOLDER / f"{NAME}.json", weights)
    pairs = read_pools(options.pools, model.visual.image_size[0])
    text = "\n".join(
        [
            _about(model, weights, pairs),
            _retrieval(model, tokenizer, pairs),
            _probes(model, pairs, options.emoji_pool),
            _duplicates(model, pairs),
            SPEED.format(measures.images_per_second(model)),
        ]
    )
    options.out.write_text(text, "utf-8")
    print(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pools", nargs="+", type=Path)
    parser.add_argument("--emoji-pool", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=REPORT)
    return parser.parse_args()


def _about(model: Any, weights: Path, pairs: Pairs) -> str:
    held = pairs.held_out
    return ABOUT.format(
        parameters=sum(p.numel() for p in model.parameters()) / 1e6,
        bytes=weights.stat().st_size / 1e6,
        trained=int((~held).sum()),
        held=int(held.sum()),
        groups=len(set(pairs.group[held].tolist())),
    )


def _retrieval(model: Any, tokenizer: Any, pairs: Pairs) -> str:
    lines = [RETRIEVAL]
    for name, chosen in (("emoji", pairs.drawn), ("clip-art", ~pairs.drawn), ("both", pairs.drawn | True)):
        held = np.flatnonzero(pairs.held_out & chosen)
        text = embed_texts(model, tokenizer, [pairs.captions[index] for index in held])
        image = embed_images(model, pairs.images[held])
        same, group = pairs.same[held], pairs.group[held]
        cells = [
            "{:.1%} ({:.1%} to {:.1%}) [{:.1%}]".format(
                *measures.retrieval(text, image, same, group, k), measures.chance(same, k)
            )
            for k in (1, 5, 10)
        ]
        lines.append(f"| {name} | {len(held)} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _probes(model: Any, pairs: Pairs, emoji_pool: Path | None) -> str:
    lines = [PROBES]
    torch.manual_seed(0)
    untrained = build().eval()
    encoders: Encoders = (partial(embed_images, model), partial(embed_images, untrained), _raw)
    tops = [folder.split("/")[0] for folder in pairs.folders]
    chosen = ~pairs.drawn & measures.frequent(tops, 100)
    lines.append(_probe_line("clip-art folder", _part(pairs, chosen), np.array(tops)[chosen], encoders))
    if emoji_pool is not None:
        emoji = _split_alike(read_pools([emoji_pool], model.visual.image_size[0]), pairs)
        chosen = measures.frequent(emoji.folders, 20)
        labels = np.array(emoji.folders)[chosen]
        lines.append(_probe_line("Unicode subgroup", _part(emoji, chosen), labels, encoders))
    return "\n".join([*lines, ""])


def _split_alike(emoji: Pairs, pairs: Pairs) -> Pairs:
    """Another maker's emoji, held out where the drawn ones are."""
    held = {url for url, out in zip(pairs.urls, pairs.held_out, strict=True) if out and url}
    return replace(emoji, held_out=np.array([url in held for url in emoji.urls]))


def _part(pairs: Pairs, chosen: np.ndarray) -> Pairs:
    rows = np.flatnonzero(chosen)
    return replace(pairs, images=pairs.images[rows], group=pairs.group[rows], held_out=pairs.held_out[rows])


def _probe_line(name: str, pairs: Pairs, labels: np.ndarray, encoders: Encoders) -> str:
    cells = []
    for encode in encoders:
        accuracy = measures.probe(encode(pairs.images), labels, pairs.group, pairs.held_out)
        cells.append("{:.1%} ({:.1%} to {:.1%})".format(*accuracy))
    kinds, counts = np.unique(labels[~pairs.held_out], return_counts=True)
    most = (labels[pairs.held_out] == kinds[counts.argmax()]).mean()
    return f"| {name} | {pairs.held_out.sum()} | {len(kinds)} | {most:.1%} | " + " | ".join(cells) + " |"


def _raw(images: np.ndarray) -> np.ndarray:
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    small = torch.nn.functional.interpolate(pixels, size=(RAW_SIDE, RAW_SIDE), mode="bicubic", antialias=True)
    return small.flatten(1).numpy()


def _duplicates(model: Any, pairs: Pairs) -> str:
    drawn = np.flatnonzero(pairs.drawn)
    image, group = embed_images(model, pairs.images[drawn]), pairs.group[drawn]
    clocks = np.array(["o’clock" in pairs.captions[i] or "-thirty" in pairs.captions[i] for i in drawn])
    counts, _ = np.histogram(measures.nearest_cosines(image), BINS)
    bins = [f"| {low:.2f} to {high:.2f} | {count} |" for (low, high), count in zip(pairwise(BINS), counts, strict=True)]
    many = int(clocks.sum())
    lines = [
        DUPLICATES.format(images=len(drawn), bins="\n".join(bins), clocks=many, clock_pairs=many * (many - 1) // 2)
    ]
    for threshold in THRESHOLDS:
        found = measures.near_duplicates(image, group, clocks, threshold)
        lines.append(THRESHOLD_LINE.format(**found))
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
