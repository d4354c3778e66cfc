"""The outputs of a network: by number and by name, what they mean, and what they say of images."""

from collections.abc import Mapping, Sequence
from typing import Any

from convlens.data.predictions import Predictions
from convlens.errors import OptionError, near
from convlens.network.inspect.head import Head
from convlens.network.inspect.head_kinds import Evidence, find_head
from convlens.network.inspect.observation import Observation


class Outputs:
    """What a `Network` knows of its outputs.

    Attributes:
        evidence: what is known of them beside what they compute.
    """

    model: Any
    source: str

    def __init__(self) -> None:
        self.evidence = Evidence()
        self._output_keys: list[str | None] = []
        self._heads: dict[int, Head] = {}

    def observe(self) -> Observation:
        raise NotImplementedError

    @property
    def output_names(self) -> tuple[str | None, ...]:
        """The names of the outputs in the order of their numbers, None for one without: their keys, else Keras's."""
        self.observe()
        own = getattr(self.model, "output_names", None)
        if not any(self._output_keys) and isinstance(own, list | tuple) and len(own) == len(self._output_keys):
            return tuple(str(name) for name in own)
        return tuple(self._output_keys)

    def head(self, output: int | str = 0) -> Head:
        """How classes or values are read from an output, given by its number or name.

        Raises:
            OptionError: there is no such output, or what the user said of it cannot be.
            ModelError: the output has no entry for each image.
        """
        number = output_number(self.output_names, output, self.source)
        if number not in self._heads:
            self._heads[number] = find_head(self, number)  # pyright: ignore[reportArgumentType]
        return self._heads[number]

    def predict(
        self, images: Any, output: int | str = 0, *, top: int | None = 5, batch_size: int | None = None
    ) -> Predictions:
        """The likeliest classes of images, or the values that an output has for them; see `predicting.predict`."""
        from convlens.network.predicting import predict

        return predict(self, images, output, top, batch_size)  # pyright: ignore[reportArgumentType]


def output_keys(outputs: Any) -> list[str | None]:
    """The names that dicts and named tuples give to outputs, in the order in which they are numbered."""
    from keras import tree

    count = len(tree.flatten(outputs))
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
    return names


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
