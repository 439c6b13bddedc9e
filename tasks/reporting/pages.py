"""Pages from the templates of this folder: one HTML file each, which loads nothing and escapes what it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Filters = Mapping[str, Callable[..., Any]]


def render(name: str, filters: Filters, facts: Mapping[str, Any]) -> str:
    """The template with these facts; a name in it that has no fact is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= filters
    return pages.get_template(name).render(facts)
