"""What our processes and their children tell their makers: nothing. Set before any of these libraries is imported."""

from __future__ import annotations

from typing import Final

OFF: Final = {
    "DO_NOT_TRACK": "1",  # Prefect's client, Hugging Face, and whoever else heeds it
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",  # open_clip fetches weights by its library
}
