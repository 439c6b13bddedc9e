"""Text that people give in files: UTF-8, or an error that says where it is not."""

from __future__ import annotations

from pathlib import Path

from tasks.errors import SluiceError


def read_utf8(path: Path, what: str, error: type[SluiceError], unit: str = "row") -> str:
    """The file's text, without the mark that some editors begin it with.

    `what` names the file that was expected, `unit` what its lines are called. Raises `error`: no such file, or a byte
    that is not UTF-8, with its line.
    """
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise error(f"{path}: {what} was expected: {problem.strerror}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line, found = data[: problem.start].count(b"\n") + 1, data[problem.start : problem.start + 1]
        raise error(f"{path}, {unit} {line}: UTF-8 was expected, {found!r} was found; save it as UTF-8") from None
