"""Links from a run in the Prefect UI to the dashboard and the report, where the environment says their addresses.

SLUICE_DASHBOARD_URL   the dashboard's address, such as http://127.0.0.1:8501
SLUICE_LAKE_URL        where a web server serves the folder of all pools; a browser opens no file from a web page
"""

from __future__ import annotations

import os
from urllib.parse import quote, urlencode, urlsplit

from tasks.errors import UsageError
from tasks.lake import Version


def check_links() -> None:
    """UsageError for an address that is none, before any work."""
    for name in ("SLUICE_DASHBOARD_URL", "SLUICE_LAKE_URL"):
        _address(name)


def links(version: Version) -> dict[str, tuple[str, str]]:
    """Key → address and text, of what is configured."""
    found = {}
    where = f"{version.lake.pool}, version {version.number}"
    if dashboard := _address("SLUICE_DASHBOARD_URL"):
        asked = urlencode({"pool": version.lake.pool, "version": version.number})
        found["dashboard"] = (f"{dashboard}/?{asked}", f"The dashboard of {where}")
    if (lake := _address("SLUICE_LAKE_URL")) and "published" in version.artifacts:
        report = version.artifact("published").relative_to(version.lake.root) / "report.html"
        found["report"] = (f"{lake}/{quote(report.as_posix())}", f"The report of {where}")
    return found


def _address(name: str) -> str:
    value = os.environ.get(name, "").rstrip("/")
    parts = urlsplit(value)
    if parts.password or parts.query:
        raise UsageError(f"{name}: an address without password or query was expected: every reader of the UI sees it")
    if value and (parts.scheme not in ("http", "https") or not parts.netloc):
        raise UsageError(f"{name}: an address such as http://127.0.0.1:8501 was expected, {value!r} was found")
    return value
