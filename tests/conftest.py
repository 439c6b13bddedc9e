"""For all tests: no telemetry; Hypothesis without deadlines, since machines are shared, and the same examples in CI."""

from __future__ import annotations

import os

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

from hypothesis import settings

settings.register_profile("sluice", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("sluice")
