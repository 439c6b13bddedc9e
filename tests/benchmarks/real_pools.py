"""Real pools whose every sample is labelled, embedded as `sluice curate` does, with the shipped encoder."""

from __future__ import annotations

import csv
import tempfile
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tasks import embed, ingest
from tasks.encoding.encoder import spec_of
from tasks.encoding.prompts import embed_prompts, similarity
from tasks.lake import Version, open_lake
from tasks.reading.pools import list_shards, shard_digest
from tasks.samples import KEPT

ROMANCE = Path(__file__).parents[2] / "infra" / "categories" / "romance.toml"
WEAPONS = (
    "weapon", "a gun, a pistol", "a rifle", "a sword, a katana", "a knife, a dagger", "a bomb, a grenade", "a cannon",
    "a bow and arrow",
)  # fmt: skip
PROMPTS = {
    "clipart": ("weapon", WEAPONS),
    "emoji-noto": ("romance", tuple(tomllib.loads(ROMANCE.read_text("utf-8"))["prompts"])),
}


def save(pools: Path, name: str, folder: Path) -> Path:
    """Write embeddings (n, d) float16, truth (n,) and cosine to the prompts (n,) of what is usable; return the file."""
    category, prompts = PROMPTS[name]
    truth = labels_of(pools / f"{name}-labels.csv", category)
    with tempfile.TemporaryDirectory() as home:
        version, spec = embedded(pools / name, Path(home))
        kept = np.asarray(version.table("decision", ["verdict"])["verdict"]) == KEPT
        uids = version.table("samples", ["uid"])["uid"].to_pylist()
        embeddings = np.concatenate(version.embeddings())[kept]
    known = np.array([truth[uid] for uid in uids], np.bool_)[kept]
    path = folder / f"{name}.npz"
    np.savez(path, embeddings=embeddings, truth=known, prompt=similarity([embeddings], embed_prompts(spec, prompts)))
    return path


def labels_of(path: Path, category: str) -> dict[str, bool]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["uid"]: row["label"] == "1" for row in csv.DictReader(file) if row["category"] == category}


def embedded(pool: Path, home: Path) -> tuple[Version, Any]:
    """A version with samples and embeddings, in a lake of its own; and the encoder's spec."""
    source, shards = list_shards(str(pool))
    lake = open_lake(home, pool.name, str(source))
    digests = [(shard, shard_digest(shard, lake.digest)) for shard in shards]
    config, limits = embed.Config(), ingest.Config()
    key, sink = embed.embedder(lake, config, ingest.samples_key(lake, limits))
    version = ingest.run(Version(lake), limits, serial, digests, sink, 1)
    version = embed.run(version, config, serial, digests, key, sink, 1)
    return version, spec_of(config.model, config.pretrained, config.threads, lake.digest)


def serial(work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    return [work(item) for item in items]
