"""What is written is read back by mlcroissant, the reference implementation of Croissant 1.1."""

import hashlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from tasks import committing, publish
from tasks.errors import ConfigError, LakeError, UsageError
from tasks.exporting.contract import contract
from tasks.exporting.exports import export_webdataset
from tasks.lake import Version
from tasks.reporting.croissant_export import export_croissant, lacking
from tests.tasks.decided_pool import clock, curated, ingested, samples, shape, write_tars

HOSTILE = '</script><b>x</b> {"@id": "evil"} $x$ \u202e ` | [a](http://evil.example) \\ \'\'\''
DECLARED = {
    "license": "CC-BY-4.0", "creators": ("Example Lab",), "url": "https://data.example/pool",
    "cite_as": "@misc{pool}",
}  # fmt: skip


def committed(draft: Version, **config: Any) -> Version:
    draft = publish.run(draft, publish.Config(**config), lambda function, items: [function(item) for item in items])
    facts = {
        "parent": None, "previous": 1, "run": "6a0d5f0e-34a5-4f3c-9d52-7f0a5f7a2b11", "gate": [], "code": "abc123",
        "created_at": "2026-11-21T10:00:00+00:00", "complete": True, "inputs": None,
    }  # fmt: skip
    return committing.commit(draft, committing.content(draft), facts)


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    folder = tmp_path_factory.mktemp("croissant")
    return committed(curated(folder / "lake", write_tars(folder / "pool", samples(24))))


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """mlcroissant's Dataset, which keeps what it unpacks in a folder of the test's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlcroissant
        from etils import epath
        from mlcroissant._src.operation_graph.operations import extract

    monkeypatch.setattr(extract, "EXTRACT_PATH", epath.Path(tmp_path / "unpacked"))
    yield mlcroissant.Dataset


def described(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def records(dataset: Any, name: str) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas' and tarfile's, of code that is not ours
        return list(dataset.records(name))


def test_mlcroissant_finds_no_error_and_nothing_to_recommend(version: Version, tmp_path: Path, loaded: Any) -> None:
    dataset = loaded(export_croissant(version, tmp_path / "out"))
    issues = dataset.metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())
    assert dataset.metadata.ctx.conforms_to.value == "http://mlcommons.org/croissant/1.1"
    assert described(tmp_path / "out" / "croissant.json")["conformsTo"] == [
        "http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0",
    ]  # fmt: skip


def test_its_records_are_the_contracts_rows(version: Version, tmp_path: Path, loaded: Any) -> None:
    found = records(loaded(export_croissant(version, tmp_path / "out")), "samples")
    rows = contract(version).to_pylist()
    assert len(found) == len(rows) == 24
    for record, row in zip(found, rows, strict=True):
        plain = {name.removeprefix("samples/"): value for name, value in record.items()}
        assert list(plain) == list(row)
        for name, value in row.items():
            expected = value.encode() if isinstance(value, str) else value
            assert plain[name] == (pytest.approx(expected) if isinstance(expected, float) else expected), name


def test_tars_of_the_same_version_are_described_and_their_images_load(
    version: Version, tmp_path: Path, loaded: Any
) -> None:
    out = tmp_path / "out"
    export_webdataset(version, out)
    dataset = loaded(export_croissant(version, out))
    assert dataset.metadata.ctx.issues.warnings == set()
    kept = [row for row in contract(version).to_pylist() if row["verdict"] == "kept"]
    images = {record["images/key"].decode(): record["images/image"] for record in records(dataset, "images")}
    captions = {r["captions/key"].decode(): r["captions/caption"].decode() for r in records(dataset, "captions")}
    assert {key: image.size for key, image in images.items()} == {r["key"]: (r["width"], r["height"]) for r in kept}
    assert captions == {row["key"]: row["caption"] for row in kept}
    facts = {r["decided/key"].decode(): json.loads(r["decided/facts"]) for r in records(dataset, "decided")}
    assert {key: one["uid"] for key, one in facts.items()} == {row["key"]: row["uid"] for row in kept}
    assert 'path: "**/*.tar"' in (out / "README.md").read_text("utf-8")


def test_every_file_is_named_with_its_size_and_digest(version: Version, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_webdataset(version, out)
    files = [one for one in described(export_croissant(version, out))["distribution"] if "sha256" in one]
    assert {one["contentUrl"] for one in files} == {"samples.parquet", "README.md", "00000.tar", "00001.tar"}
    for one in files:
        data = (out / one["contentUrl"]).read_bytes()
        assert one["sha256"] == hashlib.sha256(data).hexdigest() and one["contentSize"] == f"{len(data)} B"


def test_the_fields_on_responsible_use_tell_what_the_version_knows(version: Version, tmp_path: Path) -> None:
    found = described(export_croissant(version, tmp_path / "out"))
    assert "24 samples" in found["rai:dataCollection"] and "2 shards" in found["rai:dataCollection"]
    steps = " ".join(found["rai:dataPreprocessingProtocol"])
    assert "Recall 97.5%, at least 88% at 95% confidence" in steps and "95% interval 98% to 99.7%" in steps
    assert "of 40 images that they belong to the category, of 120" in found["rai:dataAnnotationProtocol"][0]
    assert "1 samples are labelled both yes and no" in found["rai:dataAnnotationAnalysis"][0]
    assert "trained on drawn clocks" in found["rai:dataLimitations"][0]
    assert "1 parts came after the certificate" in " ".join(found["rai:dataLimitations"])
    assert "Not certified: at least 94.9%" in found["rai:dataSocialImpact"]
    assert any(line.startswith("What was removed more often.") for line in found["rai:dataBiases"])
    assert "abc123" in " ".join(found["rai:machineAnnotationTools"])
    assert "rai:annotatorDemographics" not in found and "rai:dataCollectionTimeframe" not in found


def test_where_it_comes_from_is_told_by_digest_and_the_article_is_cited(version: Version, tmp_path: Path) -> None:
    found = described(export_croissant(version, tmp_path / "out"))
    assert [one["@id"] for one in found["prov:wasDerivedFrom"]] == [f"urn:sha256:{p.digest}" for p in version.parts]
    assert found["prov:wasGeneratedBy"]["@id"] == f"urn:uuid:{version.manifest['run']}"
    assert found["identifier"] == f"sha256:{version.manifest['digest']}" and found["version"] == "1.0.0"
    assert found["identifier"] in found["citeAs"] and "pre-training mitigations" in found["citation"]
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert version.manifest["digest"] in card and "DALL·E 2 pre-training mitigations" in card


def test_a_licence_that_nobody_stated_is_unknown_and_what_is_asked_for_is_named(
    version: Version, tmp_path: Path
) -> None:
    found = described(export_croissant(version, tmp_path / "out"))
    assert found["license"]["name"] == "unknown" and "creator" not in found and "url" not in found
    assert lacking(version) == ["license", "creators", "url"]
    assert 'license: "unknown"' in (tmp_path / "out" / "README.md").read_text("utf-8")


def test_what_the_team_declares_is_told(tmp_path: Path, loaded: Any) -> None:
    version = committed(curated(tmp_path / "lake", write_tars(tmp_path / "pool", samples(12))), **DECLARED)
    dataset = loaded(path := export_croissant(version, tmp_path / "out"))
    found, metadata = described(path), dataset.metadata
    assert (found["license"], found["url"]) == ("https://spdx.org/licenses/CC-BY-4.0.html", DECLARED["url"])
    assert found["creator"] == [{"@type": "sc:Organization", "name": "Example Lab"}]
    assert metadata.cite_as == "@misc{pool}" and metadata.license == [found["license"]]
    assert (metadata.ctx.issues.errors, metadata.ctx.issues.warnings, lacking(version)) == (set(), set(), [])


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"license": "do what you like"}, "publish.license: an SPDX identifier"),
        ({"license": "javascript:alert(1)"}, "publish.license"),
        ({"url": "data.example"}, "publish.url: an address"),
    ],
)
def test_a_licence_or_a_page_that_is_none_is_refused(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        publish.Config(**config)


def test_a_version_that_was_only_read_can_be_described_too(tmp_path: Path, loaded: Any) -> None:
    draft = ingested(tmp_path / "lake", write_tars(tmp_path / "pool", samples(3)))
    dataset = loaded(path := export_croissant(committed(draft), tmp_path / "out"))
    assert (dataset.metadata.ctx.issues.errors, dataset.metadata.ctx.issues.warnings) == (set(), set())
    found = described(path)
    assert {"Near-duplicates were not searched.", "The captions were not audited for bias."} <= set(
        found["rai:dataLimitations"]
    )
    assert "rai:dataBiases" not in found and "rai:dataAnnotationProtocol" not in found
    assert len(records(dataset, "samples")) == 3


def test_hostile_names_and_captions_are_text(tmp_path: Path, loaded: Any) -> None:
    items = [("png", clock(n), f"{HOSTILE} woman") for n in range(6)] + [("jpg", shape(n), "a man") for n in range(6)]
    pool = write_tars(tmp_path / "pool", items)
    (pool / "00000.tar").rename(pool / "a <b> 'c' $d$ |.tar")
    version = committed(curated(tmp_path / "lake", pool), creators=(HOSTILE,), cite_as=HOSTILE)
    out = tmp_path / "out"
    export_webdataset(version, out)
    text = export_croissant(version, out).read_text("utf-8")
    assert "<" not in text
    dataset = loaded(out / "croissant.json")
    assert (dataset.metadata.ctx.issues.errors, dataset.metadata.ctx.issues.warnings) == (set(), set())
    assert {one["@id"] for one in described(out / "croissant.json")["recordSet"]} == {
        "samples", "images", "captions", "decided",
    }  # fmt: skip
    assert len(records(dataset, "images")) > 0
    captions = {record["samples/caption"].decode() for record in records(dataset, "samples")}
    assert f"{HOSTILE} woman" in captions
    card = (out / "README.md").read_text("utf-8")
    page = MarkdownIt("commonmark", {"html": True}).render(card.partition("---\n\n")[2])
    for unsafe in ("<b", "<script", "<a ", "</script", "\u202e"):
        assert unsafe not in page, unsafe


def test_exporting_again_gives_the_same_bytes(version: Version, tmp_path: Path) -> None:
    export_croissant(version, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    export_croissant(version, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_folder_with_anything_else_in_it_is_refused_before_anything_is_written(
    version: Version, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        export_croissant(version, tmp_path / "file")
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match=r"already holds mine\.txt"):
        export_croissant(version, other)
    assert [path.name for path in other.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("text", ["{}", "no JSON", '{"format": "kohya", "version": 1}', '{"format": "webdataset"}'])
def test_an_export_of_something_else_is_refused(version: Version, tmp_path: Path, text: str) -> None:
    (tmp_path / "export.json").write_text(text)
    with pytest.raises(UsageError, match="a webdataset export of version 1 was expected"):
        export_croissant(version, tmp_path)


def test_a_description_of_another_version_and_a_lost_tar_are_refused(version: Version, tmp_path: Path) -> None:
    (tmp_path / "croissant.json").write_text('{"identifier": "sha256:0"}')
    with pytest.raises(UsageError, match="describes another version"):
        export_croissant(version, tmp_path)
    (tmp_path / "croissant.json").unlink()
    export_webdataset(version, tmp_path)
    (tmp_path / "00001.tar").unlink()
    with pytest.raises(UsageError, match=r"lacks 00001\.tar"):
        export_croissant(version, tmp_path)


def test_a_version_whose_files_are_gone_is_refused(tmp_path: Path) -> None:
    version = committed(ingested(tmp_path / "lake", write_tars(tmp_path / "pool", samples(3))))
    version.column_path("decision", version.parts[0]).unlink()
    with pytest.raises(LakeError, match="lacks"):
        export_croissant(version, tmp_path / "out")
    assert not (tmp_path / "out").exists()
