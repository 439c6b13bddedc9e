"""Which versions are older than a moment, on machines whose clock was wrong for a while.

Numbers tell the order of versions, always; stamps tell dates, while the clock is right. A version of today that was
stamped with last year, by a clock that was set back, is not old: it comes after versions that are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tasks.lock import now


def made_before(manifests: Mapping[int, Mapping[str, Any]], moment: datetime) -> list[int]:
    """Numbers of the versions that are stamped before a moment and come before any that is stamped since.

    A stamp that lies ahead of the clock is wrong, and says nothing of the versions after it. `moment` has a time zone.
    """
    stamps = {number: datetime.fromisoformat(manifests[number]["created_at"]) for number in sorted(manifests)}
    present = datetime.fromisoformat(now())
    first = min((number for number, at in stamps.items() if moment <= at <= present), default=None)
    return [number for number, at in stamps.items() if at < moment and (first is None or number < first)]
