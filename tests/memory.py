"""How much memory a process took."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path


def peak_memory() -> int:
    """Bytes that were resident in this process at most, mapped files included.

    On Linux from /proc: getrusage's ru_maxrss survives exec there, so that a small child of a process of 1.6 GB says
    1.6 GB.
    """
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)
        assert found, f"{status} has no line VmHWM, which Linux writes there"
        return int(found[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
