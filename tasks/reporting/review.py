"""Near-duplicate groups that a person should look at: the filter or the captions say that the members are not the same.

- `verdicts`: the filter took some members out and kept others, though they look alike; one side may be wrong.
- `captions`: a member's caption says something else than the caption of the one that stays: the share of their words
  that both have (Jaccard index of the sets of words) is below UNLIKE.
- `words`: the captions share words, yet each has a word that the other lacks: "clock one" and "clock two", "light
  skin" and "dark skin". One that merely says more is not listed. The words that were exchanged are.

What deduplication drops is then not the same picture, or one of the captions is wrong.

Captions without words are not compared. The one that stays is the group's first kept member, or its first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from tasks.files import read_table, write_aside, write_table
from tasks.lake import Version
from tasks.reporting.pictures import thumbnails
from tasks.samples import FILTERED, KEPT
from tasks.words.tokens import tokenise

UNLIKE: Final = 0.2  # Jaccard index of words
WORDS: Final = 12  # exchanged words that are listed of a group
SHOWN, MEMBERS, PIXELS = 12, 12, 112  # groups of each kind on the page, members of one, picture size
NAME: Final = "duplicates_review"  # of the files

REVIEW: Final = pa.schema(
    [
        ("group", pa.int64()),
        ("reasons", pa.string()),  # of verdicts, captions, words; joined by spaces
        ("size", pa.int64()),
        ("kept", pa.int64()),
        ("filtered", pa.int64()),
        ("disagreeing", pa.int64()),  # members whose caption is unlike that of the one that stays, or exchanges words
        ("jaccard", pa.float64()),  # lowest; null where captions were not compared
        ("words", pa.string()),  # exchanged between captions, the most frequent first; joined by spaces
        ("stays", pa.string()),  # uid
        ("stays_caption", pa.string()),
        ("unlike", pa.string()),  # uid of the member whose caption is least like it
        ("unlike_caption", pa.string()),
    ]
)


class Caption(NamedTuple):
    """A caption beside that of the one that stays."""

    jaccard: float
    exchanged: frozenset[str]  # words that only one of them has, where each has such words and both share some


def compare(one: frozenset[str], other: frozenset[str]) -> Caption | None:
    """Two captions' words; None where one has none."""
    if not one or not other:
        return None
    both = one & other
    exchanged = one ^ other if both and one - other and other - one else frozenset()
    return Caption(len(both) / len(one | other), exchanged)


def review(version: Version) -> pa.Table:
    """REVIEW: a row a group that should be looked at; mixed verdicts first, then most disagreeing members first.

    Empty where the version has no groups.
    """
    if "groups" not in version.artifacts:
        return REVIEW.empty_table()
    table = members_of(version)
    bounds = np.flatnonzero(np.diff(np.asarray(table["group"]), prepend=-1, append=-1))
    rows = [_reviewed(table.slice(start, end - start)) for start, end in pairwise(bounds)]
    found = sorted(filter(None, rows), key=_order)
    return pa.Table.from_pylist(found, schema=REVIEW)


def members_of(version: Version) -> pa.Table:
    """The members of all groups with group, uid, caption, and the version's row and verdict of each."""
    table = read_table(version.artifact("groups") / "groups.parquet", ["group", "uid"])
    samples = version.table("samples", ["uid", "caption"])
    place = pc.index_in(table["uid"], value_set=samples["uid"].combine_chunks())
    caption = samples["caption"].take(place)
    verdict = version.table("decision", ["verdict"])["verdict"].take(place)
    for name, column in (("caption", caption), ("row", place), ("verdict", verdict)):
        table = table.append_column(name, column)
    return table.combine_chunks()


def _reviewed(group: pa.Table) -> dict[str, Any] | None:
    uids, captions, verdicts = (group[name].to_pylist() for name in ("uid", "caption", "verdict"))
    stays = verdicts.index(KEPT) if KEPT in verdicts else 0
    words = {caption: frozenset(tokenise(caption)) for caption in set(captions) if caption}
    mine = words.get(captions[stays], frozenset())
    told = {caption: compare(mine, theirs) for caption, theirs in words.items()}
    known = [(i, found) for i, caption in enumerate(captions) if (found := told.get(caption)) and i != stays]
    unlike = [found for _, found in known if found.jaccard < UNLIKE]
    exchanged = [found for _, found in known if found.jaccard >= UNLIKE and found.exchanged]
    filtered = verdicts.count(FILTERED)
    reasons = [
        name
        for name, is_so in (("verdicts", 0 < filtered < len(uids)), ("captions", unlike), ("words", exchanged))
        if is_so
    ]
    if not reasons:
        return None
    least, found = min(known, key=lambda item: item[1].jaccard) if known else (stays, None)
    return {
        "group": group["group"][0].as_py(),
        "reasons": " ".join(reasons),
        "size": len(uids),
        "kept": verdicts.count(KEPT),
        "filtered": filtered,
        "disagreeing": len(unlike) + len(exchanged),
        "jaccard": found.jaccard if found else None,
        "words": " ".join(_frequent(found.exchanged for found in exchanged)),
        "stays": uids[stays],
        "stays_caption": captions[stays],
        "unlike": uids[least],
        "unlike_caption": captions[least],
    }


def _frequent(sets: Iterable[frozenset[str]]) -> list[str]:
    counts = Counter(word for words in sets for word in words)
    return sorted(counts, key=lambda word: (-counts[word], word))[:WORDS]


def _order(row: Mapping[str, Any]) -> tuple[bool, int, float, int]:
    jaccard = row["jaccard"]
    return "verdicts" not in row["reasons"], -row["disagreeing"], 2.0 if jaccard is None else jaccard, row["group"]


def write_review(folder: Path, table: pa.Table) -> None:
    """duplicates_review.parquet, and the same as .csv for a person's spreadsheet."""
    write_table(folder / f"{NAME}.parquet", table)
    with write_aside(folder / f"{NAME}.csv") as aside:
        csv.write_csv(table, aside)


def summary(table: pa.Table) -> dict[str, int]:
    """Groups of each reason, one that has several counted in each, and of any."""
    reasons = [text.split() for text in table["reasons"].to_pylist()]
    counts = Counter(reason for group in reasons for reason in group)
    return {"groups": len(reasons), **{name: counts[name] for name in ("verdicts", "captions", "words")}}


def context(version: Version, table: pa.Table, *, pictures: bool = True) -> dict[str, Any]:
    """What duplicates_review.html names: `counts`, and of each reason the first SHOWN groups with their pictures."""
    members = members_of(version) if table.num_rows else None
    listed = {reason: _first(table, reason) for reason in ("verdicts", "captions", "words")}
    strips = {row["group"]: _members(members, row) for rows in listed.values() for row in rows}
    places = [member["row"] for strip in strips.values() for member in strip]
    shown = thumbnails(version, places, PIXELS) if pictures else {}
    for strip in strips.values():
        for member in strip:
            member["data"] = shown.get(member.pop("row"))
    kinds = [
        {"reason": name, "groups": [{**r, "members": strips[r["group"]]} for r in listed[name]]} for name in listed
    ]
    return {"counts": summary(table), "kinds": kinds}


def _first(table: pa.Table, reason: str) -> list[dict[str, Any]]:
    has = pc.match_substring(table["reasons"], reason)
    rows: list[dict[str, Any]] = table.filter(has).slice(0, SHOWN).to_pylist()
    return rows


def _members(members: pa.Table, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Who stays, who is least like it, then others; as a strip of the report shows them."""
    group = members.filter(pc.equal(members["group"], row["group"])).to_pylist()
    first: Sequence[str] = (row["stays"], row["unlike"])
    group.sort(key=lambda member: first.index(member["uid"]) if member["uid"] in first else len(first))
    filtered = [member for member in group[MEMBERS:] if member["verdict"] == FILTERED][: MEMBERS // 2]
    chosen = [*group[: MEMBERS - len(filtered)], *filtered]
    return [
        {"row": m["row"], "caption": m["caption"] or "", "verdict": m["verdict"], "note": _note(m["verdict"])}
        for m in chosen
    ]


def _note(verdict: str) -> str:
    return "stays" if verdict == KEPT else verdict
