"""What the commands share: options, and how they speak: results to standard output, remarks to standard error."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

LakeOption = Annotated[Path, typer.Option("--lake", help="The folder of all pools, or s3://bucket/folder.")]
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


def in_bytes(count: float) -> str:
    """Bytes in words: 12 bytes, 3.4 kB, 1.2 GB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} bytes" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
