"""Notifications of failed gates and stalled runs: Prefect automations, kept in a file, told to a block of the server.

    SLUICE_NOTIFY_BLOCK   a notification block that the server has, such as slack-webhook/data-team
    SLUICE_NOTIFY_URL     or a webhook that takes {"text": …} by POST: Slack's, Mattermost's, one of your own

The address is a secret: it comes from the environment, and the server keeps it encrypted, as a block's secret.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import yaml

from flows.checks.secrets import SHOWN, refuse_keys
from tasks.errors import ConfigError, UsageError

BLOCK: Final = "sluice-notifications"
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def check_notify() -> str | None:
    """How people are to be notified: the variable that says so, or None. UsageError for an address that is none."""
    block, address = os.environ.get("SLUICE_NOTIFY_BLOCK", ""), os.environ.get("SLUICE_NOTIFY_URL", "")
    if block and address:
        raise UsageError("SLUICE_NOTIFY_BLOCK and SLUICE_NOTIFY_URL are both set; unset one")
    if block and block.count("/") != 1:
        raise UsageError(f"SLUICE_NOTIFY_BLOCK: type/name was expected, as in slack-webhook/data-team; found {block!r}")
    parts = urlsplit(address)
    if address and not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)):
        raise UsageError("SLUICE_NOTIFY_URL: an https:// address was expected (http:// on this machine only)")
    return "SLUICE_NOTIFY_BLOCK" if block else "SLUICE_NOTIFY_URL" if address else None


def read_automations(path: Path) -> list[dict[str, Any]]:
    """The file's automations, their notifications without a block yet. ConfigError where one is none, or a secret."""
    from prefect.events.schemas.automations import AutomationCore
    from pydantic import ValidationError

    try:
        found = yaml.safe_load(path.read_text("utf-8"))["automations"]
        refuse_keys({"automations": found}, str(path), SHOWN)
        for one in found:
            AutomationCore.model_validate(told_to(one, UUID(int=0)))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError) as problem:
        raise ConfigError(f"{path}: a list `automations` was expected: {problem}") from None
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(str(item) for item in first["loc"])
        raise ConfigError(f"{path}: {one.get('name')!r}: {place}: {first['msg']}") from None
    return list(found)


def told_to(automation: dict[str, Any], block: UUID) -> dict[str, Any]:
    """The automation with the block in each of its notifications."""
    actions = [
        {**action, "block_document_id": str(block)} if action.get("type") == "send-notification" else action
        for action in automation.get("actions", [])
    ]
    return {**automation, "actions": actions}


def put(automations: list[dict[str, Any]]) -> None:
    """Create the automations on the server, or bring those of the same names up to date."""
    from prefect.client.orchestration import get_client
    from prefect.events.schemas.automations import AutomationCore

    block = _block()
    with get_client(sync_client=True) as client:
        for one in automations:
            wanted = AutomationCore.model_validate(told_to(one, block))
            there = client.read_automations_by_name(wanted.name)
            if there:
                client.update_automation(there[0].id, wanted)
            else:
                client.create_automation(wanted)


def _block() -> UUID:
    """The block that notifies. UsageError where the server has none of that name."""
    from prefect.blocks.core import Block
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.types import SecretDict

    name = os.environ.get("SLUICE_NOTIFY_BLOCK", "")
    if not name:
        webhook = CustomWebhookNotificationBlock(
            name=BLOCK,
            url="{{address}}",
            json_data={"text": "{{subject}}\n{{body}}"},
            headers=None,
            cookies=None,
            secrets=SecretDict({"address": os.environ["SLUICE_NOTIFY_URL"]}),
        )
        return webhook.save(BLOCK, overwrite=True)  # type: ignore[return-value]
    try:
        found = Block.load(name)._block_document_id  # type: ignore[union-attr]
    except ValueError:
        raise UsageError(
            f"SLUICE_NOTIFY_BLOCK: Prefect's server has no block {name!r}; make it in its UI, under Blocks"
        ) from None
    assert found is not None
    return found
