"""A category's specification, inline or in a file of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.classifying.category_spec import Category, with_specification
from tasks.errors import ConfigError

SPEC = """
name = "knife"
counts = "A knife that a person could be hurt with."
counts_not = "Cutlery on a set table."
prompts = ["a photo of a knife", "a hand with a knife"]
recall = 0.95
labels = "knife.csv"
[subgroups]
women = ["woman", "women"]
"""


def test_a_specification_fills_what_the_configuration_leaves_out(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "knife.toml").write_text(SPEC)
    found = with_specification({"spec": "specs/knife.toml", "recall": 0.99}, tmp_path)
    assert found["recall"] == 0.99 and found["name"] == "knife" and "spec" not in found
    assert found["labels"] == str(tmp_path / "specs" / "knife.csv")
    category = Category(**{**found, "prompts": tuple(found["prompts"])})
    assert category.specification["counts"].startswith("A knife") and category.subgroups["women"] == ["woman", "women"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = 'fork'", "'knife' was expected, as the configuration says, 'fork'"),
        ("colour = 'red'", "unknown key 'colour'; known are: name, labels"),
        ("name = ", "is not TOML"),
    ],
)
def test_a_wrong_specification_is_named_with_its_file(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        with_specification({"spec": "s.toml", "name": "knife"}, tmp_path)


def test_a_specification_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: a category's specification was expected: No such file"):
        with_specification({"spec": "none.toml"}, tmp_path)


def test_labellers_read_paragraphs_whatever_the_file_s_line_breaks() -> None:
    category = Category("knife", counts="\nA blade\n  that cuts.\n\nAlso drawn.\n")
    assert category.specification == {"counts": "A blade that cuts.\n\nAlso drawn.", "counts_not": ""}
