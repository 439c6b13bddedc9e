"""A draft of three parts, five samples and one column group, to be committed."""

from __future__ import annotations

from typing import Any

from tasks import committing
from tasks.lake import Lake, Part, Version
from tests.tasks.small_version import decision_table

PARTS = (Part("aa", "0.tar", "d0", 3), Part("bb", "1.tar", "d1", 0), Part("cc", "2.tar", "d2", 2, 4, "cut"))
FACTS: dict[str, Any] = {
    "parent": None, "previous": None, "run": "run-1", "gate": {}, "code": "", "created_at": "now", "complete": True,
    "inputs": {},
}  # fmt: skip


def draft_of(lake: Lake, verdicts: list[str] | None = None) -> Version:
    draft = Version(lake, stage="ingest", parts=PARTS).derive("ingest", columns={"decision": "k"}, config={"limit": 1})
    draft.write_decision(decision_table(verdicts or ["kept"] * 4 + ["quarantined"]), "k")
    return draft


def commit(draft: Version, **facts: Any) -> Version:
    return committing.commit(draft, committing.content(draft), FACTS | facts)
