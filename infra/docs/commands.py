"""The page of the commands: what each does, an example, arguments and options, from the typer application itself."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from infra.docs.markdown import code, page, plain, table

EXAMPLE: Final = "Example: "
ROOT: Final = Path(__file__).parent.parent.parent


def commands_page(command: Any, errors: str) -> str:
    """command: what `typer.main.get_command` returns; errors: the docstring that draws the tree of exceptions."""
    found = dict(leaves(command))
    listed = table(("command", "what it does"), ((_link(name), _first(one)) for name, one in found.items()))
    return page(
        "Commands",
        "`sluice COMMAND --help` says the same. Results go to standard output, remarks to standard error. Exit status: "
        "0 done, 1 the run failed or a gate did, 2 the call was wrong and nothing was begun, 130 interrupted.",
        listed,
        *(_command(name, one) for name, one in found.items()),
        "## Errors",
        _tree(errors),
    )


def leaves(command: Any, name: str = "sluice") -> Iterator[tuple[str, Any]]:
    """Full name → command, for every command that can be run; groups are not."""
    inner: Mapping[str, Any] | None = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for word, one in sorted(inner.items()):
        if not one.hidden:
            yield from leaves(one, f"{name} {word}")


def example(command: Any) -> str:
    """The runnable example in a command's help; empty where it has none."""
    lines = (line.strip() for line in inspect.cleandoc(command.help or "").splitlines())
    return next((line.removeprefix(EXAMPLE) for line in lines if line.startswith(EXAMPLE)), "")


def _command(name: str, command: Any) -> str:
    said = inspect.cleandoc(command.help or "").partition(EXAMPLE)[0]
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    usage = " ".join([name, *(_metavar(one) for one in arguments), *(["[OPTIONS]"] if options else [])])
    parts = [
        f"## {name}",
        plain(" ".join(said.split())),
        f"    {usage}\n\nFor example:\n\n    {example(command)}",
        table(("argument", "what it is"), ((code(_metavar(one)), plain(one.help or "")) for one in arguments)),
        table(("option", "default", "what it does"), map(_option, options)),
    ]
    return "\n\n".join(part for part, wanted in zip(parts, (1, 1, 1, arguments, options), strict=True) if wanted)


def _option(one: Any) -> tuple[str, str, str]:
    named = ", ".join(code(f"{word} {_metavar(one)}".strip()) for word in one.opts)
    return named, "required" if one.required else _default(one.default), plain(one.help or "")


def _metavar(one: Any) -> str:
    if one.param_type_name == "argument":
        return str(one.metavar or one.name.upper())
    if isinstance(one.default, bool):
        return ""
    kind = str(one.display_type(None)).upper()  # STR, LIST[INT]
    return str(one.metavar or kind.removeprefix("LIST[").rstrip("]").replace("STR", "TEXT"))


def _default(value: Any) -> str:
    """Nothing where the option's absence is the default: flags, and what is None."""
    if isinstance(value, Path) and value.is_absolute():
        value = value.relative_to(ROOT)  # a file of ours: not where this machine has it
    return "" if value is None or value is False or value == [] else code(str(value))


def _first(command: Any) -> str:
    said = " ".join(inspect.cleandoc(command.help or "").partition(EXAMPLE)[0].split())
    return plain(said.partition(". ")[0].rstrip("."))


def _link(name: str) -> str:
    return f"[`{name}`](#{name.replace(' ', '-')})"


def _tree(errors: str) -> str:
    """The indented tree of the docstring, and the sentence after it."""
    _, _, rest = inspect.cleandoc(errors).partition("\n\n")
    return rest
