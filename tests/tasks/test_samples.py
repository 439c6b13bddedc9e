import hashlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import samples

SHA = hashlib.sha256(b"image").hexdigest()


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("uid", "url", "expected"),
    [
        ("0123456789abcdef0123456789abcdef", "https://pool.example", "0123456789abcdef0123456789abcdef"),
        ("0123456789ABCDEF0123456789ABCDEF", None, "0123456789abcdef0123456789abcdef"),
        ("0123456789abcdef", "https://pool.example", md5("https://pool.example")),
        ("0" * 32 + "\n", "https://pool.example", md5("https://pool.example")),
        (12345678901234567890123456789012, "https://pool.example", md5("https://pool.example")),
        (None, "", md5(SHA + "key")),
        (None, None, md5(SHA + "key")),
        (None, ["a list"], md5(SHA + "key")),
    ],
)
def test_a_uid_is_the_input_s_else_of_the_url_else_of_content_and_key(uid: object, url: object, expected: str) -> None:
    assert samples.uid_of(uid, url, SHA, "key") == expected


@given(st.one_of(st.none(), st.text(), st.integers()), st.one_of(st.none(), st.text()), st.text())
def test_a_uid_is_always_32_hex_digits(uid: object, url: object, key: str) -> None:
    found = samples.uid_of(uid, url, SHA, key)
    assert len(found) == 32
    assert set(found) <= set("0123456789abcdef")


def test_a_url_with_half_a_surrogate_pair_has_a_uid() -> None:
    assert len(samples.uid_of(None, "https://pool.example/\ud83d", SHA, "key")) == 32


def test_verdicts_that_none_has_are_counted_as_zero() -> None:
    decision = pa.table({"verdict": ["kept", "quarantined", "kept"]})
    assert samples.count_verdicts(decision) == {"kept": 2, "filtered": 0, "duplicate": 0, "quarantined": 1}
