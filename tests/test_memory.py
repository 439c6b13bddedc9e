from __future__ import annotations

import subprocess
import sys

import numpy as np

from tests.memory import peak_memory

MANY = 2**26  # float64: 512 MB


def peak_of(program: str) -> int:
    program = f"import numpy as np; from tests.memory import peak_memory; {program}; print(peak_memory())"
    return int(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout)


def test_what_a_process_held_and_gave_back_counts() -> None:
    alone = peak_of("pass")
    assert peak_of(f"held = np.ones({MANY}); del held") > alone + 8 * MANY - 2**26


def test_what_the_process_held_that_started_it_does_not_count() -> None:
    held = np.ones(MANY)
    assert peak_memory() > held.nbytes
    assert peak_of("pass") < held.nbytes / 2
