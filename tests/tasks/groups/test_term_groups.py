from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.errors import ConfigError
from tasks.groups.term_groups import Attribute, Group, TermGroups, parse_groups, read_groups

TEXT = """
[groups.woman]
terms = ["Woman", "women"]
[groups."dark skin"]
terms = ["dark skin tone"]
[groups."dark-skinned woman"]
all = ["woman", "dark skin"]
[groups."origin/asian/japanese"]
terms = ["japanese", "女性"]
[groups."not dark"]
all = ["woman"]
without = ["dark skin"]
[attributes.sexualised]
terms = ["sexy"]
[attributes.flagged]
classifier = "sexual"
above = 0.5
"""


def parse(**values: Any) -> TermGroups:
    return parse_groups(values, "people.toml")


def groups(**tables: Any) -> TermGroups:
    return parse(groups={name.replace("_", "/"): table for name, table in tables.items()})


def test_a_file_gives_groups_with_the_parents_of_each_path_and_attributes(tmp_path: Path) -> None:
    (tmp_path / "people.toml").write_text(TEXT, "utf-8")
    found = read_groups(tmp_path / "people.toml")
    assert [group.name for group in found.groups] == [
        *("dark skin", "dark-skinned woman", "not dark"),
        *("origin", "origin/asian", "origin/asian/japanese", "woman"),
    ]
    assert found.groups[-1] == Group("woman", ("woman", "women"))
    assert found.groups[-2].terms == ("japanese", "女 性")
    assert found.groups[3] == Group("origin")
    assert found.groups[2] == Group("not dark", (), ("woman",), ("dark skin",))
    assert found.attributes == (Attribute("flagged", (), "sexual", 0.5), Attribute("sexualised", ("sexy",)))


def test_the_digest_is_of_the_meaning_and_not_of_order_spelling_or_path(tmp_path: Path) -> None:
    one = groups(woman={"terms": ["woman", "café girl"]}, man={"terms": ["man"]})
    other = groups(man={"terms": ["MAN"]}, woman={"terms": ["Cafe\u0301 girl", "Woman"]})
    (tmp_path / "x.toml").write_text('[groups.man]\nterms = ["man"]\n[groups.woman]\nterms = ["woman", "café girl"]')
    assert one.digest == other.digest == read_groups(tmp_path / "x.toml").digest
    assert one.digest != groups(woman={"terms": ["woman"]}, man={"terms": ["man"]}).digest


def test_terms_below_a_group_are_its_own_and_of_what_it_demands_or_holds() -> None:
    found = groups(
        a={"terms": ["a"]}, a_b={"terms": ["b"]}, c={"terms": ["c"]}, both={"all": ["a"], "without": ["c"]}
    ).terms_below()
    assert found["a"] == found["both"] == {"a", "b"}
    assert found["a/b"] == {"b"}


def test_regular_expressions_and_sql_in_a_term_are_text() -> None:
    found = groups(odd={"terms": ["'; drop table token; --", "[a-z]+", "%wom_n%"]})
    assert found.groups[0].terms == ("a z", "drop table token", "wom n")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"group": {}}, r"people\.toml: unknown key 'group'; known are: groups, attributes"),
        ({"groups": 3}, r"tables \[groups.NAME\] were expected, 3 was found"),
        ({"groups": {"a": {"words": ["a"]}}}, r"groups\.'a': unknown key 'words'; known are: terms, all, without"),
        ({"groups": {"a": "woman"}}, r"groups\.'a': a table with terms, all, without was expected, 'woman' was found"),
        ({"groups": {"a": {}}}, r"groups\.'a': `terms` or `all` was expected, none was found"),
        ({"groups": {"a": {"terms": []}}}, r"groups\.'a': terms: at least one was expected"),
        ({"groups": {"a": {"terms": "woman"}}}, r"terms: a list of texts was expected, 'woman' was found"),
        ({"groups": {"a": {"terms": ["…!"]}}}, r"terms: '…!' has no letter or digit"),
        ({"groups": {"a": {"terms": ["It’s", "it's"]}}}, r"'It’s' and \"it's\" are one term, \"it's\"; keep one"),
        ({"groups": {"a": {"all": ["b"]}}}, r"groups\.'a': there is no group 'b'; known are: none"),
        ({"groups": {"a//b": {"terms": ["x"]}}}, r"groups\.'a//b': a name of letters and digits"),
        ({"groups": {"a; --": {"terms": ["x"]}}}, r"groups\.'a; --': a name of letters"),
        ({"groups": {"a": {"terms": ["x"]}, "A": {"terms": ["y"]}}}, r"groups: 'a' and 'A' are one name"),
        ({"groups": {"b": {"terms": ["x"]}, "a": {"all": ["b", "b"]}}}, r"groups\.'a': all: 'b' and 'b' are one name"),
        ({"groups": {"a": {"all": ["b"]}, "b": {"all": ["a"]}}}, r"'a' needs 'b' needs 'a'|'b' needs 'a' needs 'b'"),
        ({"groups": {"a": {"terms": ["x"]}, "a/b": {"all": ["a"]}}}, r"a group cannot rest on itself"),
        ({"attributes": {"a": {}}}, r"either `terms`, or `classifier` and `above`, was expected; nothing was found"),
        ({"attributes": {"a": {"classifier": "x"}}}, r"was expected; classifier was found"),
        ({"attributes": {"a": {"terms": ["x"], "above": 0.5}}}, r"was expected; terms, above was found"),
        ({"attributes": {"a": {"classifier": 1, "above": 0.5}}}, r"classifier: a category's name was expected, 1"),
        ({"attributes": {"a": {"classifier": "x", "above": 1.2}}}, r"at least 0 and below 1 was expected, 1\.2"),
        ({"attributes": {"a": {"classifier": "x", "above": True}}}, r"at least 0 and below 1 was expected, True"),
    ],
)
def test_what_is_wrong_is_named_with_its_file_its_group_and_its_value(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        parse(**values)
    assert str(raised.value).startswith("people.toml: ")


@pytest.mark.parametrize(
    "odd",
    [
        {"all": ["woman"], "without": ["woman"]},
        {"all": ["nurse"], "without": ["woman"]},
        {"all": ["asian/thai"], "without": ["asian"]},
    ],
    ids=["itself", "what a demanded group demands", "the path above"],
)
def test_a_group_that_can_hold_no_caption_is_a_contradiction(odd: dict[str, Any]) -> None:
    tables = {"woman": {"terms": ["woman"]}, "nurse": {"terms": ["nurse"], "all": ["woman"]}}
    with pytest.raises(ConfigError, match=r"groups\.'odd': `without` .* no caption could be in it; drop one"):
        groups(**tables, asian_thai={"terms": ["thai"]}, odd=odd)


def test_a_demanded_group_that_others_join_from_below_does_not_imply_its_own_demands() -> None:
    tables = {"woman": {"terms": ["woman"]}, "nurse": {"terms": ["nurse"], "all": ["woman"]}}
    found = groups(**tables, nurse_male={"terms": ["male nurse"]}, x={"all": ["nurse"], "without": ["woman"]})
    assert [group.name for group in found.groups] == ["nurse", "nurse/male", "woman", "x"]


def test_a_file_that_is_not_there_or_not_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: a file of term groups was expected: No such file"):
        read_groups(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("groups = ")
    with pytest.raises(ConfigError, match=r"bad\.toml is not TOML"):
        read_groups(tmp_path / "bad.toml")


def test_the_starter_groups_can_be_read_and_say_that_they_are_an_example() -> None:
    path = Path(__file__).parents[3] / "infra" / "groups" / "people.toml"
    found = read_groups(path)
    names = {group.name for group in found.groups}
    assert {"gender/woman", "gender/man", "age/child", "skin tone/dark", "origin/asian/japanese"} <= names
    assert found.attributes
    assert "example" in path.read_text("utf-8").splitlines()[0]
