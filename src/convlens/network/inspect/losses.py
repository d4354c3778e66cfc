"""What the loss that a model was trained with says of its output. It is read as data and never run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CATEGORICAL = {"categorical_crossentropy", "sparse_categorical_crossentropy", "categorical_focal_crossentropy"}
BINARIES = {"binary_crossentropy", "binary_focal_crossentropy"}
REGRESSIONS = {
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "huber",
    "huber_loss",
    "log_cosh",
    "logcosh",
    "poisson",
}
SHORT = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy",
}


@dataclass(frozen=True)
class Loss:
    """The loss of one output: its name in small letters with underscores, and whether it takes logits."""

    name: str
    from_logits: bool = False


def loss_of(stated: Any, output: int, names: Sequence[str | None]) -> Loss | None:
    """The loss of one output.

    Args:
        stated: as a model has it or a file tells it: a name, an object, its configuration, or a list or dict of them.
        output: the number of the output.
        names: of all outputs.
    """
    if isinstance(stated, Mapping) and "class_name" not in stated:
        stated = stated.get(names[output]) if names[output] else None
    elif isinstance(stated, list | tuple):
        stated = stated[output] if len(stated) == len(names) else None
    if isinstance(stated, str):
        return Loss(_plain(stated))
    if isinstance(stated, Mapping):
        config = stated.get("config")
        if isinstance(config, str):  # a function by its name, as Keras 3 writes it
            return Loss(_plain(config))
        logits = isinstance(config, Mapping) and config.get("from_logits") is True
        return Loss(_plain(str(stated["class_name"])), logits)
    if stated is None:
        return None
    name = getattr(stated, "__name__", None) or type(stated).__name__
    keywords = getattr(stated, "_fn_kwargs", None) or getattr(stated, "fn_kwargs", None)
    logits = getattr(stated, "from_logits", None)
    if logits is None and isinstance(keywords, Mapping):
        logits = keywords.get("from_logits")
    return Loss(_plain(str(name)), logits is True)


def _plain(name: str) -> str:
    """`BinaryCrossentropy`, `keras.losses>binary_crossentropy` and `bce` are one."""
    bare = name.replace(">", ".").rpartition(".")[2]
    spelt = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in bare).lstrip("_")
    return SHORT.get(spelt, spelt)
