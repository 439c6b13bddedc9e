"""The strata that labels of a classifier's attribute are drawn from, and what is labelled of each at each stage.

A stratum is a set of groups and a bin of the score: the samples that are in these of the told-apart groups and in no
other of them. Samples that the filter was decided with by hand are strata of their own, labelled whole: had they been
drawn afterwards, what is kept would depend on the draw. Within a stratum the order of samples is random and fixed by
the seed alone (sql/association/ordered.sql): a draw is the first of them, and can be told from other labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.files import read_table
from tasks.groups.drawn_labels import BETWEEN, DrawnLabels
from tasks.groups.stratified import Strata
from tasks.groups.term_groups import Attribute, TermGroups
from tasks.lake import Version
from tasks.queries import Database
from tasks.samples import QUARANTINED
from tasks.words.counting import UNIT

FEWEST: Final = 5  # labels that a stratum needs at a stage, or all of its samples there

EVERY: Final = 2**62  # samples: more than there are

_FRAME: Final = pa.schema([("attribute", pa.int32()), ("stratum", pa.int32()), ("sample", pa.int32())])
_DESIGN: Final = pa.schema([("attribute", pa.int32()), ("seed", pa.int64())])
_PLANNED: Final = pa.schema([("attribute", pa.int32()), ("stratum", pa.int32()), ("drawn", pa.int64())])
_LABEL: Final = pa.schema([("attribute", pa.int32()), ("sample", pa.int32()), ("label", pa.int8())])
_COUNTS: Final = ("size", "labelled", "needed")
_MASSES: Final = ("mass", "largest", "labelled_mass", "labelled_squares", "positive_mass", "positive_squares")


class Stratum(NamedTuple):
    groups: str  # of those told apart, the ones that its samples are in
    bin: str  # from its lower edge, that included, to below its upper
    known: bool  # the filter was decided with labels of these samples

    def within(self, group: str) -> bool:
        return group in self.groups.split(BETWEEN)


class Labelled(NamedTuple):
    """One attribute's strata and its draw."""

    strata: tuple[Stratum, ...]  # (h,)
    design: DrawnLabels
    drawn: NDArray[np.int64]  # (h,) samples of the draw
    unanswered: NDArray[np.int64]  # (h,) of them, without a label
    unknown: tuple[str, ...]  # uids of the file that are no usable samples of the version
    others: int  # answered labels of the file that are not of the draw


class AtStage(NamedTuple):
    """What is labelled of the (h,) strata of an attribute at a stage."""

    strata: Strata
    needed: NDArray[np.int64]  # (h,) how many of the stratum's order must be labelled


def add_strata(
    db: Database, version: Version, groups: TermGroups, found: pa.Table, designs: Mapping[int, DrawnLabels]
) -> dict[int, Labelled]:
    """Add what sql/association/strata.sql reads; an attribute's place → its strata and draw.

    found: MEMBERS of the groups (groups/membership.py). `sample` must be in the database.
    """
    rows, uids = _usable(version)
    frames, labels, planned = [_FRAME.empty_table()], [_LABEL.empty_table()], [_PLANNED.empty_table()]
    strata, files = {}, {}
    for place, design in designs.items():
        known = _known(version, groups.attributes[place])
        strata[place], number = _strata(version, (groups, found), place, design, known)
        planned.append(_planned(place, strata[place], design))
        frames.append(_table(_FRAME, place, number[rows], rows))
        files[place] = _placed(uids, rows, dict(design.labels))
        labels.append(_table(_LABEL, place, *_given(files[place], _placed(uids, rows, known))))
    db.add("frame", pa.concat_tables(frames))
    db.add("planned", pa.concat_tables(planned))
    db.add("design", pa.table([[*designs], [one.seed for one in designs.values()]], schema=_DESIGN))
    db.add("label", pa.concat_tables(labels))
    db.keep("ordered", "association", "ordered")
    drawn = db.run("association", "drawn")
    db.add("drawn", drawn)
    return {
        place: _labelled(drawn.filter(pc.equal(drawn["attribute"], place)), strata[place], design, files[place])
        for place, design in designs.items()
    }


def _usable(version: Version) -> tuple[NDArray[np.int64], pa.Array]:
    """(n,) places of the usable samples, and their uids."""
    verdict = version.table("decision", ["verdict"])["verdict"]
    rows = np.flatnonzero(pc.not_equal(verdict, QUARANTINED).to_numpy())
    uids = version.table("samples", ["uid"])["uid"].take(rows) if version.parts else pa.array([], pa.string())
    return rows, uids.combine_chunks() if isinstance(uids, pa.ChunkedArray) else uids


def _known(version: Version, attribute: Attribute) -> dict[str, int | None]:
    """Labels that the filter was decided with, of the attribute's category."""
    kind = f"labels.{attribute.classifier}"
    if kind not in version.artifacts:
        return {}
    table = read_table(version.artifact(kind) / "labels.parquet", ["uid", "label"])
    return dict(zip(table["uid"].to_pylist(), table["label"].to_pylist(), strict=True))


def _strata(
    version: Version,
    members: tuple[TermGroups, pa.Table],
    place: int,
    design: DrawnLabels,
    known: Mapping[str, int | None],
) -> tuple[tuple[Stratum, ...], NDArray[np.int64]]:
    """The strata that have samples, and (rows,) each sample's; members: the groups, and which sample is in which."""
    groups, found = members
    score = version.table(f"score.{groups.attributes[place].classifier}", ["score"])["score"].to_numpy()
    code = np.searchsorted(design.edges, np.nan_to_num(score.astype(np.float64)), side="right").astype(np.int64)
    code *= 2
    if known:
        uids = version.table("samples", ["uid"])["uid"]
        code += pc.is_in(uids, pa.array(list(known), pa.string())).to_numpy()
    bins, names = len(design.edges) + 1, [group.name for group in groups.groups]
    sample, group = found["sample"].to_numpy(), found["group"].to_numpy()
    for i, name in enumerate(design.among):
        code[sample[group == names.index(name)]] += (2 * bins) << i
    codes, number = np.unique(code, return_inverse=True)
    return tuple(_stratum(int(one), design) for one in codes), number.astype(np.int64)


def _stratum(code: int, design: DrawnLabels) -> Stratum:
    borders = (0.0, *design.edges, 1.0)
    inside, rest = divmod(code, 2 * (len(borders) - 1))
    groups = BETWEEN.join(name for i, name in enumerate(design.among) if inside >> i & 1)
    return Stratum(groups, f"{borders[rest // 2]:g} to {borders[rest // 2 + 1]:g}", bool(rest % 2))


def _planned(place: int, strata: Sequence[Stratum], design: DrawnLabels) -> pa.Table:
    """How many samples of each stratum count as drawn; all of what is known."""
    numbers = {(groups, bin_): number for groups, bin_, number in design.drawn}
    drawn = [EVERY if one.known else numbers.get((one.groups, one.bin), 0) for one in strata]
    return _table(_PLANNED, place, np.arange(len(strata)), drawn)


class _Placed(NamedTuple):
    """Labels of samples of the version, and uids that none of its usable samples has."""

    label: dict[int, int | None]
    unknown: tuple[str, ...]


def _placed(uids: pa.Array, rows: NDArray[np.int64], labels: Mapping[str, int | None]) -> _Placed:
    places = pc.index_in(pa.array(list(labels), pa.string()), uids).to_pylist()
    there = {int(rows[i]): label for i, label in zip(places, labels.values(), strict=True) if i is not None}
    return _Placed(there, tuple(uid for uid, i in zip(labels, places, strict=True) if i is None))


def _given(file: _Placed, known: _Placed) -> tuple[list[int], list[int | None]]:
    """Samples and their labels; what the filter was decided with stands before the file."""
    label = {**file.label, **known.label}
    return list(label), list(label.values())


def _table(schema: pa.Schema, attribute: int, *columns: Sequence[int | None] | NDArray[np.int64]) -> pa.Table:
    rows = len(columns[0])
    arrays = [pa.array(column, field.type) for column, field in zip(columns, list(schema)[1:], strict=True)]
    return pa.table([pa.array(np.full(rows, attribute, np.int32)), *arrays], schema=schema)


def _labelled(drawn: pa.Table, strata: tuple[Stratum, ...], design: DrawnLabels, file: _Placed) -> Labelled:
    number, answered = drawn["stratum"].to_numpy(), drawn["label"].is_valid().to_numpy()
    sizes, given = (np.bincount(of, minlength=len(strata)) for of in (number, number[answered]))
    used = {int(sample) for sample in drawn["sample"].to_numpy()}
    others = sum(label is not None and sample not in used for sample, label in file.label.items())
    return Labelled(strata, design, sizes, sizes - given, file.unknown, others)


def at_stage(db: Database, labelled: Mapping[int, Labelled]) -> dict[int, AtStage]:
    """What is labelled at the stage whose samples the database has as `stage`."""
    table, found = db.run("association", "strata", fewest=FEWEST), {}
    place = table["attribute"].to_numpy()
    for attribute, one in labelled.items():
        rows = table.filter(pa.array(place == attribute))
        sums = {name: np.zeros(len(one.strata)) for name in (*_COUNTS, *_MASSES)}
        for name, values in sums.items():
            values[rows["stratum"].to_numpy()] = rows[name].to_numpy() / (UNIT if name in _MASSES else 1)
        needed = sums.pop("needed").astype(np.int64)
        found[attribute] = AtStage(Strata(**sums), needed)
    return found
