"""What loading hands on: the model, and all that its source says about it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


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
