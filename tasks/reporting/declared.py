"""What a team declares of the dataset it hands on, since no pool tells it: licence, makers, page, citation."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from tasks.lake import Version
from tasks.reporting.account import plain

UNKNOWN: Final = (
    "Not stated. Images and captions keep the licences of where they came from; ask whoever made the pool before using "
    "them."
)
_SPDX: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_ADDRESS: Final = re.compile(r"https?://[^\s\"'<>\\^`{|}]+")

HUB: Final = frozenset((  # of the licences that the Hugging Face hub has names for, those that data has
    "apache-2.0", "mit", "unlicense", "c-uda", "odc-by", "odbl", "pddl", "gfdl", "cc", "cc0-1.0",
    "cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0",
    "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nd-4.0",
    "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0",
    "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0",
))  # fmt: skip


class Declared(NamedTuple):
    """Empty where nothing was declared."""

    license: str = ""  # an SPDX identifier or an address
    creators: tuple[str, ...] = ()
    url: str = ""
    cite_as: str = ""


def declared(version: Version) -> Declared:
    """As the version's configuration has it."""
    told = version.config.get("publish", {})
    creators = tuple(plain(name) for name in told.get("creators", ()))
    return Declared(told.get("license", ""), creators, told.get("url", ""), plain(told.get("cite_as", "")))


def is_license(value: str) -> bool:
    return bool(_SPDX.fullmatch(value)) or is_address(value)


def is_address(value: str) -> bool:
    return bool(_ADDRESS.fullmatch(value))


def license_address(value: str) -> str:
    """The page of a licence: Croissant asks for an address."""
    return value if is_address(value) else f"https://spdx.org/licenses/{value}.html"


def hub_license(value: str) -> dict[str, str]:
    """The licence as the hub's dataset cards name it."""
    if not value:
        return {"license": "unknown"}
    if value.lower() in HUB:
        return {"license": value.lower()}
    name = "custom" if is_address(value) else value.lower()
    return {"license": "other", "license_name": name, "license_link": license_address(value)}
