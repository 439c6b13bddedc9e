"""The command `sluice`: thin commands over the flows and the lake."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.checks import self_check
from flows.checks.secrets import hidden
from flows.commands import audit as audit_command
from flows.commands import dry_run as dry_run_command
from flows.commands import forget as forget_commands
from flows.commands import keep as keep_commands
from flows.commands import label as label_commands
from flows.commands import preview as preview_commands
from flows.commands import search as search_commands
from flows.commands import serve as serve_command
from flows.commands.options import HERE, JsonOption, LakeOption, PoolOption, tell
from flows.commands.options import show as render
from tasks.errors import Interrupted, SluiceError, UsageError
from tasks.lake import Lake, find_pool

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
app.add_typer(label_commands.app, name="label")
app.command()(audit_command.audit)
preview_commands.register(app)
app.command()(search_commands.search)
app.command()(forget_commands.forget)
app.command()(forget_commands.verify)
keep_commands.register(app)
app.command()(serve_command.serve)

VersionArgument = Annotated[str, typer.Argument(metavar="V", help="A version's number, a tag, or latest.")]


@app.command()
def demo(
    lake: LakeOption = HERE,
    pool: Annotated[Path, typer.Option("--pool", help="Where the demo's images are drawn.")] = Path("demo-pool"),
    workers: Annotated[int | None, typer.Option(help="Processes; default one a core.")] = None,
) -> None:
    """Draw the emoji pool, curate it, and print the report.

    Example: sluice demo --lake ./lake
    """
    from infra.demo.font import find_font

    tell("Drawing the emoji pool …")
    font = find_font()
    from infra.demo.draw import CONFIG, draw_pool

    draw_pool(pool, font)
    outcome = _curate(str(pool), lake, None, pool / CONFIG.name, None, workers)
    _print_report(find_pool(lake, outcome["pool"]), str(outcome["version"]))


@app.command()
def curate(
    pool: Annotated[str, typer.Argument(metavar="POOL", help="A folder, shard, glob or brace list, or s3://bucket/…")],
    lake: LakeOption = HERE,
    name: Annotated[str | None, typer.Option("--pool", help="The pool's name; default the folder's.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="A TOML file.")] = None,
    dask: Annotated[str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler; default this machine.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes on this machine; default one a core.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Decide near-duplicates anew.")] = False,
    dry: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done, why, and how long.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take a pool through ingest, embed, filter, dedup, reweight and publish.

    Example: sluice curate ./my-pool --config my.toml
    """
    if dry:
        dry_run_command.tell_dry_run((pool, lake, name), config, fresh, as_json)
        return
    outcome = _curate(pool, lake, name, config, dask, workers, fresh)
    if as_json:
        print(json.dumps(outcome))
    elif outcome["status"] != "nothing new":
        _print_report(find_pool(lake, outcome["pool"]), str(outcome["version"]))


def _curate(
    pool: str,
    lake: Path,
    name: str | None,
    config: Path | None,
    dask: str | None,
    workers: int | None,
    fresh: bool = False,
) -> dict[str, Any]:
    from flows.serving.interrupts import insistent
    from flows.serving.server import embedded

    def check() -> None:
        """Say what is wrong with the call before a run begins."""
        from flows.config import check_declared, read_config
        from flows.runtime import check_address
        from tasks.reading.pools import list_shards
        from tasks.records.collector import collector

        check_declared(read_config(config))
        list_shards(pool)
        collector()
        if dask is not None:
            check_address(dask)
        if workers is not None and workers < 1:
            raise UsageError(f"--workers: at least 1 was expected, {workers} was found")

    try:
        with insistent(), embedded(check):
            from flows.curate import curate as flow

            settings = str(config) if config else None
            outcome: dict[str, Any] = flow(pool, str(lake), name, settings, dask, workers, fresh)
    except KeyboardInterrupt:
        raise Interrupted("interrupted; the lake is whole, and the same command goes on from here") from None
    return outcome


def _print_report(lake: Lake, version: str) -> None:
    from tasks.reporting.screen import screen

    render(screen(lake.version(version)))


@app.command()
def versions(lake: LakeOption = HERE, pool: PoolOption = None, as_json: JsonOption = False) -> None:
    """List a pool's versions, oldest first.

    Example: sluice versions --json
    """
    fields = ("version", "stage", "parent", "digest", "counts", "complete", "created_at")
    home = find_pool(lake, pool)
    rows = [{name: home.manifest(number)[name] for name in fields} for number in home.numbers()]
    if as_json:
        print("[" + ",\n ".join(json.dumps(row) for row in rows) + "]")
        return
    from rich.table import Table

    from tasks.keeping.tags import names

    called = names(home)
    heads = ("version", "stage", "from", "kept", "filtered", "duplicate", "quarantined", "digest", "made", "")
    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        counts = [f"{row['counts'][verdict]:,}" for verdict in heads[3:7]]
        number = f"{row['version']}{' ●' if row['complete'] else ''}"
        parent = "" if row["parent"] is None else str(row["parent"])
        made = row["created_at"][:16].replace("T", " ")
        tags = ", ".join(called.get(row["version"], []))
        table.add_row(number, row["stage"], parent, *counts, row["digest"][:8], made, tags)
    render(table)


@app.command()
def show(
    version: VersionArgument, lake: LakeOption = HERE, pool: PoolOption = None, as_json: JsonOption = False
) -> None:
    """What a version is made of: counts, gates, configuration, digests.

    Example: sluice show latest
    """
    found = find_pool(lake, pool).version(version)
    if as_json:
        print(json.dumps(found.manifest, indent=1, ensure_ascii=False))
        return
    from flows.commands.tables import show_text

    print(show_text(found))


@app.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A version.")],
    after: Annotated[str, typer.Argument(metavar="B", help="Another version.")],
    lake: LakeOption = HERE,
    pool: PoolOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which samples moved between two versions, and which settings changed.

    Example: sluice diff 5 latest
    """
    from flows.commands.tables import diff_text
    from tasks.records import history

    home = find_pool(lake, pool)
    found = history.diff(home.version(before), home.version(after))
    print(json.dumps(found, indent=1, ensure_ascii=False) if as_json else diff_text(found))


@app.command()
def why(
    uid: Annotated[str, typer.Argument(metavar="UID", help="A sample's uid, or its key where only one has it.")],
    version: Annotated[str, typer.Option("--version", help="A version's number, a tag, or latest.")] = "latest",
    lake: LakeOption = HERE,
    pool: PoolOption = None,
    as_json: JsonOption = False,
) -> None:
    """Why one sample is in a version, or why it is out.

    Example: sluice why 031f0bb60e75c57deeb8b23df90726b2
    """
    from flows.commands.tables import why_text
    from tasks.records import history

    found = history.why(find_pool(lake, pool).version(version), uid)
    print(json.dumps(found, indent=1, ensure_ascii=False) if as_json else why_text(found))


@app.command()
def export(
    version: VersionArgument,
    out: Annotated[Path, typer.Option("--out", help="The folder to write.")],
    form: Annotated[str, typer.Option("--format", help="parquet, webdataset, datacomp, kohya, croissant.")] = "parquet",
    factor: Annotated[float | None, typer.Option(help="Repeats per unit of weight (datacomp 1, kohya 4).")] = None,
    seed: Annotated[int, typer.Option(help="Of rounding repeats (datacomp, kohya).")] = 0,
    lake: LakeOption = HERE,
    pool: PoolOption = None,
) -> None:
    """Write a version for a trainer: one row a sample; tar shards of the survivors, byte for byte, with their weights;
    or each survivor as often as its weight says, for trainers that take no weights. Or, with croissant, for whoever
    takes the dataset over: one row a sample, the dataset card, and a description of both that loaders read.

    Example: sluice export latest --format webdataset --out ./curated
    """
    from tasks.exporting import export_datacomp, export_kohya, exports
    from tasks.reporting import croissant_export

    found = find_pool(lake, pool).version(version).whole()
    settings: dict[str, Any] = {"seed": seed} | ({} if factor is None else {"factor": factor})
    formats: dict[str, Callable[[], Path]] = {
        "parquet": lambda: exports.export_parquet(found, out),
        "webdataset": lambda: exports.export_webdataset(found, out),
        "datacomp": lambda: export_datacomp.export_datacomp(found, out, export_datacomp.Config(**settings)),
        "kohya": lambda: export_kohya.export_kohya(found, out, config=export_kohya.Config(**settings)),
        "croissant": lambda: croissant_export.export_croissant(found, out),
    }
    if form not in formats:
        raise UsageError(f"--format: {', '.join(formats)} were expected, {form!r} was found")
    tell(f"wrote {formats[form]()}")
    if form == "croissant" and (absent := croissant_export.lacking(found)):
        tell(f"Croissant asks for more: give {', '.join(absent)} under [publish], and curate again")


@app.command()
def dashboard(
    lake: LakeOption = HERE,
    pool: PoolOption = None,
    port: Annotated[int, typer.Option(help="The port it listens on.")] = 8501,
    address: Annotated[str, typer.Option(help="An IP address of this machine; 0.0.0.0 for all.")] = "127.0.0.1",
    host: Annotated[list[str] | None, typer.Option(help="A name that browsers come by; may be repeated.")] = None,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="A certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="Its key, PEM.")] = None,
    tls_in_front: Annotated[bool, typer.Option("--tls-in-front", help="A proxy in front speaks TLS.")] = False,
) -> None:
    """Open the dashboard: on this machine only, unless a token (SLUICE_DASHBOARD_TOKEN) and TLS let others in.

    Example: sluice dashboard --port 8501
    """
    from flows.serving.dashboard import serve
    from flows.serving.listening import Listen

    listen = Listen(port, address, tuple(host or ()), tls_cert, tls_key, tls_in_front)
    serve(lake, pool, listen)


def main() -> None:
    """Run the command; what went wrong is one message and an exit status, 1 for a run, 2 for the call."""
    try:
        self_check.check(sys.argv[1:], os.environ)
        app()
    except SluiceError as problem:
        tell(f"sluice: {hidden(str(problem))}")
        sys.exit(problem.exit_status)


if __name__ == "__main__":
    main()
