"""Architectures of Keras 0.3 to 1.2, as data: their names and arguments -> those of Keras 2 and later."""

from typing import Any

from convlens.errors import ModelError

CLASSES = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "SeparableConvolution2D": "SeparableConv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "Deconvolution3D": "Conv3DTranspose",
    "TimeDistributedDense": "Dense",
    "Graph": "Model",
}
ARGUMENTS = {
    "nb_filter": "filters",
    "border_mode": "padding",
    "subsample": "strides",
    "dim_ordering": "data_format",
    "bias": "use_bias",
    "p": "rate",
    "sigma": "stddev",
    "inner_activation": "recurrent_activation",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
    "atrous_rate": "dilation_rate",
}
# what only a Keras 1 configuration has
MARKS = {*ARGUMENTS, "nb_row", "nb_col", "filter_length", "pool_length", "output_dim", "inner_init", "W_regularizer",
         "W_constraint", "gamma_init", "beta_init", "mode"}  # fmt: skip
ORDERINGS = {"th": "channels_first", "tf": "channels_last", "default": None}
MERGES = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum", "concat": "Concatenate",
          "dot": "Dot", "cos": "Dot"}  # fmt: skip
_ONE_NUMBER = {"filter_length": "kernel_size", "subsample_length": "strides", "pool_length": "pool_size",
               "stride": "strides", "length": "size"}  # fmt: skip
_DROPPED = {"init", "inner_init", "forget_bias_init", "consume_less", "gamma_init", "beta_init", "W_regularizer",
            "b_regularizer", "U_regularizer", "W_constraint", "b_constraint", "input_dtype"}  # fmt: skip


def is_keras1(class_name: str, config: dict[str, Any]) -> bool:
    """Whether a layer's configuration is of Keras 1."""
    if class_name in CLASSES or class_name == "Merge":
        return True
    marks = MARKS & set(config)
    if class_name == "Embedding":
        marks -= {"output_dim"}
    return bool(marks)


def translate(class_name: str, config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The same layer in the words of Keras 2.

    Raises:
        ModelError: a mode of BatchNormalization or Merge that later versions of Keras do not have.
    """
    if class_name == "Merge":
        return _merge(config)
    arguments: dict[str, Any] = {}
    for key, value in config.items():
        if key in _ONE_NUMBER and class_name.endswith("1D"):
            arguments[_ONE_NUMBER[key]] = [value] if isinstance(value, int) else value
        elif key not in _DROPPED:
            arguments[ARGUMENTS.get(key, key)] = value
    if "nb_row" in arguments and "nb_col" in arguments:
        arguments["kernel_size"] = [arguments.pop("nb_row"), arguments.pop("nb_col")]
    if "kernel_dim1" in arguments:
        arguments["kernel_size"] = [arguments.pop(f"kernel_dim{axis}", None) for axis in (1, 2, 3)]
    if "output_dim" in arguments and class_name != "Embedding":
        arguments["units"] = arguments.pop("output_dim")
    if "data_format" in arguments:
        arguments["data_format"] = ORDERINGS.get(arguments["data_format"], arguments["data_format"])
    if class_name == "ZeroPadding2D":
        arguments["padding"] = _sides(arguments.get("padding", [1, 1]))
    if class_name == "BatchNormalization" and arguments.pop("mode", 0) not in (0, None):
        raise ModelError(
            f"layer {config.get('name')}: BatchNormalization with mode={config['mode']} is of Keras 1 alone (it"
            " normalizes by the batch or the sample at hand); only mode=0 has an equivalent today"
        )
    if class_name in ("Deconvolution2D", "Deconvolution3D"):
        arguments.pop("output_shape", None)
    return CLASSES.get(class_name, class_name), arguments


def _sides(padding: Any) -> Any:
    """Four sides, by name or in the order top, bottom, left, right, as [[top, bottom], [left, right]]."""
    if isinstance(padding, dict):
        padding = [padding.get(f"{side}_pad", 0) for side in ("top", "bottom", "left", "right")]
    return [padding[:2], padding[2:]] if len(padding) == 4 else padding


def _merge(config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    mode = config.get("mode", "sum")
    if mode not in MERGES:
        raise ModelError(
            f"layer {config.get('name')}: Merge with mode={mode!r} has no equivalent today; known: {', '.join(MERGES)}"
        )
    arguments: dict[str, Any] = {"name": config.get("name")}
    if mode == "concat":
        arguments["axis"] = config.get("concat_axis", -1)
    if mode in ("dot", "cos"):
        axes = config.get("dot_axes", -1)
        arguments |= {"axes": axes, "normalize": mode == "cos"}
    return MERGES[mode], arguments
