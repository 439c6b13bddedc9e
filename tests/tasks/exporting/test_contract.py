from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.exporting.contract import categories, contract, contract_part, schema
from tasks.files import write_table
from tasks.lake import Version, open_lake
from tasks.samples import CONTRACT, SCORE, VERDICTS
from tests.tasks.decided_pool import decided, ingested, samples, write_tars


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    folder = tmp_path_factory.mktemp("contract")
    items = [*samples(17), ("jpg", b"", "an empty file")]
    draft = ingested(folder / "lake", write_tars(folder / "pool", items))
    uids = draft.table("samples", ["uid"])["uid"].to_pylist()
    changes = {
        1: {"verdict": "filtered", "stage": "filter", "reason": "romance"},
        3: {"verdict": "duplicate", "stage": "dedup", "reason": "near-duplicate", "duplicate_of": uids[0]},
    }
    return decided(draft, changes, {"weight": 1.0})


def scored(version: Version, names: list[str]) -> Version:
    for name in names:
        for part in version.parts:
            values = pa.array([0.25] * part.rows, pa.float32())
            write_table(version.lake.column_path(f"score.{name}", "k", part.part), pa.table([values], schema=SCORE))
    return version.derive(version.stage, columns={f"score.{name}": "k" for name in names})


def test_each_sample_that_ingest_saw_is_one_row_in_order(version: Version) -> None:
    table = contract(version)
    facts = version.table("samples", ["uid", "key"])
    assert table["uid"].to_pylist() == facts["uid"].to_pylist()
    assert table["key"].to_pylist() == facts["key"].to_pylist()
    assert set(table["verdict"].to_pylist()) == set(VERDICTS)
    assert table["shard"].to_pylist() == ["00000.tar"] * 12 + ["00001.tar"] * 6


def test_without_categories_the_columns_are_the_contracts(version: Version) -> None:
    assert contract(version).column_names == list(CONTRACT)


@given(names=st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), unique=True, max_size=4))
@settings(max_examples=15, deadline=None)
def test_scores_stand_alphabetically_after_the_reason(version: Version, names: list[str]) -> None:
    draft = scored(version, names)
    wanted = [f"score_{name}" for name in sorted(names)]
    assert categories(draft) == sorted(names)
    assert schema(draft).names == [*CONTRACT[:9], *wanted, *CONTRACT[9:]]
    assert contract_part(draft, draft.parts[1]).schema == schema(draft)


def test_the_parts_tables_are_the_whole_tables_slices(version: Version) -> None:
    whole = contract(version)
    assert contract_part(version, version.parts[1]).equals(whole.slice(12, 6).combine_chunks())


def test_an_empty_pool_has_the_columns_and_no_row(tmp_path: Path) -> None:
    empty = Version(open_lake(tmp_path, "none", "nowhere"))
    assert contract(empty).num_rows == 0
    assert contract(empty).column_names == list(CONTRACT)
