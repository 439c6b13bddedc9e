from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import UsageError
from tasks.storing.addresses import copies, is_copy, is_plain, located, name_of, shown


def test_a_folder_stays_a_folder(tmp_path: Path) -> None:
    assert located(tmp_path) == tmp_path and located("lake") == Path("lake")
    assert not is_copy(tmp_path) and shown(tmp_path) == str(tmp_path)


def test_an_address_is_a_folder_of_the_copy_and_comes_back_as_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_CACHE", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://key:secret@store.example:9000/")
    place = located("s3://team/lakes/a")
    assert place == tmp_path.resolve() / "s3" / "store.example:9000" / "team" / "lakes" / "a"
    assert located(Path("s3://team/lakes/a")) == place
    assert is_copy(place) and name_of(place / "x.json") == "team/lakes/a/x.json"
    assert shown(place) == shown("s3://team/lakes/a/") == "s3://team/lakes/a"


def test_two_stores_have_two_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    first = copies()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9001")
    assert copies() != first
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert copies().name == "amazonaws.com"


@pytest.mark.parametrize("text", ["s3://", "s3://team", "s3://Team/x", "s3://team/../x", "s3://team/a//b", "s3:/x/y"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"an address such as s3://bucket/folder was expected"):
        located(text)


@given(st.text(max_size=30))
def test_a_name_that_is_plain_leads_nowhere_but_down(name: str) -> None:
    if is_plain(name):
        assert Path("/copy", name).resolve().is_relative_to("/copy") and Path("/copy", name) != Path("/copy")
    for part in ("..", ".", "", "\\", "\0"):
        assert not is_plain(f"{name}/{part}")
