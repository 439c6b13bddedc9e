"""The audit of any version against any other: which terms became more or less frequent among what is kept.

A run's own audit compares its steps with the pool. Here two versions are compared, whatever lies between them: another
threshold, new shards, a month. Every sample is in both, was left out, or came in, and near-duplicates move together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.errors import UsageError
from tasks.files import read_table
from tasks.groups.membership import members
from tasks.groups.term_groups import TermGroups
from tasks.lake import MapParts, Version
from tasks.queries import Database, database
from tasks.samples import KEPT
from tasks.words import changes
from tasks.words.change_figures import bounds as bounds_of
from tasks.words.change_figures import column
from tasks.words.changes import Influence, Shares
from tasks.words.counting import UNIT, groups_table
from tasks.words.removal_odds import Removed, removal_odds
from tasks.words.terms import add_terms
from tasks.words.tokens import write_tokens

LEVEL: Final = 0.95


@dataclass(frozen=True)
class Asked:
    """What is compared besides the whole vocabulary, and what counts as a change."""

    keywords: Sequence[str] = ()
    min_count: int = 20  # captions of one of the versions with the term
    phrases: int = 3  # words of the longest phrase that is compared unasked
    fdr: float = 0.05
    tau: float = 0.01
    target_share: Mapping[str, float] = field(default_factory=dict)  # group → share of the kept that it ought to have


def compare(
    subject: Version, reference: Version, asked: Asked, map_parts: MapParts, groups: TermGroups | None = None
) -> tuple[dict[str, pa.Table], dict[str, Any]]:
    """Tables `words` and, with groups, `groups`; and a summary: the versions, samples, how many terms were tested.

    One row a term, most frequent in the reference first. Shares are of the kept captions, `change` the subject's over
    the reference's − 1, `change_weighted` the same by weight; n_left captions are kept by the reference only,
    n_entered by the subject only. removal_odds_ratio: the odds of being left out with the term over those without.
    A group is `excluded` (exclusion amplification, Hong et al. 2024) that is under its target share in the reference
    and left out more often than all; null without a target.

    What two versions hold is exact. The 95% intervals and `significant` (Benjamini-Hochberg over all terms of a table)
    say what two such versions of other pools from the same source would show; the unit is the near-duplicate group.
    Where nothing came in and nothing is weighted, they are Wilson's on the share of the term's captions that stayed,
    else linearised ratios, none below 20 effective groups (METHODS, section 2). Raises UsageError: the versions are of
    different lakes or pools, or parts that only one has were ingested with other settings.
    """
    both = _both(subject, reference)
    write_tokens(both, map_parts)
    sample = _samples(both, subject, reference)
    near_duplicate = groups_table(subject if "groups" in subject.artifacts else reference)
    with database({"near_duplicate": near_duplicate}) as db:
        add_terms(db, both, asked.keywords, min_count=asked.min_count, longest=asked.phrases)
        tables = {"words": _table(db, sample, asked)}
        if groups is not None:
            _add_groups(db, both, groups)
            found = _table(db, sample, replace(asked, min_count=0)).drop_columns(["n_words", "keyword"])
            tables["groups"] = found.rename_columns({"term": "group"})
        totals = db.run("comparison", "totals").to_pylist()[0]
    if groups is not None:
        tables["groups"] = _with_targets(tables["groups"], totals, asked.target_share)
    return tables, _summary(subject, reference, totals, tables)


def _both(subject: Version, reference: Version) -> Version:
    """The subject with the parts that only the reference has, behind its own."""
    if subject.lake.home != reference.lake.home:
        raise UsageError(
            f"versions of one pool were expected, {subject.lake.pool!r} and {reference.lake.pool!r} were found"
        )
    known = {part.part for part in subject.parts}
    more = tuple(part for part in reference.parts if part.part not in known)
    if more and subject.columns["samples"] != reference.columns["samples"]:
        raise UsageError(
            f"part {more[0].part} ({more[0].path}) is in version {reference.number} only, which was ingested with "
            "other settings; compare with a version that was ingested with the same [ingest]"
        )
    return replace(subject, parts=(*subject.parts, *more))


def _samples(both: Version, subject: Version, reference: Version) -> pa.Table:
    """One row a sample of either: its place in `both`, uid, and its weight on each side (null where not kept there)."""
    known, columns = {part.part: i for i, part in enumerate(both.parts)}, []
    for version in (subject, reference):
        weights: list[pa.Array] = [pa.nulls(part.rows, pa.float64()) for part in both.parts]
        for part in version.parts:
            table = read_table(version.column_path("decision", part), ["verdict", "weight"])
            kept = pc.equal(table["verdict"], KEPT)
            weights[known[part.part]] = pc.if_else(kept, pc.fill_null(table["weight"], 1.0), None).combine_chunks()
        columns.append(pa.chunked_array(weights, pa.float64()))
    places = pa.array(np.arange(both.rows, dtype=np.int32))
    uids = both.table("samples", ["uid"])["uid"]
    return pa.table([places, uids, *columns], names=["sample", "uid", "subject", "reference"])


def _add_groups(db: Database, both: Version, groups: TermGroups) -> None:
    """Groups in the place of terms."""
    found = members(both, groups)
    number = pa.array(np.arange(len(found.names), dtype=np.int32))
    keyword = pa.array(np.ones(len(found.names), np.bool_))
    names = pa.array(found.names, pa.string())
    words = pa.nulls(len(found.names), pa.int32())
    db.add("vocabulary", pa.table({"term": number, "word": names, "n_words": words, "keyword": keyword}))
    db.add("token", found.table.rename_columns(["sample", "term"]))


def _with_targets(groups: pa.Table, totals: Mapping[str, int], target_share: Mapping[str, float]) -> pa.Table:
    """`target`, and `excluded`: under it in the reference and left out more often than all; null without one."""
    target = pa.array([target_share.get(name) for name in groups["group"].to_pylist()], pa.float64())
    left, there = (groups[name].to_numpy() for name in ("n_left", "n_reference"))
    more = pa.array(left * totals["n_reference"] > there * totals["n_left"])
    excluded = pc.and_(pc.less(groups["share_reference"], target), more)
    return groups.append_column("target", target).append_column("excluded", excluded)


@dataclass(frozen=True)
class Side:
    """Counts of both versions' kept captions, all of one mass or by weight."""

    terms: pa.Table  # the columns of sql/comparison/compared.sql
    totals: dict[str, int]  # the columns of sql/comparison/totals.sql
    influence: Influence

    def of(self, name: str) -> np.ndarray:
        """(t,) int64"""
        return self.terms[name].to_numpy()

    @property
    def change(self) -> np.ndarray:
        subject, reference = self.of("subject"), self.of("reference")
        return changes.change(subject, self.totals["subject"], reference, self.totals["reference"])

    @property
    def stays(self) -> Shares:
        """Of a term's captions in the reference, those that the subject has too."""
        deff = np.nan_to_num(changes.divide(self.of("squares"), self.of("n_reference")), nan=1.0)
        n = self.totals["n_reference"]
        return Shares(self.of("n_both"), self.of("n_reference"), np.maximum(deff, 1.0), n - self.totals["n_left"], n)

    def removal(self) -> dict[str, np.ndarray]:
        """Odds of being left out with a term over the odds without it. (t,) each"""
        stays, squares = self.stays, self.of("squares")
        inside = Removed(stays.trials - stays.through, stays.trials, squares)
        outside = Removed(
            self.totals["n_left"] - inside.filtered,
            self.totals["n_reference"] - inside.captions,
            self.totals["unit_squares"] - 2 * self.of("crossed") + squares,
        )
        ratio, *limits = removal_odds(inside, outside, LEVEL)
        return {"removal_odds_ratio": ratio, **bounds_of("removal_odds_ratio", (limits[0], limits[1]))}

    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        return changes.linearised_interval(self.change, self.influence, LEVEL)

    def p_values(self, tau: float) -> np.ndarray:
        """(t,) two-sided, against |change| ≤ tau, from the linearised interval; NaN where there is none."""
        from scipy.special import ndtr, ndtri

        lower, upper = self.interval()
        spread = (upper - lower) / (2 * float(ndtri(0.5 + LEVEL / 2)))
        beyond = changes.divide(np.maximum(np.abs(self.change) - tau, 0.0), spread)
        return np.minimum(2 * ndtr(-beyond), 1.0)


def _table(db: Database, sample: pa.Table, asked: Asked) -> pa.Table:
    """The figures of the terms that stand in `vocabulary` and `token`, unweighted and weighted."""
    plain = _side(db, _masses(sample, weighted=False), asked)
    weighted = _side(db, _masses(sample, weighted=True), asked)
    stays, p_value, bounds = plain.stays, plain.p_values(asked.tau), plain.interval()
    if not plain.totals["n_entered"]:  # the subject is what the reference's filter, or a step after it, let through
        p_value, bounds = changes.p_values(stays, asked.tau), changes.paired_interval(stays, LEVEL)
    n_left, n_entered = (plain.of(name) - plain.of("n_both") for name in ("n_reference", "n_subject"))
    table = plain.terms.select(["term", "n_words", "keyword", "n_reference", "n_subject"])
    table = table.append_column("n_left", pa.array(n_left)).append_column("n_entered", pa.array(n_entered))
    figures = {
        "share_reference": changes.divide(plain.of("reference"), plain.totals["reference"]),
        "share_subject": changes.divide(plain.of("subject"), plain.totals["subject"]),
        "change": plain.change,
        **bounds_of("change", bounds),
        "change_weighted": weighted.change,
        **bounds_of("change_weighted", weighted.interval()),
        **plain.removal(),
        "effective_groups": plain.influence.effective_groups,
        "p_value": p_value,
    }
    for name, values in figures.items():
        table = table.append_column(name, column(values))
    return table.append_column("significant", pa.array(changes.benjamini_hochberg(p_value, asked.fdr)))


def _masses(sample: pa.Table, *, weighted: bool) -> pa.Table:
    """The samples with whole masses in units of 2^-24, 0 where a side does not keep them."""
    for name in ("reference", "subject"):
        weight = sample[name].to_numpy()
        kept = ~np.isnan(weight)
        mass = np.where(kept, np.maximum(np.round(np.nan_to_num(weight) * UNIT), 1), 0) if weighted else kept * UNIT
        sample = sample.set_column(sample.column_names.index(name), name, pa.array(mass.astype(np.int64)))
    return sample


def _side(db: Database, sample: pa.Table, asked: Asked) -> Side:
    """Count one pair of masses."""
    db.add("sample", sample)
    for name in ("pool", "held", "compared"):
        db.keep(name, "comparison", name, **({"min_count": asked.min_count} if name == "compared" else {}))
    totals = db.run("comparison", "totals").to_pylist()[0]
    terms = db.connection.table("compared").to_arrow_table()
    return Side(terms, totals, _influence(db, terms, totals))


def _influence(db: Database, terms: pa.Table, totals: dict[str, int]) -> Influence:
    """How far near-duplicate groups move each term's change; NaN where a side does not have the term."""
    units = totals["units"]
    if not totals["reference"] or not totals["subject"]:
        nothing = np.full(len(terms), np.nan)
        return Influence(nothing, nothing, nothing, units)
    means = {f"mean_{name}": totals[name] / units for name in ("reference", "subject")}
    sums = db.run("comparison", "influence", units=float(units), **means)
    places = pc.index_in(terms["term_id"], sums["term_id"].combine_chunks())
    second, fourth, share = (
        sums[name].take(places).to_numpy().astype(np.float64) for name in ("second", "fourth", "share")
    )
    return Influence(second, fourth, share, units)


def _summary(
    subject: Version, reference: Version, totals: dict[str, int], tables: dict[str, pa.Table]
) -> dict[str, Any]:
    words = tables["words"]
    return {
        "subject": subject.number,
        "reference": reference.number,
        "samples": {
            name.removeprefix("n_"): totals[name] for name in ("n_reference", "n_subject", "n_left", "n_entered")
        },
        "tested": len(words) - words["p_value"].null_count,
        "significant": int(pc.sum(words["significant"]).as_py() or 0),
    }
