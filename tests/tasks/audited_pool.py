"""A small pool whose filter took the women that captions call sexy, audited with term groups: what reports tell of."""

from __future__ import annotations

from pathlib import Path

from tasks import audit
from tasks.lake import Version
from tests.tasks.captioned import captioned, map_here

GROUPS_FILE = """
[groups."person/woman"]
terms = ["woman"]
[groups."person/man"]
terms = ["man"]
[groups."person/man/old"]
terms = ["old man"]
[groups.nobody]
terms = ["martian"]
[attributes.sexy]
terms = ["sexy"]
"""


def audited(root: Path, *, keywords: tuple[str, ...] = ("man", "woman", "unicorn")) -> Version:
    """400 captions: of 100 women 60 are filtered, all of them sexy, of 100 men 5; the kept are weighted."""
    captions = ["a sexy woman"] * 60 + ["a woman"] * 40 + ["an old man"] * 50 + ["a man"] * 50 + ["a tree"] * 200
    verdicts = ["filtered"] * 60 + ["kept"] * 40 + ["filtered"] * 5 + ["kept"] * 295
    weights = [None if verdict == "filtered" else 1.0 for verdict in verdicts]
    (root / "groups.toml").write_text(GROUPS_FILE, "utf-8")
    version = captioned(root, captions, verdicts, weights)
    return audit.run(version, audit.Config(keywords, str(root / "groups.toml"), min_count=2, phrases=1), map_here)
