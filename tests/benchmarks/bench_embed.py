"""The stage against the bare forward pass: images a second of ingest + embed on tar shards, and of the model alone.

Same model, batch and threads; the model's weights are random, which costs the same. Run: make bench-embed
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from tasks import ingest
from tasks.embed import Embedder
from tasks.encoding.encoder import EncoderSpec, encoder
from tests.drawn_pool import draw_pool
from tests.memory import peak_memory


def stage_seconds(shard: object, spec: EncoderSpec, batch: int, decoders: int, folder: Path) -> float:
    """Seconds to read, check, decode and embed one shard, and to write its samples and embedding."""
    sink = Embedder(spec, batch, str(folder / "embedding"))
    start = time.perf_counter()
    ingest.ingest_part((shard, "0" * 16, str(folder / "samples.parquet")), ingest.Config(), sink, decoders)  # type: ignore[arg-type]
    return time.perf_counter() - start


def forward_seconds(spec: EncoderSpec, batch: int, images: int) -> float:
    """Seconds of the forward pass on tensors that are ready."""
    import torch

    model = encoder(spec)
    size = model.transform.transforms[0].size
    side = size if isinstance(size, int) else size[0]
    ready = [torch.randn(3, side, side) for _ in range(batch)]
    start = time.perf_counter()
    for first in range(0, images, batch):
        model.encode(ready[: min(batch, images - first)])
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--decoders", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    spec = EncoderSpec(arguments.model, "", "random", arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        shards = draw_pool(Path(folder) / "pool", arguments.images, shard_rows=arguments.images, side=256, form="jpg")
        forward_seconds(spec, arguments.batch, arguments.batch)  # loads the model
        stage, bare = [], []
        for run in range(arguments.runs):
            out = Path(folder) / f"run{run}"
            stage.append(stage_seconds(shards[0], spec, arguments.batch, arguments.decoders, out))
            bare.append(forward_seconds(spec, arguments.batch, arguments.images))
    ratios = sorted(b / s for s, b in zip(stage, bare, strict=True))
    print(f"{arguments.model}, {arguments.images} JPEG images of 256 px, batch {arguments.batch}, "
          f"{arguments.threads} threads, {arguments.decoders} decoders, median of {arguments.runs}")  # fmt: skip
    print(f"  bare forward   {arguments.images / statistics.median(bare):8.1f} images/s")
    print(f"  stage          {arguments.images / statistics.median(stage):8.1f} images/s")
    print(f"  stage / bare   {statistics.median(ratios):8.3f}   ({ratios[0]:.3f} to {ratios[-1]:.3f})")
    print(f"  peak memory    {peak_memory() / 2**20:8.0f} MiB")


if __name__ == "__main__":
    main()
