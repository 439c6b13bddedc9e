"""Tags name versions; `latest` can be rolled back to an earlier one. Who did it, and when, is recorded.

A `latest` that was rolled back holds until a run ends with a newer version, which was compared with it. What lies
between, the versions that it was rolled back from, are withdrawn: a run whose inputs make one of them again makes
nothing, and says so. `sluice rollback` to a withdrawn version takes the step back.
"""

from __future__ import annotations

from tasks import references
from tasks.errors import LakeError, UsageError
from tasks.keeping import migrations
from tasks.lake import Lake
from tasks.lock import hold
from tasks.manifests import retirement
from tasks.references import LATEST, Reference


def tag(lake: Lake, name: str, reference: str, force: bool = False) -> Reference:
    """Name a version. UsageError: no such version, a name that may not be, or one that is taken and not forced."""
    references.check_tag(name)
    version = lake.version(reference).whole()
    migrations.ensure(lake)
    while True:
        after, taken = len(references.read_log(lake.home)), references.current(lake.home).get(name)
        if taken is not None and taken.version == version.number:
            return taken
        if taken is not None and not force:
            raise UsageError(
                f"the tag {name!r} is on version {taken.version} (by {taken.by}, {taken.at}); --force moves it to "
                f"version {version.number}"
            )
        entry = _entry(lake, name, version.number)
        if references.append(lake.home, entry, after):
            return _unless_retired(lake, entry)


def _unless_retired(lake: Lake, entry: Reference) -> Reference:
    """Take the tag back where the version was retired while it was being given; retiring looks for tags after that."""
    manifest = lake.manifest(entry.version or 0)
    if "retired" in manifest:
        delete(lake, entry.name)
        raise LakeError(retirement(manifest))
    return entry


def delete(lake: Lake, name: str) -> Reference:
    """Take a tag away; its versions stay. UsageError where there is no such tag."""
    references.check_tag(name)
    while True:
        after, known = len(references.read_log(lake.home)), references.current(lake.home)
        if name not in known:
            found = ", ".join(sorted(set(known) - {LATEST})) or "none"
            raise UsageError(f"there is no tag {name!r} in pool {lake.pool!r}; there are: {found}")
        entry = _entry(lake, name, None)
        if references.append(lake.home, entry, after):
            return entry


def roll_back(lake: Lake, reference: str) -> Reference:
    """Make a complete version `latest`, until a newer run ends.

    UsageError: no such version, one that ends no run, or the latest itself. LakeError: it was retired or lacks files.
    LakeHeld: a run holds the lake, and what it makes would take the place at once.
    """
    version, latest = lake.version(reference).whole(), lake.version(LATEST)
    if not version.manifest["complete"]:
        raise UsageError(
            f"version {version.number} ({version.stage}) ends no run, so it cannot be `latest`; choose one that "
            "`sluice versions` marks with ●"
        )
    if version.number == latest.number:
        raise UsageError(f"version {version.number} is the latest already; nothing was changed")
    with hold(lake.home, "rollback"):
        migrations.migrate(lake)
        entry = _entry(lake, LATEST, version.number)
        while not references.append(lake.home, entry, len(references.read_log(lake.home))):
            pass  # somebody gave a tag meanwhile
        return entry


def _entry(lake: Lake, name: str, version: int | None) -> Reference:
    return references.entry(name, version, max(lake.numbers(), default=0))


def withdrawn(lake: Lake) -> list[int]:
    """Complete versions newer than `latest`: those that it was rolled back from. Oldest first."""
    latest = lake.latest()
    newer = [number for number in lake.numbers() if latest is not None and number > (latest.number or 0)]
    return [number for number in newer if lake.manifest(number)["complete"]]


def names(lake: Lake) -> dict[int, list[str]]:
    """Version → what it is called, in order of the alphabet: its tags, `latest`, `rolled back`, `retired`."""
    found: dict[int, list[str]] = {}
    for name, entry in sorted(references.current(lake.home).items()):
        if name != LATEST:
            found.setdefault(entry.version or 0, []).append(name)
    latest = lake.latest()
    for number in lake.numbers():
        if "retired" in lake.manifest(number):
            found.setdefault(number, []).append("retired")
    for number in withdrawn(lake):
        found.setdefault(number, []).append("rolled back")
    if latest is not None:
        found.setdefault(latest.number or 0, []).insert(0, LATEST)
    return found
