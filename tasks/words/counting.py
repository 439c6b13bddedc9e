"""How many captions have each term: in the pool, after the filter, among the kept, by weight.

sql/audit says what is counted; words/term_sums.py does the sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.files import read_table
from tasks.lake import Version
from tasks.queries import Database, database
from tasks.words.audit_pool import DUPLICATE, KEPT, UNIT, UNUSABLE, Pool, pool_of
from tasks.words.changes import Influence
from tasks.words.term_sums import Sums, term_sums
from tasks.words.terms import Group, Terms, terms_of
from tasks.words.tokens import TermLists

__all__ = ["UNIT", "Counts", "count", "count_sets", "count_terms", "groups_table", "influence", "samples_table"]


@dataclass(frozen=True)
class Counts:
    """What was counted. Weights are masses, integers in units of 2^-24: their sums do not depend on an order."""

    terms: pa.Table  # one row an audited term: the columns of sql/audit/audited.sql, and n_words
    totals: Mapping[str, int]  # of the pool: the columns of sql/audit/totals.sql
    influence: Influence | None  # None where nothing is weighted

    def of(self, name: str) -> np.ndarray:
        """(t,) int64, one column of the terms."""
        return self.terms[name].to_numpy()

    @property
    def reference(self) -> np.ndarray:
        """(t,) float64, groups with each term; of a group, the part of its captions that has it.

        If a group counted whole with the term in any of its captions, words would seem to fall merely because
        near-duplicates have different captions. The weights are made against this reference, too.
        """
        return self.of("reference") / UNIT


def count_terms(version: Version, keywords: Sequence[str], min_count: int, longest: int = 1) -> Counts:
    """Counts of every term that min_count captions of the pool have, and of each keyword or phrase whatever its count.

    Tokens must have been written. The pool is all usable samples; its units are the near-duplicate groups of the
    artifact `groups` where the version has one, else the samples. longest: words of a phrase that is counted unasked.
    """
    return count(terms_of(version, keywords, min_count, longest), pool_of(version), min_count)


def count(terms: Terms, pool: Pool, min_count: int) -> Counts:
    """The same of these terms, in this pool of captions."""
    found, tables = [], []
    for group in terms.groups:
        keyword, number = terms.keyword(group), np.full(len(group.names), -1)
        used = np.flatnonzero(keyword | (group.captions >= min_count))
        used = used[np.argsort(-group.captions[used], kind="stable")]
        number[used] = np.arange(len(used))
        found.append(term_sums(group.lists, number, pool))
        columns = [group.names, pa.array(keyword), pa.array(group.n_words)]
        tables.append(pa.table(columns, names=["word", "keyword", "n_words"]).take(pa.array(used)))
    vocabulary = pa.concat_tables(tables)
    counts = _counts(vocabulary, found, {**totals_of(pool), "words": _present(terms.groups[0], pool)}, min_count)
    n_words = vocabulary["n_words"].take(counts.terms["term_id"])
    return Counts(counts.terms.append_column("n_words", n_words), counts.totals, counts.influence)


def count_sets(names: Sequence[str], members: pa.Table, pool: Pool) -> Counts:
    """The counts of named sets of samples (MEMBERS of membership.py), of those that have a sample of the pool."""
    lengths = np.bincount(members["sample"].to_numpy(), minlength=len(pool.state))
    lists = TermLists(np.append(0, lengths.cumsum()), members["group"].to_numpy())
    found = term_sums(lists, np.arange(len(names)), pool)
    vocabulary = pa.table({"word": pa.array(names, pa.string()), "keyword": pa.repeat(True, len(names))})
    return _counts(vocabulary, [found], {**totals_of(pool), "words": len(names)}, 1)


def _counts(
    vocabulary: pa.Table, found: Sequence[tuple[Sums, Influence | None]], totals: Mapping[str, int], min_count: int
) -> Counts:
    """vocabulary: the terms counted, in the order of what was found."""
    numbers = pa.array(np.arange(len(vocabulary), dtype=np.int32))
    columns = {name: np.concatenate([getattr(sums, name) for sums, _ in found]) for name in Sums._fields}
    tables = {
        "vocabulary": vocabulary.append_column("term", numbers),
        "counted": pa.table({"term": numbers, **columns}),
    }
    with database(tables) as db:
        terms = db.run("audit", "audited", min_count=min_count)
    place, moved = terms["term_id"].to_numpy(), [one for _, one in found if one is not None]
    if not totals["mass"]:
        return Counts(terms, totals, None)
    second, fourth, share = (
        np.concatenate([getattr(one, name) for one in moved])[place] for name in ("second", "fourth", "share")
    )
    return Counts(terms, totals, Influence(second, fourth, share, totals["n_units"]))


def totals_of(pool: Pool) -> dict[str, int]:
    """The pool's sizes and the mass of its weights, as sql/audit/totals.sql has them; unit_squares: groups' sizes²."""
    return {
        "n_pool": int(np.count_nonzero(pool.state)),
        "n_units": pool.units,
        "n_after_filter": int(np.count_nonzero(pool.state >= DUPLICATE)),
        "n_kept": int(np.count_nonzero(pool.state == KEPT)),
        "mass": int(pool.mass.sum()),
        "unit_squares": pool.alone + int((pool.size**2).sum()),
    }


def _present(words: Group, pool: Pool) -> int:
    """How many different words the pool's captions hold: of all samples', without those of unusable samples alone."""
    terms = words.lists.gather(np.flatnonzero(pool.state == UNUSABLE)).terms
    unusable = np.bincount(terms[terms >= 0], minlength=len(words.names))
    return int((words.captions > unusable).sum())


def samples_table(version: Version) -> pa.Table:
    """One row a sample: sample (its place in the version's tables), uid, verdict, weight."""
    empty = pa.table({"uid": pa.array([], pa.string())})
    uids = version.table("samples", ["uid"]) if version.parts else empty
    decision = version.table("decision", ["verdict", "weight"])
    places = pa.array(np.arange(version.rows, dtype=np.int32))
    return pa.table([places, uids["uid"], *decision.columns], names=["sample", "uid", "verdict", "weight"])


def groups_table(version: Version) -> pa.Table:
    """One row a sample that has near-duplicates: group, uid."""
    if "groups" not in version.artifacts:
        return pa.table({"group": pa.array([], pa.int64()), "uid": pa.array([], pa.string())})
    return read_table(version.artifact("groups") / "groups.parquet", ["group", "uid"])


def influence(db: Database, terms: pa.Table, totals: Mapping[str, int]) -> Influence:
    """How far the groups move each term's weighted change, in SQL; NaN where no weighted caption has the term."""
    groups = totals["n_units"]
    db.add("audited", terms)
    sums = db.run("audit", "influence", units=float(groups), mean_mass=totals["mass"] / groups)
    places = pc.index_in(terms["term_id"], sums["term_id"].combine_chunks())
    second, fourth = (sums[name].take(places).to_numpy().astype(np.float64) for name in ("second", "fourth"))
    return Influence(second, fourth, terms["reference"].to_numpy() / UNIT / groups, groups)
