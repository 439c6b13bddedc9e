"""Embed: the CLIP image encoder on what ingest decoded; one unit-norm float16 row for each row of samples.

When ingest reads a shard, `PartEmbedder` takes its images on the way. Parts that have samples but no embedding (another
model was chosen) are read again here. A pool that comes with clip-retrieval embeddings is not embedded at all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from tasks import samples
from tasks.encoding.encoder import CROPS, SHIPPED, SHIPPED_NOTE, EncoderSpec, encoder, spec_of
from tasks.errors import ConfigError, EncoderError, LakeError
from tasks.files import write_array
from tasks.lake import Lake, MapParts, Part, Version
from tasks.reading.ahead import in_order
from tasks.reading.images import decode
from tasks.reading.pools import Shard, bytes_of
from tasks.reading.reread import Pair, checked, pairs

REVISION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    model: str = SHIPPED  # open_clip's name, or a model configuration's .json
    pretrained: str | None = None  # hub tag or weights file; None only for the shipped encoder
    sha256: str | None = None  # what the weights file must be
    batch: int = 64  # images a forward pass, each with its crops; fixed, since it moves the last bits
    threads: int = 1  # of one worker's forward pass
    embeddings: str | None = None  # a clip-retrieval folder (img_emb/, metadata/) to use instead of a model
    crops: int = 1  # 1: the model's own centre crop; 3: the mean over both ends and the middle of the longer side

    def __post_init__(self) -> None:
        if self.batch < 1 or self.threads < 1:
            raise ConfigError(
                f"embed.batch and embed.threads: at least 1 was expected, {self.batch}, {self.threads} found"
            )
        if self.crops not in (1, CROPS):
            raise ConfigError(f"embed.crops: 1 or {CROPS} was expected, {self.crops!r} was found")
        if self.crops != 1 and self.embeddings is not None:
            raise ConfigError("embed.crops: embeddings that come with the pool are taken as they are; leave crops at 1")


@dataclasses.dataclass(frozen=True)
class Embedder:
    """Gives each part its sink; sent to the workers."""

    spec: EncoderSpec
    batch: int
    folder: str  # columns/embedding-<key>
    crops: int = 1

    def __call__(self, part: str) -> PartEmbedder | None:
        path = Path(self.folder) / f"{part}.npy"
        return None if path.exists() else PartEmbedder(self.spec, self.batch, path, self.crops)


class PartEmbedder:
    """Collects one part's images in batches; the forward pass runs while other threads decode."""

    def __init__(self, spec: EncoderSpec, batch: int, path: Path, crops: int = 1) -> None:
        self.encoder, self.batch, self.path, self.crops = encoder(spec), batch, path, crops
        self.rows = 0
        self.waiting: list[tuple[int, Any]] = []
        self.done: list[tuple[list[int], np.ndarray]] = []

    def prepare(self, image: Image.Image) -> Any:
        """The model's own resize, crop and normalisation: (3, h, w), of several crops (crops, 3, h, w).

        Called by the decoding threads.
        """
        return self.encoder.prepare(image) if self.crops == 1 else self.encoder.prepare_crops(image)

    def put(self, prepared: Any | None) -> None:
        if prepared is not None:
            self.waiting.append((self.rows, prepared))
        self.rows += 1
        if len(self.waiting) == self.batch:
            self._forward()

    def _forward(self) -> None:
        if self.waiting:
            rows, tensors = zip(*self.waiting, strict=True)
            encode = self.encoder.encode if self.crops == 1 else self.encoder.encode_crops
            self.done.append((list(rows), encode(list(tensors))))
            self.waiting = []

    def finish(self) -> None:
        self._forward()
        out = np.zeros((self.rows, self.encoder.dimension), dtype=np.float16)  # (rows, d)
        for rows, values in self.done:
            out[rows] = values
        write_array(self.path, out)


def embedder(lake: Lake, config: Config, samples_revision: str) -> tuple[str, Embedder | None]:
    """The embedding group's key and what fills it; None where embeddings come from a folder.

    `samples_revision` names the rows that the embedding is aligned with: the key of the samples group.
    """
    if config.embeddings is not None:
        from tasks.encoding.clip_retrieval import folder_digest

        return lake.key("embedding", REVISION, folder_digest(config.embeddings, lake.digest), samples_revision), None
    spec = spec_of(config.model, config.pretrained, config.threads, lake.digest)
    if config.sha256 is not None and spec.digest != config.sha256.lower():
        raise EncoderError(f"embed.sha256: weights of digest {config.sha256} were expected, {spec.digest} was found")
    crops = [] if config.crops == 1 else [config.crops]  # lakes from before there were crops keep their embeddings
    key = lake.key("embedding", REVISION, spec.identity, config.batch, config.threads, samples_revision, *crops)
    return key, Embedder(spec, config.batch, str(lake.place("embedding", key, "x").parent), config.crops)


def embed_part(item: tuple[Shard, str, str], sink: Embedder, limits: Mapping[str, Any], decoders: int) -> None:
    """Read a shard again and embed the samples that ingest found usable; the bytes are those of the fused pass.

    `item` is the shard, the part's name and its samples file, `limits` ingest's settings. PoolError: the shard is not
    what ingest read.
    """
    shard, part, path = item
    writer = sink(part)
    if writer is None:
        return

    def work(pair: Pair) -> Any | None:
        raw, row = checked(shard, pair)
        if row["status"] != samples.OK:
            return None
        return writer.prepare(decode(raw.image or b"", limits["max_pixels"], tuple(limits["formats"])))

    items = pairs(shard, Path(path), limits["max_bytes"])
    for prepared in in_order(work, items, decoders, lambda pair: bytes_of(pair[0])):
        writer.put(prepared)
    writer.finish()


def run(
    version: Version,
    config: Config,
    map_parts: MapParts,
    shards: list[tuple[Shard, str]],
    key: str,
    sink: Embedder | None,
    decoders: int = 1,
) -> Version:
    """The embedding group of a version that ingest made; only parts that lack theirs are worked on."""
    draft = version.derive("embed", columns={"embedding": key}, config=settings(config), summary=_facts(config, sink))
    todo: dict[str, tuple[Shard, Part]] = {}
    for (shard, _), part in zip(sorted(shards, key=lambda pair: pair[0].path), version.parts, strict=True):
        if not draft.column_path("embedding", part).exists():
            todo[part.part] = (shard, part)
    if sink is None:
        from tasks.encoding.clip_retrieval import take_embeddings

        take_embeddings(Path(config.embeddings or ""), draft, [part for _, part in todo.values()])
    else:
        items = [(shard, name, str(version.column_path("samples", part))) for name, (shard, part) in todo.items()]
        map_parts(partial(embed_part, sink=sink, limits=version.config["ingest"], decoders=decoders), items)
    return without_embedding(draft)


def settings(config: Config) -> dict[str, Any]:
    """The configuration without this machine's paths: files are named by their digests in the keys."""
    values = dataclasses.asdict(config)
    for name in ("model", "pretrained", "embeddings"):
        if values[name] and Path(values[name]).exists():
            values[name] = Path(values[name]).name
    return values


def _facts(config: Config, sink: Embedder | None) -> dict[str, Any]:
    if sink is None:
        return {"model": "embeddings that came with the pool", "weights": None, "note": None}
    note = SHIPPED_NOTE if config.model == SHIPPED and config.pretrained is None else None
    return {"model": Path(sink.spec.model).stem, "weights": sink.spec.digest, "note": note}


def without_embedding(draft: Version) -> Version:
    """Quarantine usable samples whose embedding is zero or not finite: a given folder may lack some."""
    decision = draft.table("decision")
    present = np.concatenate([present_rows(part) for part in draft.embeddings()] or [np.zeros(0, bool)])
    if len(present) != decision.num_rows:
        raise LakeError(
            f"{decision.num_rows} samples but {len(present)} embeddings; remove the embedding columns and rerun"
        )
    kept = pc.equal(decision["verdict"], samples.KEPT).to_numpy(zero_copy_only=False)
    lost = kept & ~present
    if not lost.any():
        return draft
    mask = pa.array(lost)
    changes = {"verdict": samples.QUARANTINED, "stage": "embed", "reason": samples.NO_EMBEDDING}
    for name, value in changes.items():
        column = pc.if_else(mask, pa.scalar(value), decision[name])
        decision = decision.set_column(decision.schema.get_field_index(name), name, column)
    key = draft.lake.key("embed", REVISION, draft.columns["decision"], draft.columns["embedding"])
    draft.write_decision(decision, key)
    reasons = dict(draft.summary["ingest"]["quarantined"]) | {samples.NO_EMBEDDING: int(lost.sum())}
    ingest = {**draft.summary["ingest"], "quarantined": dict(sorted(reasons.items()))}
    return dataclasses.replace(
        draft, columns={**draft.columns, "decision": key}, summary={**draft.summary, "ingest": ingest}
    )


def present_rows(values: np.ndarray) -> np.ndarray:
    """(rows, d) → (rows,) whether the embedding is there: finite and not zero."""
    norms = np.linalg.norm(values.astype(np.float32), axis=1)
    present: np.ndarray = np.isfinite(norms) & (norms > 0)
    return present
