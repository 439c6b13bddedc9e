"""The largest families of one template for a version's report, by a search that takes seconds at any size of pool."""

from __future__ import annotations

from typing import Any, Final

from tasks.lake import Version
from tasks.looking.preview import look
from tasks.looking.template_families import find, strips

EXACT_UP_TO: Final = 10_000  # distinct vectors that are all compared with all
QUERIES: Final = 1_000  # samples that are compared with all where there are more
MOST: Final = 1_000  # pairs whose pictures are compared
FAMILIES, MEMBERS = 6, 16  # shown


def context(version: Version) -> dict[str, Any] | None:
    """What report.html names as `templates`; None where near-duplicates were not searched."""
    if "groups" not in version.artifacts or "embedding" not in version.columns:
        return None
    found = find(version, look(version, EXACT_UP_TO, QUERIES), MOST)
    return {**found._asdict(), "found": len(found.families), "families": strips(version, found, FAMILIES, MEMBERS)}
