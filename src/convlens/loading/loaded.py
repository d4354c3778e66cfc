"""What loading hands on: the model, and all that its source says about it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from convlens.errors import ModelError, listing


@dataclass(frozen=True)
class Loaded:
    """A model as it came out of a file, a zoo or memory.

    Attributes:
        model: a `keras.Model` or a `torch.nn.Module`.
        framework: "keras" or "torch".
        source: the path or the name that the user gave.
        sha256: of the file; None where there is none.
        preprocessing: the name of a preprocessing, or a function from float32 (batch, height, width, channels) RGB
            0-255 to what the network takes; None where the source does not say.
        preprocessing_source: where it was found, in words.
        labels: class names in the order of the output; None where the source does not say.
        labels_source: where they were found, in words.
        labels_beside: whether that is a file beside the model, which does not tell whether classes exclude one another.
        loss: what the model was trained with, as the source states it: a name, an object, its configuration, or a
            list or dict of them, one an output; None where it does not say.
        input_size: (height, width) in pixels, where the source says it and the model does not.
        notes: warnings for the user, a line each.
        untrained: the layers or modules for which a file of weights had none.
    """

    model: Any
    framework: str
    source: str
    sha256: str | None = None
    preprocessing: str | Callable | None = None
    preprocessing_source: str | None = None
    labels: tuple[str, ...] | None = None
    labels_source: str | None = None
    labels_beside: bool = False
    loss: Any = None
    input_size: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()
    untrained: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Filling:
    """What was left over when the weights of a file were put into a model.

    Attributes:
        source: the file's name.
        untrained: names and layers, or modules, of the model that got no weights.
        unused: names of what the file has and no layer takes.

    Raises:
        ModelError: there are both, so that the one may belong to the other.
    """

    source: str
    untrained: tuple[tuple[str, Any], ...] = ()
    unused: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.untrained and self.unused:
            raise ModelError(
                f"the weights do not fit: {self.source} has none for {self._names}, and no layer takes those that it"
                f" has for {self._unused_names}; give the architecture that the weights are of"
            )

    @property
    def _names(self) -> str:
        return listing(dict.fromkeys(label for label, _ in self.untrained))

    @property
    def _unused_names(self) -> str:
        return listing(dict.fromkeys(self.unused))

    @property
    def layers(self) -> tuple[Any, ...]:
        return tuple(layer for _, layer in self.untrained)

    @property
    def notes(self) -> tuple[str, ...]:
        if self.untrained:
            return (f"no weights in {self.source} for {self._names}: these layers are untrained",)
        return (f"weights in {self.source} that no layer has: {self._unused_names}",) if self.unused else ()
