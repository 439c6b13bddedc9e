"""Which versions stay, and which old ones may be given up: `retired/<number>.json` beside a manifest that stays."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from tasks import references
from tasks.ages import made_before
from tasks.files import write_json
from tasks.keeping.contents import remove
from tasks.keeping.tags import withdrawn
from tasks.labels.rounds import Round, read_rounds
from tasks.lake import Lake
from tasks.lock import now
from tasks.manifests import retired_path
from tasks.references import LATEST, user


class Age(NamedTuple):
    """Which versions are old: not among the newest `keep` complete ones, and made before `before`. None: no bound."""

    keep: int | None = None
    before: datetime | None = None  # with a time zone


def retirable(lake: Lake, age: Age) -> list[int]:
    """Versions that may be given up, oldest first.

    Never `latest`, what it was rolled back from, a tagged one, one that labelling needs, one of a run that may go on,
    nor what these were made from.
    """
    if age == Age():
        return []
    manifests = {number: lake.manifest(number) for number in lake.numbers()}
    complete = [number for number, facts in manifests.items() if facts["complete"] and "retired" not in facts]
    newest = complete[-1] if complete else 0
    young = set(complete[-age.keep :]) if age.keep is not None else set()
    if age.before is not None:
        young |= manifests.keys() - set(made_before(manifests, age.before))
    stay = young | named(lake) | of_rounds(lake) | {number for number in manifests if number > newest}
    stay |= set(withdrawn(lake))
    stay |= {parent for number in stay for parent in _ancestors(number, manifests)}
    return [number for number, facts in manifests.items() if number not in stay and "retired" not in facts]


def _ancestors(number: int, manifests: dict[int, dict[str, object]]) -> Iterable[int]:
    """What a version was made from, stage by stage."""
    parent = manifests[number]["parent"] if number in manifests else None
    while isinstance(parent, int) and parent in manifests:
        yield parent
        parent = manifests[parent]["parent"]


def named(lake: Lake) -> set[int]:
    """`latest` and the tagged versions."""
    latest = lake.latest()
    tagged = {entry.version or 0 for name, entry in references.current(lake.home).items() if name != LATEST}
    return tagged | ({latest.number or 0} if latest is not None else set())


def rounds_in_use(lake: Lake) -> list[Round]:
    """Each category's newest round, whose queue people answer, and all that certificates stand on."""
    names = {path.stem.rpartition("-")[0] for path in (lake.home / "labels" / "rounds").glob("*.json")}
    found = []
    for name in sorted(names):
        rounds = read_rounds(lake, name)
        found += [one for one in rounds if one is rounds[-1] or one.certification is not None]
    return found


def of_rounds(lake: Lake) -> set[int]:
    return {one.version for one in rounds_in_use(lake)}


def retire(lake: Lake, numbers: Iterable[int]) -> list[int]:
    """Mark versions as retired; returns those that are. One that was tagged meanwhile is let be: see tags.py."""
    facts = {"at": now(), "by": user()}
    marked = list(numbers)
    for number in marked:
        write_json(retired_path(lake.home, number), facts)
    tagged = named(lake)
    remove(retired_path(lake.home, number) for number in set(marked) & tagged)
    return [number for number in marked if number not in tagged]
