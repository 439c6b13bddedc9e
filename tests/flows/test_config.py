"""A run's configuration in TOML: what is left out has a default, what is wrong is named with its key and value."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.config import CurateConfig, check_declared, parse_config, read_config
from tasks.errors import ConfigError, LabelsError

TABLES = [field.name for field in dataclasses.fields(CurateConfig)]
CATEGORY = '[[filter.category]]\nname = "{}"\nlabels = "{}"\n'


def read(folder: Path, toml: str | bytes) -> CurateConfig:
    """The configuration of a file in `folder` that says `toml`."""
    path = folder / "run.toml"
    path.write_bytes(toml if isinstance(toml, bytes) else toml.encode())
    return read_config(path)


def refused(folder: Path, toml: str | bytes) -> str:
    """What is said of it."""
    with pytest.raises(ConfigError) as problem:
        read(folder, toml)
    return str(problem.value)


def test_no_file_and_an_empty_file_are_the_defaults(tmp_path: Path) -> None:
    assert read_config(None) == read(tmp_path, "") == read(tmp_path, "[dedup]\n# nothing\n") == CurateConfig()


def test_what_is_given_changes_and_the_rest_keeps_its_default(tmp_path: Path) -> None:
    config = read(tmp_path, '[dedup]\nthreshold = 1\n[audit]\nkeywords = ["woman", "man"]\n')
    assert config.dedup == dataclasses.replace(CurateConfig().dedup, threshold=1.0)
    assert config.audit.keywords == ("woman", "man")
    assert config.gates == CurateConfig().gates


def test_several_categories_are_read_in_order_with_labels_beside_the_file(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "b.csv"
    toml = CATEGORY.format("a", "labels/a.csv") + "recall = 0.5\n" + CATEGORY.format("b", elsewhere)
    first, second = read(tmp_path, toml).filter.category
    assert (first.name, first.recall, first.labels) == ("a", 0.5, str(tmp_path / "labels" / "a.csv"))
    assert (second.name, second.labels) == ("b", str(elsewhere))


def test_labels_are_beside_the_file_wherever_the_command_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "run.toml").write_text(CATEGORY.format("a", "a.csv"))
    monkeypatch.chdir(tmp_path)
    (category,) = read_config(Path("configs/run.toml")).filter.category
    assert category.labels == str(tmp_path / "configs" / "a.csv")


@pytest.mark.parametrize("name", ["model", "pretrained", "embeddings"])
def test_a_model_or_folder_beside_the_file_is_found_and_a_name_stays_a_name(name: str, tmp_path: Path) -> None:
    (tmp_path / "tiny.json").write_text("{}")
    assert getattr(read(tmp_path, f'[embed]\n{name} = "tiny.json"').embed, name) == str(tmp_path / "tiny.json")
    assert getattr(read(tmp_path, f'[embed]\n{name} = "ViT-B-32"').embed, name) == "ViT-B-32"
    assert getattr(read(tmp_path, f'[embed]\n{name} = ""').embed, name) == ""


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[dedupe]\n", "unknown key 'dedupe'; did you mean 'dedup'?"),
        ("[dedup]\ntreshold = 0.9\n", "unknown key 'dedup.treshold'; did you mean 'threshold'?"),
        ("[gates]\nmax_filterd = 0.9\n", "unknown key 'gates.max_filterd'; did you mean 'max_filtered'?"),
        (CATEGORY.format("a", "a.csv") + "reccall = 1\n", "unknown key 'filter.category.reccall'; did you mean 'rec"),
        ("[publish]\nzzz = 1\n", "unknown key 'publish.zzz'; known are: feature, pictures"),
        ("threshold = 0.9\n", "unknown key 'threshold'; known are: ingest, embed, filter"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_that_is_known(toml: str, said: str, tmp_path: Path) -> None:
    text = refused(tmp_path, toml)
    assert said in text and str(tmp_path / "run.toml") in text


@given(
    name=st.text().filter(lambda name: name not in TABLES),
    value=st.sampled_from([{}, {"threshold": 0.9}, 1, "x", [], [{}]]),
)
def test_any_unknown_table_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as problem:
        parse_config({name: value}, Path("folder"), "run.toml")
    assert f"unknown key {name!r}" in str(problem.value)


@given(table=st.sampled_from(TABLES), value=st.sampled_from([1, 0.5, True, "x", [], [1], [{}], [{"seed": 1}]]))
def test_what_is_no_table_is_refused_where_a_table_belongs(table: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"run.toml: \[{table}\] should be a table of "):
        parse_config({table: value}, Path("folder"), "run.toml")


@pytest.mark.parametrize(
    ("toml", "key", "value"),
    [
        ('[dedup]\nthreshold = "0.9"\n', "dedup.threshold", "'0.9'"),
        ("[dedup]\nthreshold = true\n", "dedup.threshold", "True"),
        ("[dedup]\nclusters = 2.5\n", "dedup.clusters", "2.5"),
        ("[ingest]\nmax_pixels = true\n", "ingest.max_pixels", "True"),
        ('[audit]\nkeywords = "woman"\n', "audit.keywords", "'woman'"),
        ('[audit]\nkeywords = ["woman", 3]\n', "audit.keywords.1", "3"),
        ("[publish]\npictures = 'no'\n", "publish.pictures", "'no'"),
        ("[embed]\nmodel = 3\n", "embed.model", "3"),
        ("[filter]\ncategory = 3\n", "filter.category", ""),
        ("[filter]\ncategory = [3]\n", "filter.category", ""),
        ('[[filter.category]]\nname = "a"\nlabels = 3\n', "filter.category.0.labels", "3"),
        ('[filter.category]\nname = "a"\nlabels = "a.csv"\n', "filter.category", "'a.csv'"),
        ("[dedup]\nseed = 2026-01-01\n", "dedup.seed", "2026-01-01"),
    ],
)
def test_a_value_of_a_wrong_type_is_named_with_its_key(toml: str, key: str, value: str, tmp_path: Path) -> None:
    text = refused(tmp_path, toml)
    assert str(tmp_path / "run.toml") in text and key in text and value in text


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[dedup]\nthreshold = 1.5\n", "dedup.threshold: a cosine in (0, 1] was expected, 1.5 was found"),
        ("[dedup]\nthreshold = nan\n", "dedup.threshold: a cosine in (0, 1] was expected, nan was found"),
        ("[gates]\nmax_filtered = -0.1\n", "gates.max_filtered: a share between 0 and 1 was expected, -0.1 was found"),
        (CATEGORY.format("a", "a.csv") * 2, "filter.category: each name once was expected, 'a' was found again"),
        (CATEGORY.format("A B", "a.csv"), "filter.category 'A B'"),
    ],
)
def test_a_value_out_of_range_is_refused_by_the_stage_that_owns_it(toml: str, said: str, tmp_path: Path) -> None:
    assert said in refused(tmp_path, toml)


@pytest.mark.parametrize("content", ["not toml", "[dedup", "a = 1\na = 2", "name = 'ä'".encode("latin-1"), b"\0"])
def test_what_is_not_toml_is_refused_with_the_files_name(content: str | bytes, tmp_path: Path) -> None:
    assert f"{tmp_path / 'run.toml'} is not TOML" in refused(tmp_path, content)


def test_a_file_that_is_not_there_or_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no configuration"):
        read_config(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path)


def test_a_gate_on_the_certificate_of_a_category_that_is_not_declared_is_refused(tmp_path: Path) -> None:
    wanted = {"filter": {"category": [{"name": "knife"}]}, "gates": {"min_certified_recall": {"kinfe": 0.9}}}
    with pytest.raises(ConfigError, match=r"'kinfe', but no filter\.category has that name; known are: knife"):
        parse_config(wanted, tmp_path, "c.toml")
    wanted["gates"] = {"max_certified_elusion": {"knife": 0.001}}
    assert parse_config(wanted, tmp_path, "c.toml").gates.certified == {"knife"}


def test_a_file_of_term_groups_is_sought_beside_the_configuration(tmp_path: Path) -> None:
    config = parse_config({"audit": {"groups": "people.toml"}}, tmp_path, "c.toml")
    assert config.audit.groups == str(tmp_path / "people.toml")


def test_files_of_targets_and_groups_are_sought_beside_the_configuration(tmp_path: Path) -> None:
    values = {"reweight": {"targets": "targets.toml", "groups": "people.toml"}}
    config = parse_config(values, tmp_path, "c.toml")
    assert config.reweight.targets == str(tmp_path / "targets.toml")
    assert config.reweight.groups == str(tmp_path / "people.toml")


TARGET = '[[independent]]\ngroup = "woman"\nattribute = "verdict"\n'
PEOPLE = '[groups.woman]\nterms = ["woman"]\n[attributes.verdict]\nclassifier = "sexual"\nabove = 0.5\n'
GATE = '[[gates.audit]]\nfigure = "pmi"\nof = "{}"\nattribute = "{}"\nat_most = 1.0\n'


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[reweight]\ntargets = "none.toml"\n', "none.toml: a file of targets was expected"),
        ('[audit]\ngroups = "none.toml"\n', "none.toml: a file of term groups was expected"),
        ('[audit]\ngroups = "p.toml"\n[reweight]\ntargets = "t.toml"\n', "scores for 'sexual', and no filter.category"),
        ('[audit]\ngroups = "p.toml"\n' + GATE.format("woman", "sexy"), "no attribute 'sexy' is audited"),
        ('[audit]\ngroups = "p.toml"\n' + GATE.format("girl", "verdict"), "there is no term group 'girl'"),
        ('[dedup]\nreference = "r"\n[embed]\nembeddings = "e"\n', "dedup.reference: images can be compared"),
        (GATE.format("woman", "verdict"), "no attribute 'verdict' is audited; [audit] groups names a file with: none"),
    ],
)
def test_what_is_declared_is_checked_before_any_work(toml: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(PEOPLE)
    (tmp_path / "t.toml").write_text(TARGET)
    with pytest.raises(ConfigError) as problem:
        check_declared(read(tmp_path, toml))
    assert said in str(problem.value)


@pytest.mark.parametrize(
    ("toml", "named"),
    [
        (CATEGORY.format("a", "none.csv"), "none.csv"),
        ('[filter]\noverrides = "none.csv"\n', "none.csv"),
        ('[filter.blocklist]\nsha256 = "none.txt"\n', "none.txt"),
    ],
)
def test_files_that_a_filter_names_are_read_before_any_work(tmp_path: Path, toml: str, named: str) -> None:
    (tmp_path / "my.toml").write_text(toml)
    with pytest.raises((ConfigError, LabelsError), match=named):
        check_declared(read_config(tmp_path / "my.toml"))
