"""Publish: the files that a version is handed on with. A table of all samples, a report, a dataset card, the audit."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from tasks.errors import ConfigError
from tasks.exporting.contract import schema
from tasks.exporting.exports import write_samples
from tasks.files import write_text
from tasks.lake import MapParts, Version
from tasks.looking import template_report
from tasks.reporting import card, findings, report, review
from tasks.reporting.declared import is_address, is_license
from tasks.words import tokens

REVISION = 4
KIND = "published"


@dataclasses.dataclass(frozen=True)
class Config:
    feature: tuple[str, ...] = ()  # words whose largest near-duplicate group the report shows first
    pictures: bool = True  # small pictures in the report; False where images may not leave the pool
    license: str = ""  # SPDX identifier (CC-BY-4.0) or address of the dataset's licence; "": the card says "unknown"
    creators: tuple[str, ...] = ()  # organisations that make the dataset
    url: str = ""  # the dataset's page
    cite_as: str = ""  # how the dataset is to be cited, best as BibTeX; "": pool, version and digest

    def __post_init__(self) -> None:
        empty = [word for word in self.feature if not tokens.tokenise(word)]
        if empty:
            raise ConfigError(f"publish.feature: {empty[0]!r} has no letter or digit; a word or phrase was expected")
        if self.license and not is_license(self.license):
            raise ConfigError(
                f"publish.license: an SPDX identifier such as CC-BY-4.0, or an address, was expected, {self.license!r} "
                "was found"
            )
        if self.url and not is_address(self.url):
            raise ConfigError(f"publish.url: an address such as https://… was expected, {self.url!r} was found")


def run(version: Version, config: Config, map_parts: MapParts) -> Version:
    """The version with artifact `published`: samples.parquet, report.html, README.md, the near-duplicate groups to
    review, and the audit's CSV files."""
    key = _key(version, config)
    if not version.lake.has_artifact(KIND, key):
        with version.lake.new_artifact(KIND, key) as folder:
            write(version, config, folder)
    derived = version.derive("publish", artifacts={KIND: key}, config=dataclasses.asdict(config))
    return derived.derive("publish", summary=_summary(derived))


def _key(version: Version, config: Config) -> str:
    """All that the files show: what was decided and told, and which bounds it passed."""
    parts = [[part.path, part.digest, part.failed_rows, part.broken] for part in version.parts]
    made = [dict(version.columns), dict(version.artifacts), dict(version.config), dict(version.summary)]
    shown = [version.lake.pool, findings.gates(version), schema(version).names]
    return version.lake.key("publish", REVISION, dataclasses.asdict(config), parts, made, shown)


def write(version: Version, config: Config, folder: Path) -> None:
    """All that is published of a version, into a folder."""
    write_samples(version, folder / "samples.parquet")
    families = template_report.context(version) if config.pictures else None
    write_text(folder / "report.html", report.render(version, config.feature, families, pictures=config.pictures))
    write_text(folder / "README.md", card.render(version.derive("publish", config=dataclasses.asdict(config))))
    if "groups" in version.artifacts:
        review.write_review(folder, review.review(version))
    if "audit" in version.artifacts:
        for table in sorted(version.artifact("audit").glob("*.csv")):  # words, and with term groups theirs
            shutil.copyfile(table, folder / table.name)


def _summary(version: Version) -> dict[str, Any]:
    files = sorted(path for path in version.artifact(KIND).iterdir() if path.is_file())
    return {"files": [path.name for path in files], "rows": version.rows, "bytes": sum(p.stat().st_size for p in files)}
