"""Secrets come from the environment or Prefect's blocks: refused on a command line and in TOML, hidden in texts."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from tasks.errors import ConfigError, SluiceError, Unavailable, UsageError

SHORTEST: Final = 8  # characters of a variable's value that is hidden: a shorter one would hide half the text
SHOWN: Final = "to Prefect's server, which shows it to whoever opens its pages"
_NAME: Final = re.compile(
    r"(?:^|[_.-])(?:secret|token|passw(?:or)?d|passphrase|credentials?|(?:api|access|private|secret)[_-]?key"
    r"|auth[_-]?string|notify[_-]?url|connection[_-]?url)(?:[_.-]|$)",
    re.IGNORECASE,
)
_TEMPLATE: Final = re.compile(r"\s*\{\{[^{}]*\}\}\s*")  # Prefect's, of a block or a variable: no secret, but its place
_PASSWORD: Final = re.compile(r"(?<=://)[^/@\s'\"]*:[^/@\s'\"]+(?=@)")  # of an address, with its user
_KNOWN: Final = re.compile(
    r"\b(?:AKIA[0-9A-Z]{16}|hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{36,}|pnu_[A-Za-z0-9]{30,}|xox[abprs]-[\w-]{20,})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)


def named_so(name: str) -> bool:
    """Whether an option, a key or a variable is called like a secret."""
    return _NAME.search(name) is not None


def held_in(text: str) -> bool:
    """Whether a text looks like a secret, or holds one: an address with a password, a key of a known form."""
    return _PASSWORD.search(text) is not None or _KNOWN.search(text) is not None


def refuse_arguments(arguments: Sequence[str]) -> None:
    """UsageError where a command line holds a secret: every user of the machine can read it there."""
    for place, argument in enumerate(arguments, 1):
        option = argument.partition("=")[0]
        if held_in(argument) or (option.startswith("--") and named_so(option.removeprefix("--"))):
            what = option if option.startswith("--") and option != argument else f"argument {place}"
            raise UsageError(
                f"{what} holds what looks like a secret, and everybody on this machine can read a command line; set it "
                "in the environment instead, where the documentation of the setting names a variable"
            )


def refuse_keys(values: Mapping[str, Any], where: str, goes: str = "into run records and manifests") -> None:
    """ConfigError where a configuration holds a secret: it `goes` where others read it."""
    for path, value in _leaves(values):
        if not isinstance(value, str) or _TEMPLATE.fullmatch(value):
            continue
        if named_so(path.rpartition(".")[2]) or held_in(value):
            raise ConfigError(
                f"{where}: {path} looks like a secret, and a configuration goes {goes}; take it out, change it where "
                "it is valid, and set the new one in the environment"
            )


def _leaves(values: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys with what is not a table or a list below them."""
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield from _leaves(value, f"{path}.{name}" if path else str(name))
    elif isinstance(values, list):
        for value in values:
            yield from _leaves(value, path)
    else:
        yield path, values


def hidden(text: str, environment: Mapping[str, str] | None = None) -> str:
    """A text without secrets: values of variables that are called so, passwords in addresses, keys of known forms."""
    found = os.environ if environment is None else environment
    values = [value for name, value in found.items() if named_so(name) and len(value) >= SHORTEST]
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, "***")
    return _KNOWN.sub("***", _PASSWORD.sub("***", text))


@contextmanager
def without_secrets() -> Iterator[None]:
    """Let an exception that tells a secret go on without it: Prefect's server keeps, and shows, what a run raised.

    One of ours stays what it is. Of another, what may pass by itself becomes Unavailable, the rest a SluiceError.
    """
    try:
        yield
    except Exception as problem:
        told = "".join(traceback.format_exception(problem))  # with what it came from
        if hidden(told) == told:
            raise
        if isinstance(problem, SluiceError):
            kind, text = type(problem), str(problem)
        else:
            passing = isinstance(problem, (ConnectionError, TimeoutError))
            kind, text = Unavailable if passing else SluiceError, f"{type(problem).__name__}: {problem}"
        raise kind(hidden(text)).with_traceback(problem.__traceback__) from None
