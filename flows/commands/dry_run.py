"""`sluice curate --dry-run`: told, not done."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from flows.commands.options import show, tell


def tell_dry_run(what: tuple[str, Path, str | None], config: Path | None, fresh: bool, as_json: bool) -> None:
    """Print what a run of `what` (pool, lake, name) would do."""
    from flows.config import read_config
    from flows.planning.dry_run import dry_run, facts, remark, table

    settings = read_config(config)
    if fresh:
        settings = dataclasses.replace(settings, dedup=dataclasses.replace(settings.dedup, fresh=True))
    found = dry_run(*what, settings)
    if as_json:
        print(json.dumps(facts(found), ensure_ascii=False))
    elif found.nothing_new is not None:
        show(found.nothing_new)
    else:
        show(table(found))
        tell(remark(found))
