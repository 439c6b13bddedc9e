"""Runs sql/<area>/<name>.sql on DuckDB in memory: tables come in as Arrow, values as bound parameters, never as text.

A database here is locked down: it loads no extension, sees no variable of the process, and, unless files are asked
for, reads no file either; its settings cannot be changed afterwards. It spills to a temporary folder that goes with it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

SQL = Path(__file__).resolve().parent.parent / "sql"
MEMORY = "2GB"  # beyond it DuckDB spills to the temporary folder


@cache
def statement(area: str, name: str) -> str:
    """The text of sql/<area>/<name>.sql."""
    return (SQL / area / f"{name}.sql").read_text("utf-8")


@dataclass(frozen=True)
class Database:
    """An open in-memory database."""

    connection: duckdb.DuckDBPyConnection

    def add(self, name: str, table: pa.Table) -> None:
        """Register an Arrow table under a name that the SQL files know."""
        self.connection.register(name, table)

    def keep(self, table: str, area: str, name: str, **parameters: Any) -> None:
        """Run a query and keep its rows as a table of this database, for the queries that follow."""
        if not table.isidentifier():
            raise ValueError(f"a table's name is an identifier, not {table!r}")
        self.connection.execute(f"create or replace table {table} as {statement(area, name)}", parameters)

    def run(self, area: str, name: str, **parameters: Any) -> pa.Table:
        """The rows of one query. Parameters are bound: `$name` in the SQL."""
        return self.connection.execute(statement(area, name), parameters).to_arrow_table()


@contextmanager
def database(
    tables: Mapping[str, pa.Table], *, read_files: bool = False, threads: int | None = None, memory: str = MEMORY
) -> Iterator[Database]:
    """A locked-down database with these tables.

    read_files: the queries may name local files. threads: default all that the process may use.
    memory: at most, in DuckDB's notation.
    """
    with tempfile.TemporaryDirectory(prefix="sluice-sql-") as spill:
        settings: dict[str, Any] = {
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
            "temp_directory": spill,
            "memory_limit": memory,
        }
        if threads is not None:
            settings["threads"] = threads
        with duckdb.connect(":memory:", config=settings) as connection:
            found = Database(connection)
            for name, table in tables.items():
                found.add(name, table)
            if not read_files:
                connection.execute("set enable_external_access = false")
            connection.execute("set lock_configuration = true")
            yield found
