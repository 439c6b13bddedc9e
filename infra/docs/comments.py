"""Reads what stands beside things in source code: the comment of a dataclass's field, of a schema's column."""

from __future__ import annotations

import ast
import inspect
import io
import textwrap
import tokenize
from types import ModuleType
from typing import Any


def fields(kind: Any) -> dict[str, str]:
    """Name → comment of a dataclass's fields: the one at the end of the line, or of the lines that it takes."""
    source = textwrap.dedent(inspect.getsource(kind))
    (found,) = ast.parse(source).body
    assert isinstance(found, ast.ClassDef)
    beside = _by_line(source)
    out = {}
    for node in found.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            out[node.target.id] = " ".join(beside[line] for line in lines if line in beside)
    return out


def columns(module: ModuleType, name: str) -> dict[str, str]:
    """Column → comment of the schema that the module assigns to `name`: tuples of a column's name and its type."""
    source = inspect.getsource(module)
    beside, out = _by_line(source), {}
    for node in ast.walk(_assigned(ast.parse(source), name)):
        if isinstance(node, ast.Tuple) and node.elts and isinstance(node.elts[0], ast.Constant):
            out[str(node.elts[0].value)] = beside.get(node.end_lineno or node.lineno, "")
    return out


def opening(path_text: str, mark: str = "--") -> str:
    """The comment lines with which a file begins, as one text."""
    lines = []
    for line in path_text.splitlines():
        if not line.startswith(mark):
            break
        lines.append(line.removeprefix(mark).strip())
    return " ".join(lines)


def _assigned(tree: ast.Module, name: str) -> ast.expr:
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            assert node.value is not None
            return node.value
    raise LookupError(f"an assignment to {name} with a type was expected, none was found")


def _by_line(source: str) -> dict[int, str]:
    """Line number → the comment on it, without its mark."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
