"""Writes the documentation's reference from the code: `python -m flows.commands.reference_pages`, or `make docs`.

The pages are kept beside those that people write, so that a change of an option or a default shows in its review; a
test fails where they are not what the code says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "docs" / "reference"


def pages() -> dict[str, str]:
    """File name → Markdown."""
    from typer.main import get_command

    from flows.cli import app
    from flows.config import CurateConfig
    from infra.docs.columns import columns_page
    from infra.docs.commands import commands_page
    from infra.docs.configuration import configuration_page
    from infra.docs.metrics import metrics_page
    from infra.docs.questions import questions_page
    from tasks import errors

    return {
        "commands.md": commands_page(get_command(app), errors.__doc__ or ""),
        "configuration.md": configuration_page(CurateConfig),
        "columns.md": columns_page(),
        "metrics.md": metrics_page(),
        "questions.md": questions_page(ROOT / "sql"),
    }


def write(folder: Path = FOLDER) -> None:
    """Write all pages; those that are the same stay as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


if __name__ == "__main__":
    write()
