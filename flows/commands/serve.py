"""`sluice serve`: the flows on their schedules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from flows.commands.options import tell

INFRA: Final = Path(__file__).parents[2] / "infra"


def serve(
    config: Annotated[Path, typer.Option("--config", help="The deployments.")] = INFRA / "prefect.yaml",
    automations: Annotated[
        Path, typer.Option(help="What people are notified of, if SLUICE_NOTIFY_BLOCK or SLUICE_NOTIFY_URL is set.")
    ] = INFRA / "automations.yaml",
    port: Annotated[int, typer.Option(help="Of the server that is started where PREFECT_API_URL names none.")] = 4200,
) -> None:
    """Register the deployments with Prefect's server, and run what is due, until Ctrl-C.

    Example: sluice serve --config infra/prefect.yaml
    """
    from flows.serving.automations import check_notify, put, read_automations
    from flows.serving.deployments import read_deployments
    from flows.serving.serve import listing
    from flows.serving.serve import serve as run
    from flows.serving.server import full
    from flows.shown.links import check_links

    deployments, wanted, notify = read_deployments(config), read_automations(automations), check_notify()
    check_links()
    with full(port) as address:
        if notify is not None:
            put(wanted)
        tell(f"Prefect's UI: {address}")
        tell("\n".join(listing(deployments)))
        tell(f"  notifications by {notify}" if notify else "  no notifications: SLUICE_NOTIFY_URL names nobody")
        run(deployments)
