"""What weights repair where the right ones are known, how long they take, and what memory.

Run: python -m tests.benchmarks.bench_weights [--seeds 3] [--samples 10000] [--speed 200000] [--only quality|speed]
In full: --seeds 20 --samples 10000 20000 --speed 1000000
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from tests.benchmarks.weight_quality import quality_lines
from tests.benchmarks.weight_speed import SKLEARN_ROWS, memory_lines, sklearn_lines, speed_lines, target_lines


def lines(options: argparse.Namespace) -> Iterator[str]:
    if options.only != "speed":
        for samples in options.samples:
            yield from quality_lines(options.seeds, samples)
    if options.only != "quality":
        yield from sklearn_lines(min(SKLEARN_ROWS, options.speed))
        yield from speed_lines(options.speed)
        yield from target_lines(options.speed)
        yield from memory_lines((options.speed, 2 * options.speed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, nargs="+", default=[10_000])
    parser.add_argument("--speed", type=int, default=200_000)
    parser.add_argument("--only", choices=("quality", "speed"))
    for line in lines(parser.parse_args()):
        print(line, flush=True)


if __name__ == "__main__":
    main()
