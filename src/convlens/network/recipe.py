"""How a network was loaded, as JSON can say it: what `convlens.load` takes to load it again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Unsaid(str):
    """The name of what JSON cannot hold, such as a function: no argument of `convlens.load` is like it."""


def recipe(**arguments: Any) -> dict[str, Any]:
    """The arguments of `convlens.load` as JSON holds them, with an `Unsaid` in place of what it cannot."""
    return {name: _said(value) for name, value in arguments.items()}


def unsaid(arguments: Mapping[str, Any]) -> list[str]:
    """What is to be given again by hand, a line each."""
    return [
        f"{name} was {value}, which cannot be written down: give it again to load the network"
        for name, value in arguments.items()
        if isinstance(value, Unsaid)
    ]


def _said(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    parts = list(value.values()) if isinstance(value, Mapping) else value
    if isinstance(parts, list | tuple):
        listed = [_said(part) for part in parts]
        if any(isinstance(part, Unsaid) for part in listed):
            return next(part for part in listed if isinstance(part, Unsaid))
        return {str(name): part for name, part in zip(value, listed, strict=True)} if parts is not value else listed
    kind, named = type(value), getattr(value, "__name__", None) or getattr(value, "name", None)
    what = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return Unsaid(f"<{what} {named}>" if isinstance(named, str) else f"<{what}>")
