"""The page of the configuration: every TOML key with type, default and meaning, from the frozen Config classes."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from infra.docs import comments
from infra.docs.markdown import code, page, plain, table

NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false"}
INTRODUCTION = """\
`--config my.toml` names a TOML file. Every key has a default, but for a category's `name`; a key that is not here is an
error that names the nearest one. Paths are relative to the file. A run's configuration stands in its version:
`sluice show latest`."""


class Table(NamedTuple):
    """A table of the TOML file: its name, whether it may be repeated, and the class that reads it."""

    name: str
    repeated: bool
    kind: Any

    @property
    def heading(self) -> str:
        return f"[[{self.name}]]" if self.repeated else f"[{self.name}]"


def configuration_page(config: Any) -> str:
    """config: the class of the whole configuration, a field a section."""
    hints = typing.get_type_hints(config)
    sections = [Table(field.name, False, hints[field.name]) for field in dataclasses.fields(config)]
    tables = [inner for section in sections for inner in _with_inner(section)]
    return page("Configuration", INTRODUCTION, *(_section(one) for one in tables))


def _with_inner(outer: Table) -> Iterator[Table]:
    """The table itself, then those that it holds."""
    yield outer
    for name, hint in typing.get_type_hints(outer.kind).items():
        kinds = [kind for kind in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(kind)]
        for kind in kinds:
            yield from _with_inner(Table(f"{outer.name}.{name}", kind is not hint, kind))


def _section(one: Table) -> str:
    module = inspect.getdoc(sys.modules[one.kind.__module__]) or ""
    outer = "." not in one.name
    said = plain(" ".join(module.partition("\n\n")[0].split())) if outer else _whole(module)
    return f"## {code(one.heading)}\n\n{said}\n\n{table(('key', 'type', 'default', 'meaning'), _rows(one))}"


def _whole(docstring: str) -> str:
    """A docstring whose indented blocks are TOML."""
    blocks = docstring.split("\n\n")
    return "\n\n".join(block if block.startswith("    ") else plain(block) for block in blocks)


def _rows(one: Table) -> Iterator[tuple[str, str, str, str]]:
    beside, hints = comments.fields(one.kind), typing.get_type_hints(one.kind)
    for field in dataclasses.fields(one.kind):
        meaning = plain(_in_toml(beside[field.name]))
        if dataclasses.is_dataclass(hints[field.name]):
            meaning = meaning or f"a table of its own: {code(f'[{one.name}.{field.name}]')}"
        yield code(field.name), type_text(hints[field.name]), _default(field), meaning


def _in_toml(comment: str) -> str:
    """A comment in TOML's words for Python's values."""
    for python, toml in (("None", "unset"), ("False", "false"), ("True", "true")):
        comment = re.sub(rf"\b{python}\b", toml, comment)
    return comment


def type_text(hint: Any) -> str:
    """A field's type in TOML's words."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint in NAMES:
        return NAMES[hint]
    if dataclasses.is_dataclass(hint):
        return "table"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_text(kind) for kind in inner if kind is not type(None))
    if origin is tuple:
        return f"list of {_plural(type_text(inner[0]))}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"table of {_plural(type_text(inner[1]))}"
    raise TypeError(f"a type that TOML has was expected, {hint!r} was found")


def _plural(text: str) -> str:
    first, *rest = text.split(" ", 1) if text.startswith("list of") else [text]
    return " ".join(["lists", *rest]) if rest else f"{first}s"


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return toml_text(field.default)
    if field.default_factory is dataclasses.MISSING:
        return "required"
    value = field.default_factory()
    return "" if dataclasses.is_dataclass(value) else toml_text(value)


def toml_text(value: Any) -> str:
    """A default as it would stand in the file; what is unset has none."""
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(value, int):
        return code(f"{value:_}" if abs(value) >= 100_000 else str(value))
    if isinstance(value, tuple):
        return code("[" + ", ".join(f'"{item}"' for item in value) + "]")
    if isinstance(value, Mapping):
        return code("{" + ", ".join(f'{name} = "{item}"' for name, item in value.items()) + "}")
    return code(f'"{value}"' if isinstance(value, str) else str(value))
