"""Convolutions with the channels first, on TensorFlow.

All three backends run them on a CPU (measured with Keras 3.15: convolutions of every kind, pooling, normalization,
padding, upsampling, with gradients). But Keras's addition on TensorFlow takes the bias for one along the width where
the output is as wide as the layer has filters, and so gives wrong numbers without a word. The layers here add it by
a subtraction, which is exact in floating point and does not pass through that special case.
"""

from functools import cache
from typing import Any

import keras

AFFECTED = ("Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "DepthwiseConv1D",
            "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D")  # fmt: skip


def repaired(kind: type, arguments: dict[str, Any]) -> type:
    """The class to build a layer from: the same, or one whose bias is added where it belongs."""
    wrong = (
        kind.__name__ in AFFECTED
        and keras.backend.backend() == "tensorflow"
        and arguments.get("data_format") == "channels_first"
        and arguments.get("use_bias", True)
    )
    return _with_own_bias(kind) if wrong else kind


@cache
def _with_own_bias(kind: Any) -> type:
    def call(self: Any, inputs: Any) -> Any:
        own = vars(self)
        bias, activation = own["use_bias"], own["activation"]
        try:
            own["use_bias"], own["activation"] = False, None  # past Keras's bookkeeping: only for this call
            outputs = kind.call(self, inputs)
        finally:
            own["use_bias"], own["activation"] = bias, activation
        rank = len(outputs.shape) - 2
        outputs = keras.ops.subtract(outputs, keras.ops.reshape(-self.bias, (1, -1, *[1] * rank)))
        return outputs if activation is None else activation(outputs)

    return type(kind.__name__, (kind,), {"call": call, "__module__": __name__, "__doc__": kind.__doc__})
