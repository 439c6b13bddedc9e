"""Labels files: what is read, and what is said of one that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import LabelsError
from tasks.labels.labels import read_labels


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_rows_of_the_category_are_read_and_the_rest_is_ignored(tmp_path: Path) -> None:
    text = 'key,uid,label,category,note\r\n0,B,1,knife,x\r\n1,a,0, knife ,"y, z"\r\n\r\n2,a,unsure,gun,\r\n'
    found = read_labels(written(tmp_path, "\ufeff" + text), "knife")
    assert list(found.by_uid.items()) == [("a", False), ("b", True)]
    assert found.contradicting == ()


def test_of_contradicting_labels_the_positive_stands(tmp_path: Path) -> None:
    path = written(tmp_path, "uid,category,label\na,c,1\na,c,0\nb,c,0\nb,c,1\nb,c,0\nd,c,0\nd,c,0\n")
    found = read_labels(path, "c")
    assert found.by_uid == {"a": True, "b": True, "d": False}
    assert found.contradicting == ("a", "b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns uid, category, label were expected, found: an empty file"),
        ("uid,label\na,1\n", "columns uid, category, label were expected, found: uid, label"),
        ("uid,category,label\na,c,0\nb,c,maybe\n", r"row 3: label: 0 or 1 was expected, 'maybe' was found"),
        ("uid,category,label\na,c\n", r"row 2: label: 0 or 1 was expected, '' was found"),
        ("uid,category,label\n ,c,1\n", r"row 2: uid: a sample's uid was expected"),
        ("uid,category,label\na,gun,1\n", "rows of category 'c' were expected, found: gun"),
        ("uid,category,label\n", "rows of category 'c' were expected, found: no rows"),
        ('uid,category,label\na,c,1\n"b"x,c,1\n', "after row 2: not CSV"),
        (b"uid,category,label\na,c,1\nb,c,\xff\n", r"row 3: UTF-8 was expected, b'\\xff' was found"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_row_and_value(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(LabelsError, match=message) as problem:
        read_labels(written(tmp_path, text), "c")
    assert "labels.csv" in str(problem.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match=r"none\.csv: a labels file was expected: No such file"):
        read_labels(tmp_path / "none.csv", "c")
