"""The command `sluice label draw`: which samples to label so that a classifier's associations can be corrected."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import HERE, LakeOption, PoolOption, tell
from tasks.lake import find_pool


def draw(
    attribute: Annotated[str, typer.Argument(metavar="ATTRIBUTE", help="One with a classifier, in the groups' file.")],
    groups: Annotated[Path, typer.Option(help="The TOML file of term groups and attributes.")],
    out: Annotated[Path, typer.Option("--out", help="The CSV file to write; its column label is to be filled in.")],
    among: Annotated[list[str], typer.Option(help="A group that is to be told apart; repeat it for several.")],
    labels: Annotated[int, typer.Option(help="Samples at most, those already labelled included.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed draws the same samples again.")] = 0,
    version: Annotated[str, typer.Option("--version", help="A version's number, a tag, or latest.")] = "latest",
    lake: LakeOption = HERE,
    pool: PoolOption = None,
) -> None:
    """Draw samples per group and score bin, to correct what a classifier says of groups (docs/groups.md).

    Example: sluice label draw "sexual verdict" --groups people.toml --among gender/woman --out drawn.csv
    """
    from tasks.groups.drawn_labels import write_drawn
    from tasks.groups.label_draw import Draw, plan
    from tasks.groups.term_groups import read_groups
    from tasks.words.tokens import write_tokens

    found = find_pool(lake, pool).version(version)
    known, asked = read_groups(groups), Draw(tuple(among), labels, seed=seed)
    write_tokens(found, lambda function, items: [function(item) for item in items])
    rows = plan(found, known, attribute, asked)
    write_drawn(out, rows)
    tell(f"wrote {out}: {len(rows):,} samples; fill in label (1 or 0), then name the file as the attribute's `labels`")
