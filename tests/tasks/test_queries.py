from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks import queries
from tasks.queries import database


@pytest.fixture(autouse=True)
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An area `here` of three queries in place of the project's."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "larger.sql").write_text(
        "-- one row per number\nselect a from number where a > $than order by a"
    )
    (tmp_path / "here" / "named.sql").write_text("select word from word where word = $word")
    (tmp_path / "here" / "count.sql").write_text("select count(*) as n from large")
    monkeypatch.setattr(queries, "SQL", tmp_path)
    queries.statement.cache_clear()
    yield
    queries.statement.cache_clear()


def test_a_query_reads_the_tables_it_was_given_with_bound_parameters() -> None:
    with database({"number": pa.table({"a": [3, 1, 2]})}) as db:
        assert db.run("here", "larger", than=1).to_pydict() == {"a": [2, 3]}


def test_a_parameter_that_is_sql_stays_a_value() -> None:
    hostile = "x'; drop table word; --"
    with database({"word": pa.table({"word": ["x", hostile]})}) as db:
        assert db.run("here", "named", word=hostile).to_pydict() == {"word": [hostile]}
        assert len(db.run("here", "named", word="x")) == 1


def test_kept_rows_are_a_table_of_the_queries_that_follow() -> None:
    with database({"number": pa.table({"a": [3, 1, 2]})}) as db:
        db.keep("large", "here", "larger", than=1)
        assert db.run("here", "count").to_pydict() == {"n": [2]}
        with pytest.raises(ValueError, match="identifier"):
            db.keep("large; drop table number", "here", "larger", than=1)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from '{file}'",
        "copy (select 1) to '{file}.csv'",
        "attach '{file}.db'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set memory_limit = '1TB'",
    ],
)
def test_a_database_reaches_nothing_outside_and_its_settings_are_locked(tmp_path: Path, sql: str) -> None:
    file = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": [1]}), file)
    with database({}) as db, pytest.raises(duckdb.Error):
        db.connection.execute(sql.format(file=file))


def test_variables_of_the_process_are_no_tables() -> None:
    secret = pa.table({"a": [1]})
    with database({}) as db, pytest.raises(duckdb.CatalogException, match="secret"):
        db.connection.execute("select * from secret")
    assert len(secret) == 1


def test_files_are_read_where_they_are_asked_for(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "x.parquet")
    with database({}, read_files=True) as db:
        found = db.connection.execute("select sum(a) from read_parquet($file)", {"file": str(tmp_path / "x.parquet")})
        assert found.fetchall() == [(3,)]


def test_memory_and_threads_are_bounded_as_told() -> None:
    with database({}, threads=1, memory="64MiB") as db:
        assert db.connection.execute("select current_setting('threads')").fetchone() == (1,)
        assert db.connection.execute("select current_setting('memory_limit')").fetchone() == ("64.0 MiB",)
