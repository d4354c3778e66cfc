"""Configurations of layers of Keras 2, tf.keras and Keras 3, as data -> arguments that today's Keras takes."""

from typing import Any

from convlens.loading.keras import keras1

MODELS = ("Sequential", "Model", "Functional")
CLASSES = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "InstanceNormalization": "GroupNormalization",
    "LSTMV2": "LSTM",
    "GRUV2": "GRU",
    "GRUV1": "GRU",
    "LSTMV1": "LSTM",
    "Swish": "Activation",
    "FixedDropout": "Dropout",
    "ThresholdedReLU": "ReLU",
}
SHAPES = ("batch_input_shape", "batch_shape", "input_shape")
# Arguments that say nothing about what the network computes from an image.
SILENT = {"seed", "value_range", "ragged", "sparse", "fused", "implementation", "weights", "batch_size", "autocast",
          "input_length", "output_shape_type", "function_type", "time_major", "optional", "experimental_autocast",
          "renorm_momentum", "renorm_clipping", "virtual_batch_size", "rng_type", "build_input_shape",
          "quantization_config", "query_shape", "key_shape", "value_shape"}  # fmt: skip
_STRIPPED = ("_initializer", "_regularizer", "_constraint")


def bare_name(class_name: str) -> str:
    """The class without the package it was registered in: "Custom>Conv" -> "Conv"."""
    return class_name.rsplit(">", 1)[-1]


def modern(class_name: str, config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The class and the arguments of a layer as today's Keras has them.

    Initializers, regularizers and constraints are dropped: they are for training, and many no longer parse.

    Raises:
        ModelError: a layer of Keras 1 that has no equivalent.
    """
    name = bare_name(class_name)
    if keras1.is_keras1(name, config):
        name, config = keras1.translate(name, config)
    arguments = {key: value for key, value in config.items() if not key.endswith(_STRIPPED)}
    if name != "InputLayer":
        for key in SHAPES:
            arguments.pop(key, None)
        if name not in ("Embedding",):
            arguments.pop("input_dim", None)
    arguments.pop("activity_regularizer", None)
    arguments.pop("input_dtype", None)
    change = _CHANGES.get(name)
    if change is not None:
        change(arguments)
    return CLASSES.get(name, name), arguments


def _depthwise(config: dict[str, Any]) -> None:
    """tf.keras wrote the arguments of Conv2D, from which it inherits, into DepthwiseConv2D."""
    for key in ("groups", "filters"):
        config.pop(key, None)


def _leaky(config: dict[str, Any]) -> None:
    if "alpha" in config:
        config["negative_slope"] = _number(config.pop("alpha"))


def _number(value: Any) -> Any:
    """Keras 2 wrote some numbers as arrays: {"type": "ndarray", "value": 0.3}."""
    return value.get("value") if isinstance(value, dict) and "value" in value else value


def _normalization(config: dict[str, Any]) -> None:
    axis = config.get("axis")
    if isinstance(axis, list) and len(axis) == 1:
        config["axis"] = axis[0]


def _instance(config: dict[str, Any]) -> None:
    config["groups"] = -1


def _gru(config: dict[str, Any]) -> None:
    config.setdefault("reset_after", False)  # Keras 3 takes True where an old file says nothing


def _recurrent(config: dict[str, Any]) -> None:
    config.setdefault("recurrent_activation", "hard_sigmoid")  # what Keras before 2.3 took


def _swish(config: dict[str, Any]) -> None:
    config["activation"] = "silu"


def _dropout(config: dict[str, Any]) -> None:
    config.pop("noise_shape", None)  # of no effect outside of training, and written in several ways


def _thresholded(config: dict[str, Any]) -> None:
    config["threshold"] = _number(config.pop("theta", 1.0))


def _relu(config: dict[str, Any]) -> None:
    for key in ("max_value", "negative_slope", "threshold"):
        if key in config:
            config[key] = _number(config[key])


def _elu(config: dict[str, Any]) -> None:
    if "alpha" in config:
        config["alpha"] = _number(config["alpha"])


_CHANGES = {
    "DepthwiseConv2D": _depthwise,
    "DepthwiseConv1D": _depthwise,
    "LeakyReLU": _leaky,
    "BatchNormalization": _normalization,
    "BatchNormalizationV1": _normalization,
    "BatchNormalizationV2": _normalization,
    "SyncBatchNormalization": _normalization,
    "InstanceNormalization": _instance,
    "GRU": lambda config: (_gru(config), _recurrent(config)),
    "LSTM": _recurrent,
    "Swish": _swish,
    "Dropout": _dropout,
    "FixedDropout": _dropout,
    "ThresholdedReLU": _thresholded,
    "ReLU": _relu,
    "ELU": _elu,
}


def first_shape(config: dict[str, Any]) -> list | None:
    """The input shape with its batch axis that a layer's configuration holds."""
    shape = config.get("batch_input_shape") or config.get("batch_shape")
    if isinstance(shape, dict):  # a serialized TensorShape or tuple
        shape = shape.get("items") or (shape.get("config") or {}).get("items")
    if shape is None and config.get("input_shape"):
        shape = [None, *config["input_shape"]]
    if shape is None and isinstance(config.get("input_dim"), int) and "output_dim" not in config:
        shape = [None, config["input_dim"]]
    return list(shape) if isinstance(shape, list | tuple) else None
