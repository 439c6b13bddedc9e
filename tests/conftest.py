"""For all tests: no telemetry, and no deadline for Hypothesis, since machines are shared."""

from __future__ import annotations

import os

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

from hypothesis import settings

settings.register_profile("sluice", deadline=None)
settings.load_profile("sluice")
