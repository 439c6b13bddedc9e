"""`sluice label …`: what to label next, labels in and out, how far it is, what a budget could certify."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands import draw as draw_command
from flows.commands.options import HERE, JsonOption, LakeOption, PoolOption, show, tell
from tasks.errors import Interrupted, UsageError
from tasks.lake import find_pool

if TYPE_CHECKING:
    from tasks.labels.label_files import Destination, Imported
    from tasks.lake import Lake

app = typer.Typer(no_args_is_help=True, help="Label samples, certify a filter.", rich_markup_mode="rich")
app.command()(draw_command.draw)

CategoryArgument = Annotated[str, typer.Argument(metavar="CATEGORY", help="A category's name.")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="Curate's TOML file; default the latest round's.")]
FormatOption = Annotated[str, typer.Option("--format", help="csv, or label-studio.")]


@app.command("next")
def next_round(
    category: CategoryArgument,
    lake: LakeOption = HERE,
    pool: PoolOption = None,
    config: ConfigOption = None,
    labels: Annotated[int, typer.Option(help="Samples that the arms pick.")] = 200,
    certify: Annotated[int, typer.Option(help="Samples drawn at random, to certify the model as it is.")] = 0,
    seeds: Annotated[int, typer.Option(help="Known positives shown again, to measure what is overlooked.")] = 0,
    arms: Annotated[str, typer.Option(help="ours; article or random to compare with.")] = "ours",
    workers: Annotated[int | None, typer.Option(help="Processes on this machine; default one a core.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Take in the labels that were given, retrain, and write the next queue.

    Example: sluice label next weapon --config my.toml
    """
    from flows.serving.interrupts import insistent
    from flows.serving.server import embedded

    def check() -> None:
        from flows.label import chosen
        from tasks.labelling.active import Ask
        from tasks.storing.copying import refuse

        Ask(labels=labels, certify=certify, seeds=seeds, arms=arms)
        home = find_pool(lake, pool)
        refuse(home.home, "labelling")
        chosen(home, _config(config), category)

    try:
        with insistent(), embedded(check):
            from flows.label import label as flow

            path = str(config) if config is not None else None
            asked: Any = (category, str(lake), pool, path, labels, certify, seeds, arms, None, workers)
            (told,) = flow(*asked)
    except KeyboardInterrupt:
        raise Interrupted("interrupted; the lake is whole, and the same command goes on from here") from None
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
        return
    from flows.commands.label_texts import round_text

    show(round_text(told))


def _config(path: Path | None) -> Any:
    from flows.config import read_config

    return read_config(path) if path is not None else None


@app.command("import")
def import_labels(
    category: CategoryArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV file, or Label Studio's JSON export.")],
    lake: LakeOption = HERE,
    pool: PoolOption = None,
    form: FormatOption = "csv",
    annotator: Annotated[str | None, typer.Option(help="Whose labels they are, where the file does not say.")] = None,
) -> None:
    """Append a file's labels to the category's log; the same file twice adds nothing.

    Example: sluice label import weapon answers.csv --annotator ada
    """
    from tasks.classifying.given import log_path
    from tasks.labels.label_log import append

    home = find_pool(lake, pool)
    found = _brought(form, file, _destination(home, category), annotator or getpass.getuser())
    append(log_path(home, category), found.entries)
    tell(found.told())


def _brought(form: str, file: Path, into: Destination, annotator: str) -> Imported:
    from tasks.labels.label_files import import_csv
    from tasks.labels.label_studio import import_annotations

    if form == "csv":
        return import_csv(file, into, annotator)
    if form == "label-studio":
        return import_annotations(file, into)
    raise UsageError(f"--format: csv or label-studio was expected, not {form!r}")


def _destination(home: Lake, category: str) -> Destination:
    from tasks.classifying.given import log_path
    from tasks.labelling.active import newest_version
    from tasks.labels.label_files import Destination
    from tasks.labels.label_log import read_log
    from tasks.labels.rounds import read_rounds

    uids = frozenset(newest_version(home).table("samples", ["uid"])["uid"].to_pylist())
    return Destination(
        category, uids, read_log(log_path(home, category), category).entries, read_rounds(home, category)
    )


@app.command("export")
def export_labels(
    category: CategoryArgument,
    out: Annotated[Path, typer.Option("--out", help="The file to write.")],
    lake: LakeOption = HERE,
    pool: PoolOption = None,
    form: Annotated[str, typer.Option("--format", help="csv, log, or label-studio.")] = "csv",
) -> None:
    """Write what was labelled: csv, one row a sample with what stands; log, all that was said; or, as tasks for Label
    Studio, what the latest round asks.

    Example: sluice label export weapon --out weapon.csv
    """
    from tasks.classifying.given import log_path
    from tasks.labels import label_files
    from tasks.labels.label_log import read_log, standings

    home = find_pool(lake, pool)
    entries = read_log(log_path(home, category), category).entries
    if form == "csv":
        tell(f"wrote {label_files.export_standing(standings(entries), category, out):,} labels to {out}")
    elif form == "log":
        tell(f"wrote {label_files.export_log(entries, out):,} rows to {out}")
    elif form == "label-studio":
        tell(_write_tasks(home, category, out))
    else:
        raise UsageError(f"--format: csv, log or label-studio was expected, not {form!r}")


def _write_tasks(home: Lake, category: str, out: Path) -> str:
    from tasks.classifying.blocklist import blocked_rows
    from tasks.labels.label_studio import labelling_config, write_tasks
    from tasks.labels.rounds import latest_round
    from tasks.reporting.pictures import thumbnails

    asked = latest_round(home, category)
    if asked is None:
        raise UsageError(f"category {category!r} has no round yet; begin with `sluice label next {category}`")
    version = home.version(asked.version)
    table = version.table("samples", ["uid", "caption"])
    row = {uid: i for i, uid in enumerate(table["uid"].to_pylist())}
    hidden = blocked_rows(version)
    shown = {item.uid: row[item.uid] for item in asked.items if not hidden[row[item.uid]]}
    pictures = thumbnails(version, shown.values(), size=512)
    captions = dict(zip(shown, table.take(list(shown.values()))["caption"].to_pylist(), strict=True))
    written = write_tasks(out, asked, captions, lambda uid: pictures.get(shown[uid]) if uid in shown else None)
    told = asked.report["specification"]
    interface = out.with_suffix(".xml")
    interface.write_text(labelling_config(category, f"{told['counts']} Not: {told['counts_not']}"), "utf-8")
    left = f", {len(written.left_out):,} without a picture to show left out" if written.left_out else ""
    return f"wrote {written.tasks:,} tasks to {out}{left}, and the labelling interface to {interface}"


@app.command()
def status(
    category: CategoryArgument,
    lake: LakeOption = HERE,
    pool: PoolOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """How far labelling is: rounds, labels, disagreements, the certificate, and what another round would buy.

    Example: sluice label status weapon
    """
    from flows.commands.label_texts import status_text
    from flows.label import chosen
    from tasks.labelling.label_status import status_of

    home = find_pool(lake, pool)
    (wanted,) = chosen(home, _config(config), category)
    facts = status_of(home, wanted.category)
    if as_json:
        print(json.dumps(facts, indent=1, ensure_ascii=False))
    else:
        show(status_text(facts))


@app.command()
def plan(
    category: CategoryArgument,
    lake: LakeOption = HERE,
    pool: PoolOption = None,
    config: ConfigOption = None,
    labels: Annotated[list[int] | None, typer.Option("--labels", help="A budget; may be repeated.")] = None,
    as_json: JsonOption = False,
) -> None:
    """What a budget of labels could certify at best, before any is given.

    Example: sluice label plan weapon --labels 1000 --labels 3000
    """
    from flows.commands.label_texts import plan_text
    from flows.label import chosen
    from tasks.labelling.label_status import plan_of

    home = find_pool(lake, pool)
    (wanted,) = chosen(home, _config(config), category)
    facts = plan_of(home, wanted.category, wanted.folds, labels or [])
    if as_json:
        print(json.dumps(facts, indent=1, ensure_ascii=False))
    else:
        show(plan_text(facts))
