"""The outputs of a network by number and by name."""

from collections.abc import Mapping, Sequence
from typing import Any

from convlens.errors import OptionError, near


def output_names(outputs: Any, own: Any = None) -> tuple[str | None, ...]:
    """The names of outputs in the order of their numbers, None for one without: their keys, else the model's own.

    Args:
        outputs: as the model puts them out.
        own: the names that the model itself has for its outputs, if any.
    """
    keys = output_keys(outputs)
    if not any(keys) and isinstance(own, list | tuple) and len(own) == len(keys):
        return tuple(str(name) for name in own)
    return tuple(keys)


def output_keys(outputs: Any) -> list[str | None]:
    """The names that dicts and named tuples give to outputs, in the order of their numbers; a None is no output."""
    from keras import tree

    parts = tree.flatten(outputs)
    count = len(parts)
    numbered = tree.pack_sequence_as(outputs, list(range(count)))
    names: list[str | None] = [None] * count

    def walk(part: Any, name: str) -> None:
        if isinstance(part, int):
            names[part] = name or None
            return
        fields = getattr(part, "_fields", None)
        if isinstance(part, Mapping):
            pairs = list(part.items())
        elif fields:
            pairs = list(zip(fields, part, strict=True))
        else:
            pairs = list(enumerate(part)) if name else [("", inner) for inner in part]
        for key, inner in pairs:
            walk(inner, f"{name}/{key}" if name else str(key))

    walk(numbered, "")
    return [name for name, part in zip(names, parts, strict=True) if part is not None]


def output_number(names: Sequence[str | None], output: int | str, source: str) -> int:
    """The number of an output, given by its number or name.

    Raises:
        OptionError: the network has no such output; those that it has are listed.
    """
    if output in names:
        return names.index(str(output))
    digits = str(output).strip()
    if digits.isdigit() and int(digits) < len(names):
        return int(digits)
    known = [name for name in names if name]
    listed = f", named {', '.join(known)}" if known else ""
    count = f"{len(names)} outputs, numbered from 0" if len(names) > 1 else "one output, number 0"
    hint = f"; {near(output, known)}" if isinstance(output, str) and known and not digits.isdigit() else ""
    raise OptionError(f"{source} has {count}{listed}; received {output!r}{hint}")
