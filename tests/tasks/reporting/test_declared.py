import pytest

from tasks.reporting.declared import hub_license, is_license, license_address


@pytest.mark.parametrize(
    ("value", "hub", "address"),
    [
        ("CC-BY-4.0", {"license": "cc-by-4.0"}, "https://spdx.org/licenses/CC-BY-4.0.html"),
        (
            "CC-BY-NC-ND-2.5",
            {
                "license": "other", "license_name": "cc-by-nc-nd-2.5",
                "license_link": "https://spdx.org/licenses/CC-BY-NC-ND-2.5.html",
            },
            "https://spdx.org/licenses/CC-BY-NC-ND-2.5.html",
        ),
        (
            "https://a.example/terms",
            {"license": "other", "license_name": "custom", "license_link": "https://a.example/terms"},
            "https://a.example/terms",
        ),
    ],
)  # fmt: skip
def test_a_licence_is_an_address_for_croissant_and_a_name_for_the_hub(
    value: str, hub: dict[str, str], address: str
) -> None:
    assert is_license(value)
    assert hub_license(value) == hub
    assert license_address(value) == address


def test_no_licence_is_unknown_to_the_hub() -> None:
    assert hub_license("") == {"license": "unknown"}


@pytest.mark.parametrize("value", ["CC BY", "http://", "ftp://a.example", "https://a.example/<b>", '"', "MIT\n"])
def test_what_is_neither_identifier_nor_address_is_no_licence(value: str) -> None:
    assert not is_license(value)
