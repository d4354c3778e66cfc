"""The twin's network with any head, in the spellings that Keras and PyTorch know, and what comes out by NumPy alone."""

from collections.abc import Callable
from typing import Any

import numpy as np

from convlens.backend import keras_ready
from tests.contract import twin

keras = keras_ready()
layers, ops = keras.layers, keras.ops
ON_TORCH = keras.backend.backend() == "torch"
Tail = Callable[[Any], Any]


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def softmax(z: np.ndarray) -> np.ndarray:
    powers = np.exp(z - z.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def images() -> np.ndarray:
    """Small enough for probabilities that are neither 0 nor 1."""
    return twin.images() / np.float32(40)


def given(pictures: np.ndarray) -> list[np.ndarray]:
    """As the public functions take them: arrays of 0-255 floats under preprocess="none"."""
    return list(pictures * np.float32(255))


def logits(units: int) -> np.ndarray:
    return twin.forward(images() * np.float32(255), twin.weights(units=units))["logits"]


def grad_cam(units: int, unit: int, sign: int = 1) -> np.ndarray:
    """Of a unit's logit, or of its negative."""
    w = twin.weights(units=units)
    if sign < 0:
        w = twin.Weights(w.one, w.one_bias, w.two, w.two_bias, -w.dense, w.dense_bias)
    return twin.grad_cam(images() * np.float32(255), w, unit, "logit")


def parts(units: int) -> list[Any]:
    return [
        layers.Conv2D(4, 3, activation="relu", name="one"),
        layers.MaxPooling2D(2, name="pool"),
        layers.Conv2D(6, 3, activation="relu", name="two"),
        layers.GlobalAveragePooling2D(name="mean"),
        layers.Dense(units, name="dense"),
    ]


class Subclassed(keras.Model):
    def __init__(self, units: int, tail: Tail) -> None:
        super().__init__()
        self.body, self.tail = parts(units), tail

    def call(self, inputs: Any) -> Any:
        for layer in self.body:
            inputs = layer(inputs)
        return self.tail(inputs)


def functional(units: int, tail: Tail) -> Any:
    """The tail is applied to Keras's symbolic tensors: operations become part of the graph."""
    x = inputs = keras.Input((*twin.SIDES, 3))
    built = parts(units)
    for layer in built:
        x = layer(x)
    model = keras.Model(inputs, tail(x))
    fill(built, units)
    return model


def subclassed(units: int, tail: Tail) -> Any:
    """The tail is a function that `call` applies: no layer of it can be seen."""
    model = Subclassed(units, tail)
    model(ops.convert_to_tensor(twin.images()))
    fill(model.body, units)
    return model


def fill(built: list[Any], units: int) -> None:
    w = twin.weights(units=units)
    for place, values in ((0, [w.one, w.one_bias]), (2, [w.two, w.two_bias]), (4, [w.dense, w.dense_bias])):
        built[place].set_weights(values)


def torch_module(units: int, tail: Tail) -> Any:
    """The same network as a PyTorch module, with the tail as a function in `forward`."""
    import torch
    from torch import nn

    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.dense = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3), nn.Linear(6, units)
            self.relu, self.pool, self.last = nn.ReLU(), nn.MaxPool2d(2), nn.ReLU()

        def forward(self, x: Any) -> Any:
            x = self.last(self.two(self.pool(self.relu(self.one(x)))))
            return tail(self.dense(x.mean((2, 3))))

    w, module = twin.weights(units=units), Module()
    with torch.no_grad():
        for conv, kernel, bias in ((module.one, w.one, w.one_bias), (module.two, w.two, w.two_bias)):
            conv.weight.copy_(torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))))
            conv.bias.copy_(torch.from_numpy(bias))
        module.dense.weight.copy_(torch.from_numpy(np.ascontiguousarray(w.dense.T)))
        module.dense.bias.copy_(torch.from_numpy(w.dense_bias))
    return module.eval()
