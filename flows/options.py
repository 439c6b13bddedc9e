"""What the commands share: options, and how they speak: results to standard output, remarks to standard error."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

LakeOption = Annotated[Path, typer.Option("--lake", help="The folder of all pools.")]
PoolOption = Annotated[str | None, typer.Option("--pool", help="The pool's name, where the lake holds several.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
HERE: Final = Path("lake")


def show(renderable: Any) -> None:
    """Print a result: text, or a table of rich."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=120)  # a file or a pipe has no width to fit into
    console.print(renderable)


def tell(text: str) -> None:
    print(text, file=sys.stderr)
