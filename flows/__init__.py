"""What runs, in which order."""

import os

from flows.checks.telemetry import OFF

# Before Prefect is imported anywhere: it reads them then. No telemetry, and time for a server on a slow machine.
os.environ.update(OFF)
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "90")
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")  # a failure is said once, in our words
os.environ.setdefault("PREFECT_LOGGING_INTERNAL_LEVEL", "CRITICAL")  # what a lost server was not told
