from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import ConfigError
from tasks.groups.drawn_labels import DrawnLabels, read_drawn, write_drawn
from tasks.groups.term_groups import read_groups

HEAD = "uid,label,groups,bin,drawn,among,edges,seed\n"
ROW = "ab,1,woman,0 to 0.2,3,man; woman,0.2; 0.6,7\n"
TOML = '[groups.woman]\nterms = ["woman"]\n[attributes.x]\nclassifier = "sexual"\nabove = 0.5\nlabels = "labels.csv"\n'


def test_what_is_written_is_read_as_the_design_and_the_labels(tmp_path: Path) -> None:
    row = {"groups": "", "bin": "0 to 0.2", "drawn": 2, "among": "man; woman", "edges": "0.2; 0.6", "seed": 7}
    rows = [{"uid": "CD", "label": "", **row}, {"uid": "ab", "label": 1, **row}]
    write_drawn(tmp_path / "labels.csv", rows)
    assert read_drawn(tmp_path / "labels.csv") == DrawnLabels(
        ("man", "woman"), (0.2, 0.6), 7, (("ab", 1), ("cd", None)), (("", "0 to 0.2", 2),)
    )
    with pytest.raises(ConfigError, match=r"labels\.csv: a new file was expected; it may hold labels"):
        write_drawn(tmp_path / "labels.csv", rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            r"the columns uid, label, .* were expected, uid, label, .*, seed not found: only labels of samples",
        ),
        ("uid,label\nab,1\n", r"groups, bin, drawn, among, edges, seed not found"),
        (HEAD, r"a row a drawn sample was expected, none was found"),
        (HEAD + ROW + ROW.replace("ab,1", "ab,0"), r"line 3: ab has two different labels; decide for one"),
        (HEAD + ROW.replace("ab,1", "ab,maybe"), r"line 2: label: 1, 0 or nothing was expected, 'maybe' was found"),
        (HEAD + ROW.replace("ab,1", ",1"), r"line 2: uid: a sample's uid was expected, nothing was found"),
        (HEAD + ROW + ROW.replace(",7", ",8"), r"line 3: seed: '7' was expected, as in the rows above, '8' was found"),
        (
            HEAD + ROW.replace("0.2; 0.6", "0.6; 0.2"),
            r"edges: ascending scores from 0 to 1 were expected, '0\.6; 0\.2'",
        ),
        (HEAD + ROW.replace("0.2; 0.6", "x"), r"edges and seed: numbers were expected"),
        (HEAD + ROW.replace("0.2; 0.6", "nan"), r"ascending scores from 0 to 1 were expected"),
        (
            HEAD + ROW + ROW.replace("ab,1", "cd,1").replace(",3,", ",4,"),
            r"line 3: drawn: 3 was expected, '4' was found",
        ),
        (HEAD + ROW.replace(",3,", ",-,"), r"line 2: drawn: a number was expected, '-' was found"),
        (HEAD + '"ab', r"not a CSV file in UTF-8"),
    ],
)
def test_a_wrong_file_is_named_with_its_line_and_value(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=message) as raised:
        read_drawn(tmp_path / "labels.csv")
    assert str(tmp_path) in str(raised.value)


def test_a_groups_file_names_labels_relative_to_itself_and_its_digest_is_of_them(tmp_path: Path) -> None:
    (tmp_path / "people.toml").write_text(TOML, "utf-8")
    with pytest.raises(ConfigError, match=r"labels\.csv: a file of drawn labels was expected: No such file"):
        read_groups(tmp_path / "people.toml")
    (tmp_path / "labels.csv").write_text(HEAD + ROW, "utf-8")
    with pytest.raises(ConfigError, match=r"attributes\.'x': labels: there is no group 'man'; known are: woman"):
        read_groups(tmp_path / "people.toml")
    (tmp_path / "people.toml").write_text(TOML + '[groups.man]\nterms = ["man"]\n', "utf-8")
    found = read_groups(tmp_path / "people.toml")
    assert found.attributes[0].drawn is not None and found.attributes[0].drawn.labels == (("ab", 1),)
    (tmp_path / "labels.csv").write_text(HEAD + ROW.replace("ab,1", "ab,0"), "utf-8")
    assert read_groups(tmp_path / "people.toml").digest != found.digest


@pytest.mark.parametrize("value", ["3", '""', '["labels.csv"]'])
def test_labels_that_are_no_path_are_refused(tmp_path: Path, value: str) -> None:
    (tmp_path / "people.toml").write_text(TOML.replace('"labels.csv"', value), "utf-8")
    with pytest.raises(ConfigError, match=r"attributes\.'x': labels: the path of a CSV file was expected"):
        read_groups(tmp_path / "people.toml")
