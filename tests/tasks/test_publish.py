import dataclasses
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tasks import publish
from tasks.errors import ConfigError
from tasks.exporting.contract import contract
from tasks.lake import Version, open_lake
from tests.tasks.decided_pool import curated, ingested, samples, serial, write_tars


@pytest.fixture
def version(tmp_path: Path) -> Version:
    return curated(tmp_path / "lake", write_tars(tmp_path / "pool", samples(24)))


def files(version: Version) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in version.artifact("published").iterdir()}


def test_the_artifact_holds_the_table_the_report_the_card_and_the_words(version: Version) -> None:
    done = publish.run(version, publish.Config(), serial)
    assert done.stage == "publish"
    assert done.columns == version.columns
    reviewed = ["duplicates_review.csv", "duplicates_review.parquet"]
    assert done.summary["publish"]["files"] == ["README.md", *reviewed, "report.html", "samples.parquet", "words.csv"]
    assert done.summary["publish"]["rows"] == 24
    assert done.summary["publish"]["bytes"] == sum(map(len, files(done).values()))
    assert pq.read_table(done.artifact("published") / "samples.parquet").equals(contract(version))


def test_the_same_version_gives_the_same_files_in_another_lake(version: Version, tmp_path: Path) -> None:
    other = curated(tmp_path / "lake2", tmp_path / "pool")
    one, two = (publish.run(v, publish.Config(feature=("clock",)), serial) for v in (version, other))
    assert one.artifacts == two.artifacts
    assert files(one) == files(two)


def test_work_that_is_there_is_not_done_again(version: Version) -> None:
    done = publish.run(version, publish.Config(), serial)
    mark = done.artifact("published") / "README.md"
    mark.write_text("as it was left")
    again = publish.run(version, publish.Config(), serial)
    assert mark.read_text() == "as it was left"
    assert again.artifacts == done.artifacts


@pytest.mark.parametrize("stage", ["filter", "dedup", "reweight", "embed"])
def test_what_the_report_tells_is_part_of_the_key(version: Version, stage: str) -> None:
    changed = version.derive(stage, summary={**version.summary[stage], "note": "another"})
    one, two = (publish.run(v, publish.Config(), serial).artifacts["published"] for v in (version, changed))
    assert one != two


def test_nothing_in_the_files_or_in_the_version_names_this_machine(version: Version, tmp_path: Path) -> None:
    done = publish.run(version, publish.Config(), serial)
    told = b"".join(files(done).values()) + json.dumps([dict(done.config), dict(done.summary)]).encode()
    assert str(tmp_path).encode() not in told


def test_a_version_without_audit_or_samples_is_published_without_words(tmp_path: Path) -> None:
    plain = ingested(tmp_path / "lake", write_tars(tmp_path / "pool", samples(3)))
    empty = Version(open_lake(tmp_path / "lake", "empty", "nowhere"))
    for draft, rows in ((plain, 3), (empty, 0)):
        done = publish.run(draft, publish.Config(), serial)
        assert done.summary["publish"]["files"] == ["README.md", "report.html", "samples.parquet"]
        assert done.summary["publish"]["rows"] == rows


def test_a_featured_word_without_a_letter_is_refused() -> None:
    with pytest.raises(ConfigError, match="feature"):
        publish.Config(feature=("…",))


def test_the_configuration_is_recorded(version: Version) -> None:
    done = publish.run(version, publish.Config(feature=("clock",), pictures=False), serial)
    assert done.config["publish"] == dataclasses.asdict(publish.Config(feature=("clock",), pictures=False))
