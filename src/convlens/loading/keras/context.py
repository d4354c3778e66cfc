"""What building a model from a file needs to know, and what is found out on the way."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from convlens.loading.bytecode.affine import Affine

MAX_WEIGHTS = 10**9


@dataclass
class BuildContext:
    """What building a model needs to know, and what is found out on the way.

    Attributes:
        major: the major version of the Keras that wrote the architecture.
        custom: the user's own classes and functions, by name.
        trust: whether code in the file may run.
        weights: how many numbers the model's weights may have.
        notes: warnings for the user.
        originals: the name in the file of every layer whose name had to change.
        scalings: what recognized Lambda layers do, by name.
        listed: the layers of each model in the order and by the class that the file gives them, by the model's id;
            None in place of what is an operation between layers here.
        shared: objects that the file describes more than once, by their class and number.
        guarded: layers whose weights are being counted.
    """

    major: int = 3
    custom: Mapping[str, Any] = field(default_factory=dict)
    trust: bool = False
    weights: int = MAX_WEIGHTS
    notes: list[str] = field(default_factory=list)
    originals: dict[str, str] = field(default_factory=dict)
    scalings: dict[str, Affine] = field(default_factory=dict)
    listed: dict[int, list[tuple[str, Any]]] = field(default_factory=dict)
    shared: dict[tuple[str, Any], Any] = field(default_factory=dict)
    guarded: list[Any] = field(default_factory=list)

    def list_layers(self, model: Any, entries: Iterable[tuple[str, Any]]) -> None:
        """Notes what stands in a model, in the file's order."""
        self.listed[id(model)] = [
            (kind, layer if isinstance(layer, keras.layers.Layer) else None) for kind, layer in entries
        ]

    def once(self, entry: Mapping[str, Any], build: Callable[[], Any]) -> Any:
        """What a serialized object describes, built the first time that its number comes up in the file."""
        number = entry.get("shared_object_id")
        if not isinstance(number, int | str):
            return build()
        key = (str(entry.get("class_name")), number)
        if key not in self.shared:
            self.shared[key] = build()
        return self.shared[key]

    def release(self) -> None:
        """Takes the guards off the built layers."""
        for layer in self.guarded:
            vars(layer).pop("add_weight", None)
        self.guarded.clear()
