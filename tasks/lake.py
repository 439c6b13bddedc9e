"""The lake: column groups that are row-aligned with their part, and a log of versions.

    <root>/<pool>/
      pool.json                           format number and the pool's source
      columns/<group>-<key>/<part>.*      what one stage knows of one part's samples
      artifacts/<kind>-<key>/             what is not row-aligned
      versions/000001.json …              the log of dataset versions
      retired/000001.json …               versions whose files were given up; their manifests stay
      references/000001.json …            the log of tags, and of a `latest` that was rolled back
      runs/<id>.json                      every attempt
      lock                                who holds the lake

A file's name is the digest of what it was made from, so a file that exists is work already done. Everything is written
aside and renamed; a version is linked to the next free number, so it is there whole or not at all.

A lake in an object store (s3://bucket/folder) has its root in this machine's copy of it (tasks/storing/): what a path
handed out here names has been fetched, if the store has it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks import manifests, pool_file, references
from tasks.errors import LakeError, UsageError
from tasks.files import digests, read_table, write_folder, write_table
from tasks.samples import DECISION, SAMPLES, SCORE
from tasks.storing import copying, objects
from tasks.storing.addresses import is_copy, located, shown

MapParts = Callable[[Callable[[Any], Any], Sequence[Any]], list[Any]]


@dataclasses.dataclass(frozen=True)
class Part:
    """One input shard as ingest found it."""

    part: str  # 16 hex digits of the shard's content
    path: str  # source path, relative to the pool
    digest: str  # sha256 of the shard's content
    rows: int
    failed_rows: int = 0  # downloads that img2dataset recorded as failed: never samples
    broken: str | None = None  # why reading the shard ended early


@dataclasses.dataclass(frozen=True)
class Version:
    """A dataset version: the samples that are there now, and everything decided of them. A draft until committed."""

    lake: Lake
    stage: str = "pool"
    parts: tuple[Part, ...] = ()
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)  # group → key
    artifacts: Mapping[str, str] = dataclasses.field(default_factory=dict)  # kind → key
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # stage → its settings
    summary: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # stage → facts for reports and gates
    number: int | None = None  # None while a draft
    manifest: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # what was committed, whole

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    def column_path(self, group: str, part: Part) -> Path:
        return self.lake.column_path(group, self.columns[group], part.part)

    def column_paths(self, group: str) -> list[Path]:
        """The group's file of each part, in order; from an object store they come side by side."""
        paths = [self.lake.place(group, self.columns[group], part.part) for part in self.parts]
        copying.fetch(paths)
        return paths

    def table(self, group: str, columns: Sequence[str] | None = None) -> pa.Table:
        """All parts' rows of one group, in order: row i is sample i. (rows, columns)"""
        names = list(columns) if columns is not None else None
        tables = [read_table(path, names) for path in self.column_paths(group)]
        if not tables:
            schema = {"decision": DECISION, "samples": SAMPLES}.get(group, SCORE)
            return schema.empty_table().select(names or schema.names)
        return pa.concat_tables(tables).combine_chunks()

    def embeddings(self) -> list[np.ndarray]:
        """One read-only (rows, d) float16 memory map a part; rows of unusable samples are zero."""
        return [np.load(path, mmap_mode="r") for path in self.column_paths("embedding")]

    def artifact(self, kind: str) -> Path:
        return self.lake.artifact_path(kind, self.artifacts[kind])

    def artifact_file(self, kind: str, name: str) -> Path:
        """One file of an artifact, without its others; it exists if the artifact has it."""
        return copying.fetch_file(self.lake.artifact_place(kind, self.artifacts[kind]) / name)

    def derive(
        self,
        stage: str,
        *,
        parts: tuple[Part, ...] | None = None,
        columns: Mapping[str, str] | None = None,
        artifacts: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
        summary: Mapping[str, Any] | None = None,
    ) -> Version:
        """A draft made from this version; what is given is merged, config and summary under the stage's name."""
        return dataclasses.replace(
            self,
            stage=stage,
            parts=self.parts if parts is None else parts,
            columns={**self.columns, **(columns or {})},
            artifacts={**self.artifacts, **(artifacts or {})},
            config={**self.config, **({stage: dict(config)} if config is not None else {})},
            summary={**self.summary, **({stage: dict(summary)} if summary is not None else {})},
            number=None,
            manifest={},
        )

    def write_decision(self, table: pa.Table, key: str) -> None:
        """Split a whole-pool decision table (rows, columns) over the parts' files; existing files stay."""
        if table.num_rows != self.rows:
            raise LakeError(f"a decision for each of {self.rows} samples was expected, {table.num_rows} were given")
        table = table.select(DECISION.names).cast(DECISION)
        start = 0
        for part in self.parts:
            path = self.lake.column_path("decision", key, part.part)
            if not path.exists():
                write_table(path, table.slice(start, part.rows))
            start += part.rows

    def missing(self) -> list[str]:
        """Names of column files and artifacts that this version needs and the lake lacks."""
        lake, columns = self.lake, self.columns.items()
        files = [lake.place(group, key, part.part) for group, key in columns for part in self.parts]
        folders = [lake.artifact_place(kind, key) for kind, key in self.artifacts.items()]
        return [shown(path) for path in [*files, *folders] if not copying.there(path)]

    def whole(self) -> Version:
        """This version. LakeError where it was retired, or where files of it are gone."""
        if "retired" in self.manifest:
            raise LakeError(manifests.retirement(self.manifest))
        if missing := self.missing():
            raise LakeError(
                f"version {self.number} lacks {missing[0]} and {len(missing) - 1} more files; restore them, or run "
                "`sluice curate` again, which makes what is missing anew"
            )
        return self


@dataclasses.dataclass(frozen=True)
class Lake:
    """One pool's folder in a lake."""

    root: Path
    pool: str

    @property
    def home(self) -> Path:
        return self.root / self.pool

    def column_path(self, group: str, key: str, part: str) -> Path:
        """The file's path; it exists if the lake has the file."""
        path = self.place(group, key, part)
        copying.fetch([path])
        return path

    def artifact_path(self, kind: str, key: str) -> Path:
        """The folder's path; it exists if the lake has the artifact."""
        path = self.artifact_place(kind, key)
        copying.fetch_folder(path)
        return path

    def place(self, group: str, key: str, part: str) -> Path:
        """Where a column file is, or would be; it is not fetched."""
        suffix = "npy" if group == "embedding" else "parquet"
        return self.home / "columns" / f"{group}-{key}" / f"{part}.{suffix}"

    def artifact_place(self, kind: str, key: str) -> Path:
        """Where an artifact is, or would be; it is not fetched."""
        return self.home / "artifacts" / f"{kind}-{key}"

    def has_artifact(self, kind: str, key: str) -> bool:
        path = self.artifact_place(kind, key)
        copying.fetch_folder(path, whole=True)
        return path.is_dir()

    def new_artifact(self, kind: str, key: str) -> AbstractContextManager[Path]:
        """A folder to fill, which becomes the artifact when the block ends without an exception."""
        return write_folder(self.artifact_place(kind, key))

    @staticmethod
    def key(*facts: Any) -> str:
        """16 hex digits of what something was made from: revision, configuration, keys and digests of inputs."""
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def digest(self, path: Path) -> str:
        """sha256 of a file, remembered while its size and modification time stay the same."""
        return digests(self.home).of(path)

    def numbers(self) -> list[int]:
        """The versions' numbers, oldest first."""
        return manifests.numbers(self.home)

    def manifest(self, number: int) -> dict[str, Any]:
        """What was committed; with `retired` (at, by) where the version's files were given up since."""
        return manifests.read(self.home, number)

    def versions(self) -> list[Version]:
        return [self.version(number) for number in self.numbers()]

    def version(self, reference: int | str) -> Version:
        """The version of a number or a tag, or the `latest`. UsageError where there is none."""
        if reference == "latest":
            found = self.latest()
            if found is None:
                raise UsageError(f"pool {self.pool!r} has no complete version yet; run `sluice curate` first")
            return found
        text = str(reference)
        manifest = self.manifest(int(text) if text.isdigit() else references.tagged(self.home, text))
        return Version(
            lake=self,
            stage=manifest["stage"],
            parts=tuple(Part(**part) for part in manifest["parts"]),
            columns=manifest["columns"],
            artifacts=manifest["artifacts"],
            config=manifest["config"],
            summary=manifest["summary"],
            number=manifest["version"],
            manifest=manifest,
        )

    def latest(self) -> Version | None:
        """The newest version that ends a run; what `latest` was rolled back to, until a newer run ends."""
        back = references.current(self.home).get(references.LATEST)
        for number in reversed(self.numbers()):
            if back is not None and number <= back.newest:
                return self.version(back.version or 0)
            if self.manifest(number)["complete"]:
                return self.version(number)
        return None


def open_lake(root: Path, pool: str, source: str | None = None) -> Lake:
    """The pool's folder, made when a source is given. LakeError: another format, or the name has another source."""
    pool_file.check_name(pool)
    lake = Lake(located(root), pool)
    copying.refresh(lake.home)
    pool_file.ensure(lake.home, source)
    return lake


def find_pool(root: Path, pool: str | None) -> Lake:
    """The named pool of a lake, or its only one. UsageError otherwise."""
    if pool is not None:
        return open_lake(root, pool)
    names = pools(located(root))
    if not names:
        raise UsageError(f"no pool is in the lake {shown(root)} yet; make one, or name another lake with --lake")
    if len(names) > 1:
        found = ", ".join(names)
        raise UsageError(f"the lake {shown(root)} should hold one pool, or --pool should name one; it holds: {found}")
    return open_lake(root, names[0])


def pools(root: Path) -> list[str]:
    """The names of a lake's pools."""
    if is_copy(root):
        return [name for name in objects.entries(root)[1] if "pool.json" in objects.entries(root / name)[0]]
    return sorted(path.parent.name for path in root.glob("*/pool.json"))
