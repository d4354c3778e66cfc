"""Small networks as strangers write them, with all that is true of them known from NumPy.

conv 3x3 valid + ReLU ("conv") -> pooled over space, or flattened -> dense; or a 1x1 convolution for a map of classes.
What varies is the framework, the kind of head and how it is spelled, the form of the input, and the layout.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

FILTERS = 3
SPELLINGS = {
    "classes": ("fused", "layer", "function", "function, reshaped", "log", "raw"),
    "independent": ("fused", "layer", "function", "function, reshaped", "raw"),
    "binary": ("fused", "layer", "function", "function, squeezed", "raw"),
    "score": ("raw", "raw, squeezed"),
    "map": ("fused", "layer", "function", "raw"),
    "embedding": ("pooled", "normalized"),
}
STYLES = {"keras": ("functional", "sequential", "subclass"), "torch": ("module",)}


@dataclass(frozen=True)
class Stranger:
    """One network, as hypothesis draws it."""

    head: str
    spelling: str
    style: str  # one of STYLES
    units: int
    side: int
    channels: int
    tail: str  # "mean" or "flat"
    flattened: str  # how PyTorch's author flattens: "view -1", "view size", "reshape", "flatten"
    first: bool  # channels first, of Keras
    scaled_inside: bool  # a Rescaling layer, of Keras
    two_inputs: bool
    told: bool  # head= says the kind
    seed: int


@dataclass(frozen=True)
class Numbers:
    kernel: np.ndarray
    bias: np.ndarray
    dense: np.ndarray  # (features, units); of "flat", features are (height, width, filters)
    dense_bias: np.ndarray


def numbers(one: Stranger) -> Numbers:
    rng = np.random.default_rng(one.seed)
    inner = one.side - 2
    features = FILTERS * inner * inner if one.tail == "flat" and one.head != "map" else FILTERS
    kernel = rng.normal(0, 1, (3, 3, one.channels, FILTERS)) / np.sqrt(9 * one.channels)
    dense = rng.normal(0, 3, (features, one.units)) / np.sqrt(features / FILTERS)
    bias, dense_bias = rng.normal(0, 0.2, FILTERS), rng.normal(0, 0.5, one.units)
    return Numbers(*(array.astype("float32") for array in (kernel, bias, dense, dense_bias)))


def activations(x: np.ndarray, w: Numbers) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(x.astype("float64"), (3, 3), (1, 2))
    return np.maximum(np.einsum("bhwcij,ijcf->bhwf", windows, w.kernel.astype("float64")) + w.bias, 0)


def logits(one: Stranger, x: np.ndarray) -> np.ndarray:
    """(batch, units), of a map (batch, height, width, units)."""
    w, a = numbers(one), activations(x, numbers(one))
    if one.head == "map":
        return a @ w.dense + w.dense_bias
    seen = a.reshape(len(a), -1) if one.tail == "flat" else a.mean((1, 2))
    return seen if one.head == "embedding" else seen @ w.dense + w.dense_bias


def softmax(z: np.ndarray) -> np.ndarray:
    powers = np.exp(z - z.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def class_map(one: Stranger, x: np.ndarray, unit: int, of_log: bool) -> np.ndarray:
    """Grad-CAM (Selvaraju et al. 2017) of a unit at "conv", with the derivative of the head by hand.

    Args:
        of_log: of the logarithm of the softmax's probability; else of the logit, or the value.
    """
    w, a = numbers(one), activations(x, numbers(one))
    size = a.shape[1] * a.shape[2]
    z = logits(one, x)
    slopes = np.broadcast_to(np.eye(one.units)[unit], z.shape)
    if of_log:
        slopes = slopes - softmax(z)
    if one.tail == "flat" and one.head != "map":
        weights = (slopes @ w.dense.T).reshape(len(a), -1, FILTERS).mean(1)
    else:
        weights = (slopes @ w.dense.T) / size
        weights = weights.mean((1, 2)) if one.head == "map" else weights
    return np.maximum((a * weights[:, None, None, :]).sum(-1), 0)


def keras_model(one: Stranger) -> keras.Model:
    from keras import layers, ops

    w = numbers(one)
    form = {"data_format": "channels_first"} if one.first else {}
    activation = "sigmoid" if one.head in ("independent", "binary") or one.units == 1 else "softmax"
    conv = layers.Conv2D(FILTERS, 3, activation="relu", name="conv", **form)
    steps: list[Any] = [layers.Rescaling(1 / 255)] if one.scaled_inside else []
    steps.append(conv)
    final: Any = None
    fused = activation if one.spelling == "fused" else None
    if one.head == "map":
        final = layers.Conv2D(one.units, 1, activation=fused, name="final")
        steps.append(final)
    else:
        pooled = layers.GlobalAveragePooling2D(**form) if one.tail == "mean" else layers.Flatten()
        steps.append(pooled)
        if one.head != "embedding":
            final = layers.Dense(one.units, activation=fused, name="final")
            steps.append(final)
    if one.spelling == "layer":
        steps.append(layers.Softmax() if activation == "softmax" else layers.Activation("sigmoid"))

    def after(x: Any) -> Any:
        if one.spelling.startswith("function"):
            x = ops.softmax(x, axis=-1) if activation == "softmax" else ops.sigmoid(x)
        if one.spelling == "log":
            x = ops.log_softmax(x, axis=-1)
        if one.spelling == "normalized":
            x = x / ops.sqrt(ops.sum(x * x, axis=-1, keepdims=True) + 1e-12)
        if one.spelling == "function, reshaped":
            x = ops.reshape(x, (-1, one.units))
        return ops.squeeze(x, -1) if one.spelling.endswith("squeezed") else x

    shape = (one.channels, one.side, one.side) if one.first else (one.side, one.side, one.channels)
    model = _assembled(one, steps, after, shape)
    conv.set_weights([w.kernel, w.bias])
    if final is not None:
        dense = w.dense.reshape(1, 1, *w.dense.shape) if one.head == "map" else _flattened(one, w)
        final.set_weights([dense, w.dense_bias])
    return model


def _flattened(one: Stranger, w: Numbers) -> np.ndarray:
    """The dense weights in the order in which the framework flattens."""
    if one.tail == "mean" or not one.first:
        return w.dense
    inner = one.side - 2
    return w.dense.reshape(inner, inner, FILTERS, -1).transpose(2, 0, 1, 3).reshape(w.dense.shape)


def _assembled(one: Stranger, steps: list[Any], after: Any, shape: tuple[int, ...]) -> keras.Model:
    if one.style == "sequential":
        return keras.Sequential([keras.Input(shape), *steps])
    if one.style == "functional":
        inputs = keras.Input(shape, name="image")
        x = inputs
        for step in steps:
            x = step(x)
        x = after(x)
        if one.two_inputs:
            age = keras.Input((2,), name="age")
            x = x + 0 * keras.ops.sum(age)
            return keras.Model([inputs, age], x)
        return keras.Model(inputs, x)

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.steps = steps

        def call(self, x: Any) -> Any:
            for step in self.steps:
                x = step(x)
            return after(x)

    model = Own()
    model(np.zeros((1, *shape), "float32"))
    return model


def torch_model(one: Stranger) -> Any:
    import torch
    from torch import nn
    from torch.nn import functional as F

    w = numbers(one)
    inner = one.side - 2

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu = nn.Conv2d(one.channels, FILTERS, 3), nn.ReLU()
            if one.head == "map":
                self.final: Any = nn.Conv2d(FILTERS, one.units, 1)
            elif one.head != "embedding":
                self.final = nn.Linear(len(w.dense), one.units)
            exclusive = one.head == "classes" or (one.head == "map" and one.units > 1)
            if one.spelling in ("layer", "fused"):
                self.act = nn.Softmax(1) if exclusive else nn.Sigmoid()
            self.exclusive = exclusive

        def forward(self, x: Any) -> Any:
            x = self.relu(self.conv(x))
            if one.head != "map":
                if one.tail == "mean":
                    x = x.mean((2, 3))
                elif one.flattened == "view -1":
                    x = x.view(-1, FILTERS * inner * inner)
                elif one.flattened == "view size":
                    x = x.view(x.size(0), -1)
                else:
                    x = x.reshape(len(x), -1) if one.flattened == "reshape" else torch.flatten(x, 1)
            if one.head == "embedding":
                return F.normalize(x, dim=1) if one.spelling == "normalized" else x
            x = self.final(x)
            if one.spelling in ("layer", "fused"):
                return self.act(x)
            if one.spelling.startswith("function"):
                x = F.softmax(x, dim=1) if self.exclusive else torch.sigmoid(x)
            if one.spelling == "log":
                x = F.log_softmax(x, dim=1)
            if one.spelling == "function, reshaped":
                x = x.view(-1, one.units)
            return x.squeeze(-1) if one.spelling.endswith("squeezed") else x

    net = Net()
    with torch.no_grad():
        net.conv.weight.copy_(torch.from_numpy(w.kernel.transpose(3, 2, 0, 1).copy()))
        net.conv.bias.copy_(torch.from_numpy(w.bias))
        if one.head != "embedding":
            dense = w.dense
            if one.tail == "flat" and one.head != "map":
                dense = dense.reshape(inner, inner, FILTERS, -1).transpose(2, 0, 1, 3).reshape(dense.shape)
            weight = torch.from_numpy(dense.T.copy())
            net.final.weight.copy_(weight[..., None, None] if one.head == "map" else weight)
            net.final.bias.copy_(torch.from_numpy(w.dense_bias))
    return net
