"""Layers with the channels first, as they are built from files on TensorFlow: they compute with the channels last.

JAX and PyTorch run them on a processor as they are (measured with Keras 3.15: convolutions of every kind, pooling,
normalization, padding, upsampling, with gradients).
"""

from functools import cache
from typing import Any

import keras


def repaired(kind: type, arguments: dict[str, Any]) -> type:
    """The class to build a layer from: the same, or one that computes with the channels last."""
    if keras.backend.backend() != "tensorflow":
        return kind
    from convlens.backend.tensorflow_layers import is_computed_channels_last

    return _last(kind) if is_computed_channels_last(kind.__name__, arguments.get("data_format")) else kind


@cache
def _last(kind: Any) -> type:
    from convlens.backend.tensorflow_layers import channels_last

    def call(self: Any, inputs: Any) -> Any:
        return channels_last(self, lambda moved: kind.call(self, moved), inputs)

    return type(kind.__name__, (kind,), {"call": call, "__module__": __name__, "__doc__": kind.__doc__})
