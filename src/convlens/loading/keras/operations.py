"""Operations between layers: what tf.keras and Keras 3 write for `x / 255` or `tf.nn.relu(x)` in a model."""

import re
from collections.abc import Callable
from typing import Any

import keras

from convlens.errors import ModelError, near

ops = keras.ops

# names of TensorFlow's functions -> the same in keras.ops
BINARY = {
    "math.add": ops.add, "__operators__.add": ops.add, "math.subtract": ops.subtract, "math.multiply": ops.multiply,
    "math.truediv": ops.true_divide, "math.divide": ops.true_divide, "math.pow": ops.power,
    "math.maximum": ops.maximum, "math.minimum": ops.minimum, "linalg.matmul": ops.matmul,
}  # fmt: skip
UNARY = {
    "nn.relu": ops.relu, "nn.relu6": ops.relu6, "nn.sigmoid": ops.sigmoid, "math.sigmoid": ops.sigmoid,
    "nn.tanh": ops.tanh, "math.tanh": ops.tanh, "nn.silu": ops.silu, "nn.swish": ops.silu, "nn.elu": ops.elu,
    "nn.gelu": ops.gelu, "nn.softmax": ops.softmax, "nn.log_softmax": ops.log_softmax, "nn.softplus": ops.softplus,
    "math.exp": ops.exp, "math.log": ops.log, "math.abs": ops.abs, "math.sqrt": ops.sqrt, "math.square": ops.square,
    "math.negative": ops.negative, "math.rsqrt": ops.rsqrt, "identity": lambda x: x, "stop_gradient": lambda x: x,
}  # fmt: skip
REDUCTIONS = {"math.reduce_mean": ops.mean, "math.reduce_sum": ops.sum, "math.reduce_max": ops.max}
NODE_OPS = {
    "Add": ops.add, "AddV2": ops.add, "Sub": ops.subtract, "Mul": ops.multiply, "RealDiv": ops.true_divide,
    "Maximum": ops.maximum, "Minimum": ops.minimum, "Relu": ops.relu, "Relu6": ops.relu6, "Sigmoid": ops.sigmoid,
    "Tanh": ops.tanh, "Softmax": ops.softmax, "Identity": lambda x: x, "Exp": ops.exp, "Square": ops.square,
}  # fmt: skip


def reader(entry: dict[str, Any]) -> Callable | None:
    """A function that does what an operation of the architecture does; None for a layer.

    Raises:
        ModelError: an operation that is not known.
    """
    kind, config = entry.get("class_name"), entry.get("config")
    config = config if isinstance(config, dict) else {}
    if kind in ("TFOpLambda", "SlicingOpLambda"):
        return _tensorflow(str(config.get("function")), str(config.get("name")))
    if kind == "TensorFlowOpLayer":
        return _node(config)
    if "ops." in str(entry.get("module")) or _is_nameless(entry, config):
        return _keras(str(kind), config)
    return None


def _is_nameless(entry: dict[str, Any], config: dict[str, Any]) -> bool:
    """Whether it is an operation of Keras 3 in an .h5 file, which says of no class where it is from.

    All layers say whether they are trainable.
    """
    nodes = entry.get("inbound_nodes")
    calls = isinstance(nodes, list) and bool(nodes) and all(isinstance(node, dict) and "args" in node for node in nodes)
    return (
        calls and "module" not in entry and "trainable" not in config and hasattr(ops, _snake(str(entry["class_name"])))
    )


def _tensorflow(function: str, name: str) -> Callable:
    """A function of TensorFlow, by the name that tf.keras gave it in the file."""
    known = BINARY | UNARY | REDUCTIONS
    if function in BINARY:
        return lambda x, y=None, name=None, **_: _two(BINARY[function], x, y)
    if function in UNARY:
        return lambda x=None, features=None, name=None, axis=None, **_: UNARY[function](
            x if x is not None else features
        )
    if function in REDUCTIONS:
        return lambda x, axis=None, keepdims=False, name=None, **_: REDUCTIONS[function](
            x, axis=axis, keepdims=keepdims
        )
    special: dict[str, Callable] = {
        "__operators__.getitem": lambda x, slice_spec=(), **_: x[_slices(slice_spec)],
        "concat": lambda x, axis=-1, **_: ops.concatenate(x, axis=axis),
        "reshape": lambda x, shape=None, **_: ops.reshape(x, shape),
        "transpose": lambda x, perm=None, **_: ops.transpose(x, perm),
        "expand_dims": lambda x, axis=-1, **_: ops.expand_dims(x, axis),
        "squeeze": lambda x, axis=None, **_: ops.squeeze(x, axis),
        "cast": lambda x, dtype="float32", **_: ops.cast(x, dtype),
        "clip_by_value": lambda x, clip_value_min=0, clip_value_max=1, **_: ops.clip(x, clip_value_min, clip_value_max),
        "compat.v1.nn.leaky_relu": lambda x, alpha=0.2, **_: ops.leaky_relu(x, alpha),
        "nn.leaky_relu": lambda x, alpha=0.2, **_: ops.leaky_relu(x, alpha),
        "image.resize": _resize,
        "compat.v1.pad": lambda x, paddings=(), **_: ops.pad(x, paddings),
        "compat.v1.transpose": lambda x, perm=None, **_: ops.transpose(x, perm),
        "compat.v1.squeeze": lambda x, axis=None, **_: ops.squeeze(x, axis),
    }
    if function in special:
        return special[function]
    raise ModelError(
        f"layer {name} calls TensorFlow's {function}, which convlens does not know"
        f" ({near(function, [*known, *special])}); export the model again without it, or as a Keras 3 file",
        received=function,
        available=[*known, *special],
    )


def _two(function: Callable, left: Any, right: Any) -> Any:
    if isinstance(left, list) and right is None and len(left) == 2:
        left, right = left
    return function(left, right)


def _resize(images: Any, size: Any = None, method: str = "bilinear", **_: Any) -> Any:
    return ops.image.resize(images, tuple(size), interpolation=str(method), data_format="channels_last")


def _slices(spec: Any) -> Any:
    """tf.keras writes x[:, 1:] as [{"start": None, "stop": None, "step": None}, {"start": 1, ...}]."""
    if isinstance(spec, dict) and "start" in spec:
        return slice(spec["start"], spec["stop"], spec["step"])
    if isinstance(spec, dict) and spec.get("class_name") == "__ellipsis__":
        return Ellipsis
    return tuple(_slices(part) for part in spec) if isinstance(spec, list | tuple) else spec


def _node(config: dict[str, Any]) -> Callable:
    """One node of TensorFlow's graph, as tf.keras 2.0 to 2.3 wrote it, with its constant inputs by their places."""
    node, constants = config.get("node_def"), config.get("constants") or {}
    operation = node.get("op") if isinstance(node, dict) else None
    if operation is None:
        match = re.search(r"""["']?op["']?\s*:\s*["'](\w+)["']""", str(node))
        operation = match.group(1) if match else str(node)[:40]
    if operation not in NODE_OPS:
        raise ModelError(
            f"layer {config.get('name')} is TensorFlow's operation {operation}, which convlens does not know"
            f" ({near(str(operation), NODE_OPS)})",
            received=operation,
            available=NODE_OPS,
        )

    def run(inputs: Any) -> Any:
        values = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        for place, value in sorted(constants.items(), key=lambda item: int(item[0])):
            values.insert(int(place), value)
        return NODE_OPS[operation](*values)

    return run


def _snake(kind: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind).lower()


def _keras(kind: str, config: dict[str, Any]) -> Callable:
    """An operation of keras.ops, whose class is its name in capitals: ExpandDims for expand_dims."""
    name = _snake(kind)
    options = {key: value for key, value in config.items() if key not in ("name", "dtype")}
    if kind == "GetItem":
        return lambda x, key: x[tuple(key) if isinstance(key, list) else key]
    function = next(
        (getattr(place, name) for place in (ops, ops.nn, ops.image) if callable(getattr(place, name, None))),
        None,
    )
    if function is None:
        raise ModelError(f"layer {config.get('name')} is an operation {kind!r} that keras.ops does not have")
    return lambda *values, **named: function(*values, **{**options, **named})
