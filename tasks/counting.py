"""How many captions have each term: in the pool, after the filter, among the kept, by weight. All is in sql/audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks import tokens
from tasks.changes import Influence
from tasks.files import read_table
from tasks.lake import Version
from tasks.queries import Database, database

UNIT = 2**24  # masses and parts of groups are counted in its inverse


@dataclass(frozen=True)
class Counts:
    """What was counted. Weights are masses, integers in units of 2^-24: their sums do not depend on an order."""

    terms: pa.Table  # one row an audited term: the columns of sql/audit/audited.sql
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


def count_terms(version: Version, keywords: Sequence[str], min_count: int) -> Counts:
    """Counts of every term that min_count captions of the pool have, and of each keyword or phrase whatever its count.

    Tokens must have been written. The pool is all usable samples; its units are the near-duplicate groups of the
    artifact `groups` where the version has one, else the samples.
    """
    with database({"sample": _samples(version), "near_duplicate": _groups(version)}) as db:
        words = _add_tokens(db, version, keywords)
        db.keep("pool", "audit", "pool")
        db.keep("counted", "audit", "counted")
        totals = db.run("audit", "totals", words=words).to_pylist()[0]
        terms = db.run("audit", "audited", min_count=min_count)
        influence = _influence(db, terms, totals) if totals["mass"] else None
    return Counts(terms, totals, influence)


def _samples(version: Version) -> pa.Table:
    """One row a sample: sample (its place in the version's tables), uid, verdict, weight."""
    empty = pa.table({"uid": pa.array([], pa.string())})
    uids = version.table("samples", ["uid"]) if version.parts else empty
    decision = version.table("decision", ["verdict", "weight"])
    places = pa.array(np.arange(version.rows, dtype=np.int32))
    return pa.table([places, uids["uid"], *decision.columns], names=["sample", "uid", "verdict", "weight"])


def _groups(version: Version) -> pa.Table:
    """One row a sample that has near-duplicates: group, uid."""
    if "groups" not in version.artifacts:
        return pa.table({"group": pa.array([], pa.int64()), "uid": pa.array([], pa.string())})
    return read_table(version.artifact("groups") / "groups.parquet", ["group", "uid"])


def _add_tokens(db: Database, version: Version, keywords: Sequence[str]) -> int:
    """Add `token` (one row a sample and term it has) and `vocabulary` (one row a term); returns the number of words.

    Phrases and keywords that no caption has stand in the vocabulary behind the words.
    """
    stored = tokens.read_tokens(version)
    asked = {" ".join(phrase): phrase for phrase in map(tokens.tokenise, keywords)}
    found = pc.is_in(pa.array(list(asked), pa.string()), stored.vocabulary).to_pylist()
    new = [name for name, known in zip(asked, found, strict=True) if not known]
    vocabulary = pa.concat_arrays([stored.vocabulary, pa.array(new, pa.string())])
    keyword = pc.is_in(vocabulary, pa.array(list(asked), pa.string()))
    numbers = pa.array(np.arange(len(vocabulary), dtype=np.int32))
    db.add("vocabulary", pa.table({"term": numbers, "word": vocabulary, "keyword": keyword}))
    token = pa.table({"sample": stored.samples, "term": stored.terms})
    db.add("token", token)
    words = len(stored.vocabulary)
    phrases = {words + i: asked[name] for i, name in enumerate(new) if len(asked[name]) > 1}
    if phrases:
        held = _phrase_tokens(db, version, phrases, stored.vocabulary)
        db.add("token", pa.concat_tables([token, held]))
    return words


def _phrase_tokens(
    db: Database, version: Version, phrases: Mapping[int, list[str]], vocabulary: pa.StringArray
) -> pa.Table:
    """sample (int32), term (int32): one row a caption and phrase that stands in it, token beside token.

    Captions that hold all of a phrase's words are found on the stored tokens; only these are read again.
    """
    pairs = [(term, word) for term, phrase in phrases.items() for word in dict.fromkeys(phrase)]
    places = pc.index_in(pa.array([word for _, word in pairs]), vocabulary).fill_null(-1)
    db.add("phrase_word", pa.table({"phrase": pa.array([term for term, _ in pairs], pa.int32()), "term": places}))
    found = db.run("audit", "phrase_candidates")
    if not len(found):
        return found.select(["sample", "term"])
    captions = version.table("samples", ["caption"])["caption"].take(found["sample"]).to_pylist()
    held = [
        tokens.has_phrase(caption, " ".join(phrases[term]))
        for caption, term in zip(captions, found["term"].to_pylist(), strict=True)
    ]
    return found.filter(pa.array(held)).select(["sample", "term"])


def _influence(db: Database, terms: pa.Table, totals: Mapping[str, int]) -> Influence:
    """How far the groups move each term's weighted change; NaN where no weighted caption has the term."""
    groups = totals["n_units"]
    db.add("audited", terms)
    sums = db.run("audit", "influence", units=float(groups), mean_mass=totals["mass"] / groups)
    places = pc.index_in(terms["term_id"], sums["term_id"].combine_chunks())
    second, fourth = (sums[name].take(places).to_numpy().astype(np.float64) for name in ("second", "fourth"))
    return Influence(second, fourth, terms["reference"].to_numpy() / UNIT / groups, groups)
