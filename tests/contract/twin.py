"""A small convolutional network in plain NumPy, float64, written from the definitions: the oracle of the contract.

conv 3x3 valid + ReLU ("one") -> max pooling 2x2 ("pool") -> conv 3x3 valid + ReLU ("two") -> mean over space -> dense
-> softmax ("classes").
"""

from dataclasses import dataclass

import numpy as np

SIDES, CLASSES = (13, 11), 5


@dataclass(frozen=True)
class Weights:
    one: np.ndarray
    one_bias: np.ndarray
    two: np.ndarray
    two_bias: np.ndarray
    dense: np.ndarray
    dense_bias: np.ndarray


def weights(channels: int = 3, units: int = CLASSES) -> Weights:
    rng = np.random.default_rng(7)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.5, shape).astype("float32")

    return Weights(draw(3, 3, channels, 4), draw(4), draw(3, 3, 4, 6), draw(6), draw(6, units), draw(units))


def images(batch: int = 2, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(3).random((batch, *SIDES, channels)).astype("float32")


def conv(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    tall, wide = x.shape[1] - 2, x.shape[2] - 2
    out = np.zeros((len(x), tall, wide, kernel.shape[-1])) + bias
    for i in range(3):
        for j in range(3):
            out += x[:, i : i + tall, j : j + wide].astype("float64") @ kernel[i, j]
    return out


def conv_input_gradient(upstream: np.ndarray, kernel: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    gradient = np.zeros(shape)
    tall, wide = upstream.shape[1:3]
    for i in range(3):
        for j in range(3):
            gradient[:, i : i + tall, j : j + wide] += upstream @ kernel[i, j].T
    return gradient


def pool(x: np.ndarray) -> np.ndarray:
    tall, wide = x.shape[1] // 2, x.shape[2] // 2
    return x[:, : 2 * tall, : 2 * wide].reshape(len(x), tall, 2, wide, 2, -1).max((2, 4))


def pool_input_gradient(upstream: np.ndarray, x: np.ndarray) -> np.ndarray:
    gradient = np.zeros(x.shape)
    for b, i, j, c in np.ndindex(*upstream.shape):
        window = x[b, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c]
        at = np.unravel_index(window.argmax(), window.shape)
        gradient[b, 2 * i + at[0], 2 * j + at[1], c] += upstream[b, i, j, c]
    return gradient


def forward(x: np.ndarray, w: Weights) -> dict[str, np.ndarray]:
    one = np.maximum(conv(x, w.one, w.one_bias), 0)
    pooled = pool(one)
    two = np.maximum(conv(pooled, w.two, w.two_bias), 0)
    logits = two.mean((1, 2)) @ w.dense + w.dense_bias
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return {"one": one, "pool": pooled, "two": two, "logits": logits, "classes": powers / powers.sum(-1, keepdims=True)}


def grad_cam(x: np.ndarray, w: Weights, target: int, score: str) -> np.ndarray:
    """Selvaraju et al. 2017 on layer "two", with the derivative of the head worked out by hand."""
    seen = forward(x, w)
    size = seen["two"].shape[1] * seen["two"].shape[2]
    slope = np.tile(w.dense[:, target].astype("float64"), (len(x), 1))
    if score == "probability":
        p = seen["classes"]
        slope = p[:, target, None] * (slope - p @ w.dense.T)
    return np.maximum((seen["two"] * (slope / size)[:, None, None, :]).sum(-1), 0)


def input_gradient(x: np.ndarray, w: Weights, target: int, rule: str = "plain") -> np.ndarray:
    """The gradient of a logit by the image; by "guided" and "deconvnet", ReLUs pass back what those papers say."""
    one = conv(x, w.one, w.one_bias)
    pooled = pool(np.maximum(one, 0))
    two = conv(pooled, w.two, w.two_bias)

    def back(upstream: np.ndarray, before: np.ndarray) -> np.ndarray:
        upstream = upstream if rule == "plain" else np.maximum(upstream, 0)
        return upstream if rule == "deconvnet" else upstream * (before > 0)

    slope = w.dense[:, target].astype("float64") / (two.shape[1] * two.shape[2])
    upstream = conv_input_gradient(back(np.broadcast_to(slope, two.shape), two), w.two, pooled.shape)
    upstream = back(pool_input_gradient(upstream, np.maximum(one, 0)), one)
    return conv_input_gradient(upstream, w.one, x.shape)


def ascent_step(x: np.ndarray, w: Weights, layer: str, filters: list[int], step: float = 1.0) -> np.ndarray:
    """The seed's step on each image: the gradient of the filter's mean, over its root mean square + 1e-5, added."""
    one = conv(x, w.one, w.one_bias)
    upstream = np.zeros_like(one)
    if layer == "one":
        for row, index in enumerate(filters):
            upstream[row, :, :, index] = 1 / (one.shape[1] * one.shape[2])
    else:
        pooled = pool(np.maximum(one, 0))
        two = conv(pooled, w.two, w.two_bias)
        above = np.zeros_like(two)
        for row, index in enumerate(filters):
            above[row, :, :, index] = 1 / (two.shape[1] * two.shape[2])
        upstream = pool_input_gradient(conv_input_gradient(above * (two > 0), w.two, pooled.shape), np.maximum(one, 0))
    gradient = conv_input_gradient(upstream * (one > 0), w.one, x.shape)
    size = np.sqrt((gradient**2).mean((1, 2, 3), keepdims=True))
    return x + step * gradient / (size + 1e-5)
