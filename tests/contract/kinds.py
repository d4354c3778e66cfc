"""The twin's network in every kind that Keras and PyTorch know, with the paths that its layers have there."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tests.contract import twin


@dataclass
class Kind:
    """A model, where the twin's layers are in it, and how the twin's images are fed to it."""

    model: Any
    paths: dict[str, str] = field(
        default_factory=lambda: {"one": "one", "pool": "pool", "two": "two", "classes": "classes"}
    )
    channels: int = 3
    options: dict[str, Any] = field(default_factory=dict)
    sample: Callable[[np.ndarray], Any] = lambda image: image
    tolerance: float = 1e-4
    exact: bool = True  # computes in float32
    caller: Callable[[], AbstractContextManager[Any]] = nullcontext  # what the user's code is inside of


def parts(**conv: Any) -> dict[str, Any]:
    return {
        "one": layers.Conv2D(4, 3, activation="relu", name="one", **conv),
        "pool": layers.MaxPooling2D(2, name="pool", **conv),
        "two": layers.Conv2D(6, 3, activation="relu", name="two", **conv),
        "mean": layers.GlobalAveragePooling2D(name="mean", **conv),
        "classes": layers.Dense(twin.CLASSES, activation="softmax", name="classes", dtype="float32"),
    }


def fill(built: dict[str, Any], channels: int = 3) -> None:
    w = twin.weights(channels)
    built["one"].set_weights([w.one, w.one_bias])
    built["two"].set_weights([w.two, w.two_bias])
    built["classes"].set_weights([w.dense, w.dense_bias])


def chain(x: Any, built: dict[str, Any]) -> Any:
    for layer in built.values():
        x = layer(x)
    return x


def functional(channels: int = 3, **conv: Any) -> keras.Model:
    shape = (*twin.SIDES, channels)
    shape = (channels, *twin.SIDES) if conv else shape
    inputs, built = keras.Input(shape), parts(**conv)
    model = keras.Model(inputs, chain(inputs, built))
    fill(built, channels)
    return model


def sequential() -> keras.Model:
    built = parts()
    model = keras.Sequential([keras.Input((*twin.SIDES, 3)), *built.values()])
    fill(built)
    return model


def unbuilt() -> Kind:
    """A Sequential that never saw an input: it is built by the first look, from the shape given."""
    built = parts()
    w = twin.weights()
    for name, values in {
        "one": [w.one, w.one_bias],
        "two": [w.two, w.two_bias],
        "classes": [w.dense, w.dense_bias],
    }.items():
        kernel, bias = (keras.initializers.Constant(value) for value in values)
        built[name].kernel_initializer, built[name].bias_initializer = kernel, bias
    return Kind(keras.Sequential(list(built.values())), options={"input_shape": (*twin.SIDES, 3)})


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.parts = parts()
        self.body = list(self.parts.values())

    def call(self, inputs: Any) -> Any:
        return chain(inputs, self.parts)


def subclassed() -> Kind:
    model = Subclassed()
    model(ops.convert_to_tensor(twin.images()))
    fill(model.parts)
    return Kind(model, options={"input_shape": (*twin.SIDES, 3)})


class Block(layers.Layer):
    """A layer of the user's own with layers inside."""

    def __init__(self) -> None:
        super().__init__(name="block")
        self.two, self.mean = parts()["two"], parts()["mean"]

    def call(self, inputs: Any) -> Any:
        return self.mean(self.two(inputs))


def own_layer() -> Kind:
    built, block = parts(), Block()
    inputs = keras.Input((*twin.SIDES, 3))
    model = keras.Model(inputs, built["classes"](block(built["pool"](built["one"](inputs)))))
    fill({**built, "two": block.two})
    return Kind(model, {"one": "one", "pool": "pool", "two": "block/two", "classes": "classes"})


def nested() -> Kind:
    built = parts()
    inner = keras.Input((*twin.SIDES, 3))
    backbone = keras.Model(inner, built["two"](built["pool"](built["one"](inner))), name="backbone")
    model = keras.Sequential([keras.Input((*twin.SIDES, 3)), backbone, built["mean"], built["classes"]])
    fill(built)
    return Kind(model, {"one": "backbone/one", "pool": "backbone/pool", "two": "backbone/two", "classes": "classes"})


def shared() -> Kind:
    """Two branches through the same layers, one of which sees black: the network runs them in the order given here."""
    built = parts()
    inputs = keras.Input((*twin.SIDES, 3))
    black = chain(layers.Rescaling(0.0, name="black")(inputs), {name: built[name] for name in ("one", "pool", "two")})
    seen = chain(inputs, {name: built[name] for name in ("one", "pool", "two")})
    kept = layers.Subtract(name="kept")([seen, layers.Rescaling(0.0, name="nothing")(black)])
    model = keras.Model(inputs, built["classes"](built["mean"](kept)))
    fill(built)
    return Kind(model, {"one": "one:1", "pool": "pool:1", "two": "two", "classes": "classes"})


def two_inputs() -> Kind:
    built = parts()
    image, age = keras.Input((*twin.SIDES, 3), name="image"), keras.Input((2,), name="age")
    seen = built["mean"](built["two"](built["pool"](built["one"](image))))
    both = layers.Add()([seen, layers.Dense(6, kernel_initializer="zeros", use_bias=False)(age)])
    model = keras.Model([age, image], built["classes"](both))
    fill(built)
    return Kind(model, sample=lambda image: (np.array([3.0, 4.0], "float32"), image))


def two_outputs() -> Kind:
    built = parts()
    inputs = keras.Input((*twin.SIDES, 3))
    seen = built["mean"](built["two"](built["pool"](built["one"](inputs))))
    model = keras.Model(inputs, {"a": built["classes"](seen), "b": layers.Dense(2, name="other")(seen)})
    fill(built)
    return Kind(model)


def grey() -> Kind:
    return Kind(functional(1), channels=1)


def frozen() -> Kind:
    model = sequential()
    model.trainable = False
    return Kind(model)


def low(policy: str) -> Kind:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = functional()
    finally:
        keras.config.set_dtype_policy(before)
    tolerance = 2e-2 if "bfloat16" in policy else 3e-3
    return Kind(model, tolerance=tolerance, exact=False)


KINDS: dict[str, Callable[[], Kind]] = {
    "functional": lambda: Kind(functional()),
    "sequential": lambda: Kind(sequential()),
    "unbuilt": unbuilt,
    "subclassed": subclassed,
    "own layer": own_layer,
    "nested": nested,
    "shared": shared,
    "two inputs": two_inputs,
    "two outputs": two_outputs,
    "channels first": lambda: Kind(functional(data_format="channels_first")),
    "grey": grey,
    "frozen": frozen,
    "mixed float16": lambda: low("mixed_float16"),
    "mixed bfloat16": lambda: low("mixed_bfloat16"),
    "float16": lambda: low("float16"),
    "bfloat16": lambda: low("bfloat16"),
}

if keras.backend.backend() == "torch":
    from tests.contract.torch_kinds import TORCH_KINDS

    KINDS |= TORCH_KINDS
