"""The configuration of a run: the stages' own Config classes, read from TOML."""

from __future__ import annotations

import dataclasses
import difflib
import json
import tomllib
from pathlib import Path
from typing import Any

from flows.checks.secrets import refuse_keys
from tasks import audit, dedup, embed, filter, gates, ingest, publish, reweight
from tasks.classifying.category_spec import with_specification
from tasks.errors import ConfigError
from tasks.groups.term_groups import read_groups
from tasks.labels.labels import read_labels
from tasks.weights.declarations import NO_GROUPS, declare, refuse_unknown
from tasks.weights.targets import read_targets


@dataclasses.dataclass(frozen=True)
class CurateConfig:
    ingest: ingest.Config = dataclasses.field(default_factory=ingest.Config)
    embed: embed.Config = dataclasses.field(default_factory=embed.Config)
    filter: filter.Config = dataclasses.field(default_factory=filter.Config)
    dedup: dedup.Config = dataclasses.field(default_factory=dedup.Config)
    audit: audit.Config = dataclasses.field(default_factory=audit.Config)
    reweight: reweight.Config = dataclasses.field(default_factory=reweight.Config)
    publish: publish.Config = dataclasses.field(default_factory=publish.Config)
    gates: gates.Config = dataclasses.field(default_factory=gates.Config)

    def __post_init__(self) -> None:
        known = {category.name for category in self.filter.category}
        for name in sorted(self.gates.certified - known):
            raise ConfigError(
                f"gates: something is to be certified of category {name!r}, but no filter.category has that name; "
                f"known are: {', '.join(sorted(known)) or 'none'}"
            )


def check_declared(config: CurateConfig) -> None:
    """Read the files that are named before any work begins: labels, overrides, hashes, term groups, targets.

    Raises ConfigError: a file that cannot be read, a wrong value, a name that nothing has. LabelsError: labels.
    """
    if config.dedup.reference is not None and config.embed.embeddings is not None:
        raise ConfigError(
            "dedup.reference: images can be compared with a pool that is embedded here; this one comes with its "
            "embeddings (embed.embeddings): leave one of the two out"
        )
    filter.read_beside(config.filter)
    for category in config.filter.category:
        if category.labels:
            read_labels(Path(category.labels), category.name)
    groups = read_groups(Path(config.audit.groups)) if config.audit.groups else NO_GROUPS
    weights = config.reweight
    named = weights.groups or config.audit.groups
    declared = declare(weights.restore, config.audit.keywords, weights.targets, named)
    refuse_unknown(declared, [category.name for category in config.filter.category])
    for name in config.audit.target_share:
        if name not in {group.name for group in groups.groups}:
            raise ConfigError(
                f"audit.target_share: there is no term group {name!r}; known are: "
                f"{', '.join(group.name for group in groups.groups) or 'none'}"
            )
    attributes = sorted(attribute.name for attribute in groups.attributes)
    for bound in config.gates.audit:
        if bound.attribute and bound.attribute not in attributes:
            raise ConfigError(
                f"gates.audit, figure {bound.figure!r}: no attribute {bound.attribute!r} is audited; [audit] groups "
                f"names a file with: {', '.join(attributes) or 'none'}"
            )
        if bound.attribute and bound.of and bound.of not in {group.name for group in groups.groups}:
            raise ConfigError(
                f"gates.audit, figure {bound.figure!r}: there is no term group {bound.of!r}; known are: "
                f"{', '.join(group.name for group in groups.groups) or 'none'}"
            )


def declared_digests(config: CurateConfig) -> list[str]:
    """What the files of term groups and targets mean, with the labels that they name."""
    paths = [Path(path) for path in (config.audit.groups, config.reweight.groups) if path]
    digests = [read_groups(path).digest for path in paths]
    return [*digests, read_targets(Path(config.reweight.targets)).digest()] if config.reweight.targets else digests


FILES = (
    ("embed", "model"),
    ("embed", "pretrained"),
    ("embed", "embeddings"),
    ("dedup", "reference"),
)  # may name a file or a folder


def read_config(path: Path | None) -> CurateConfig:
    """The configuration in a TOML file, or the defaults. ConfigError: not TOML, an unknown key, a wrong value."""
    if path is None:
        return CurateConfig()
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no configuration {path}") from None
    except OSError as problem:
        raise ConfigError(f"the configuration {path} cannot be read: {problem}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise ConfigError(f"{path} is not TOML: {problem}") from None
    refuse_keys(values, str(path))
    return parse_config(values, path.parent, str(path))


def parse_config(values: dict[str, Any], folder: Path, where: str) -> CurateConfig:
    """The configuration of plain values; relative paths in it are relative to `folder`."""
    from pydantic import TypeAdapter, ValidationError

    values = _specified(values, folder)
    _check_keys(values, CurateConfig, where, ())
    try:
        text = json.dumps(_absolute(values, folder), default=str)  # strict, but arrays are tuples, as JSON allows
        return TypeAdapter(CurateConfig).validate_json(text, strict=True)
    except ValidationError as problem:
        first = problem.errors()[0]
        if isinstance(first.get("ctx", {}).get("error"), ConfigError):
            raise first["ctx"]["error"] from None
        name = ".".join(str(item) for item in first["loc"])
        raise ConfigError(f"{where}: {name}: {first['msg']}, {first['input']!r} was found") from None


def _specified(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The values with what the categories' specifications say."""
    if not _categories(values):
        return values
    found = [with_specification(item, folder.absolute()) for item in _categories(values)]
    return {**values, "filter": {**values["filter"], "category": found}}


def _categories(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The categories' tables; none where what stands there is not a list of tables, which is refused later."""
    filters = values.get("filter")
    found = filters.get("category") if isinstance(filters, dict) else None
    return found if isinstance(found, list) and all(isinstance(item, dict) for item in found) else []


def _check_keys(values: Any, kind: Any, where: str, path: tuple[str, ...]) -> None:
    """Raise ConfigError for a key that no Config has, naming the nearest that one has."""
    known = {field.name: field for field in dataclasses.fields(kind)}
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: [{'.'.join(path)}] should be a table of {', '.join(known)}")
    for name, value in values.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(known)}"
            raise ConfigError(f"{where}: unknown key {'.'.join((*path, name))!r}; {hint}")
        inner = _inner(kind, name)
        for item in value if isinstance(value, list) and path else [value]:  # no list of whole tables
            if inner:
                _check_keys(item, inner, where, (*path, name))


def _inner(kind: Any, name: str) -> Any:
    """The dataclass that a field holds, itself or in a tuple; None where it holds plain values."""
    import typing

    hint = typing.get_type_hints(kind)[name]
    options = [hint, *typing.get_args(hint)]
    return next((option for option in options if dataclasses.is_dataclass(option)), None)


def _absolute(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Relative paths made absolute: labels always, model and weights where such a file exists."""
    out = {name: dict(value) if isinstance(value, dict) else value for name, value in values.items()}
    blocklist = out.get("filter", {}).get("blocklist", {}) if isinstance(out.get("filter"), dict) else {}
    named = [(item, "labels") for item in _categories(out)] + [(out.get("filter", {}), "overrides")]
    weights = out.get("reweight", {})
    declared = [(out.get("audit", {}), "groups"), (weights, "groups"), (weights, "targets")]
    for item, name in [*named, (blocklist, "sha256"), *declared]:
        if isinstance(item, dict) and isinstance(item.get(name), str) and item[name]:
            item[name] = str(folder.absolute() / item[name])
    for stage, name in FILES:
        value = out.get(stage, {}).get(name)
        if isinstance(value, str) and value and (folder / value).exists():
            out[stage][name] = str((folder / value).absolute())
    return out
