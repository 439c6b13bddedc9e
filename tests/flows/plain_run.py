"""`python -m tests.flows.plain_run POOL LAKE`: one run of the flow on a local cluster, to be killed by a test."""

from __future__ import annotations

import sys
from pathlib import Path

from flows.runtime import Runtime
from tests.flows.runs import curated

if __name__ == "__main__":
    print(curated(Path(sys.argv[1]), Path(sys.argv[2]), runtime=Runtime(workers=2))["digest"])
