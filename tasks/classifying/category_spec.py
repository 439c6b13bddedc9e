"""A category's specification: what is to be filtered, in words for labellers, prompts and numbers for the filter.

It stands in the run's configuration as `[[filter.category]]`, or in a TOML file of its own that `spec` names.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tasks.classifying.classifier import FEATURES, RBF
from tasks.errors import ConfigError


@dataclass(frozen=True)
class Category:
    name: str  # [a-z0-9_-]+
    labels: str = ""  # path of a CSV file: uid, category, label; besides what was labelled in the lake
    recall: float = 0.99  # wanted share of the labelled positives that the threshold reaches, in (0, 1]
    confidence: float = 0.95  # of bounds and certificates, in (0, 1)
    threshold: float | None = None  # on the score, in place of the one that reaches the recall: what-if
    features: str = RBF  # of the classifier: of a Gaussian kernel, or linear
    counts: str = ""  # what belongs to the category; shown to labellers
    counts_not: str = ""  # what looks like it and does not
    prompts: tuple[str, ...] = ()  # captions of typical images: where labelling begins
    subgroups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # name → terms in captions; reported apart

    def __post_init__(self) -> None:
        where = f"filter.category {self.name!r}"
        if not re.fullmatch(r"[a-z0-9_-]+", self.name):
            raise ConfigError(f"{where}: a name of a to z, 0 to 9, _ and - was expected")
        if not 0 < self.recall <= 1:
            raise ConfigError(f"{where}: recall: above 0 and at most 1 was expected, {self.recall!r} was found")
        if not 0 < self.confidence < 1:
            raise ConfigError(f"{where}: confidence: between 0 and 1 was expected, {self.confidence!r} was found")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ConfigError(f"{where}: threshold: 0 to 1 was expected, {self.threshold!r} was found")
        if self.features not in FEATURES:
            raise ConfigError(f"{where}: features: {' or '.join(FEATURES)} was expected, {self.features!r} was found")
        empty = [name for name, terms in self.subgroups.items() if not terms]
        if empty:
            raise ConfigError(f"{where}: subgroups: {empty[0]!r} has no terms; give some, or leave it out")

    @property
    def specification(self) -> dict[str, str]:
        """What labellers read; the file's line breaks are not theirs, its empty lines are."""
        return {"counts": _paragraphs(self.counts), "counts_not": _paragraphs(self.counts_not)}


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text.strip()))


def with_specification(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A category's settings, with those of the file that `spec` names where they lack them.

    Relative paths in the specification are relative to it. Raises ConfigError: no such file, not TOML, another name.
    """
    if not isinstance(values.get("spec"), str):
        return dict(values)
    path = folder / values["spec"]
    given = {name: value for name, value in values.items() if name != "spec"}
    found = _read(path)
    if found.get("name", given.get("name")) != given.get("name", found.get("name")):
        raise ConfigError(
            f"{path}: name: {given['name']!r} was expected, as the configuration says, {found['name']!r} was found"
        )
    if isinstance(found.get("labels"), str) and found["labels"]:
        found["labels"] = str(path.parent / found["labels"])
    return {**found, **given}


def _read(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except OSError as problem:
        raise ConfigError(f"{path}: a category's specification was expected: {problem.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise ConfigError(f"{path} is not TOML: {problem}") from None
    known = [one.name for one in fields(Category)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(f"{path}: unknown key {unknown[0]!r}; known are: {', '.join(known)}")
    return values
