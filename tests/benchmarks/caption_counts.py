"""The whole vocabulary's counts of captions, by Polars or by Apache Spark: peers of tests/benchmarks/bench_audit.py.

Stands alone, for a Python that has the peers. Each line on the standard input is answered by one run: seconds, words,
and the sum of their counts. Polars once cuts captions at spaces and once by a pattern, as words are cut here.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable

os.environ["POLARS_MAX_THREADS"] = "2"

PATTERN = r"[\p{L}\p{N}]+(?:'[\p{L}\p{N}]+)*"


def polars(files: str, pattern: bool) -> Callable[[], tuple[int, int]]:
    import polars as pl

    text = pl.col("caption").str.to_lowercase()
    words = text.str.extract_all(PATTERN) if pattern else text.str.split(" ")

    def run() -> tuple[int, int]:
        lists = pl.scan_parquet(files).select(words.list.unique().explode().alias("word"))
        counts = lists.group_by("word").len().collect(engine="streaming")
        return len(counts), int(counts["len"].sum())

    return run


def spark(files: str) -> Callable[[], tuple[int, int]]:
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as f

    builder = SparkSession.builder.master("local[2]").config("spark.driver.memory", "4g")
    for name, value in {
        "ui.enabled": "false",
        "ui.showConsoleProgress": "false",
        "sql.shuffle.partitions": "4",
    }.items():
        builder = builder.config(f"spark.{name}", value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")

    def run() -> tuple[int, int]:
        lists = session.read.parquet(files).select(f.array_distinct(f.split(f.lower("caption"), " ")).alias("words"))
        counts = lists.select(f.explode("words").alias("word")).groupBy("word").count().collect()
        return len(counts), sum(row["count"] for row in counts)

    return run


def main() -> None:
    engine, files = sys.argv[1:3]
    makers = {
        "polars, at spaces": lambda: polars(files, False),
        "polars, by a pattern": lambda: polars(files, True),
        "spark": lambda: spark(files),
    }
    run = makers[engine]()
    for _ in sys.stdin:
        start = time.perf_counter()
        words, total = run()
        print(json.dumps({"seconds": time.perf_counter() - start, "words": words, "total": total}), flush=True)


if __name__ == "__main__":
    main()
