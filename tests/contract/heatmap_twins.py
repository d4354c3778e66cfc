"""Every heatmap method in plain NumPy, float64, slow, from its paper; and a network for which wrong formulas differ.

The network has no pooling before its classifier, and takes any activation: conv 3x3 valid + activation ("conv") ->
flatten -> dense + ReLU -> dense ("logits") -> softmax.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.contract import twin

Function = Callable[[np.ndarray], np.ndarray]
SIDES, CLASSES, UNITS = (9, 7), 4, 10
ACTIVATIONS: dict[str, Function] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "silu": lambda x: x / (1 + np.exp(-x)),
}


@dataclass(frozen=True)
class Seen:
    """What a method works on, for one target.

    Attributes:
        features, gradients: A and dy/dA, (batch, height, width, channels).
        images: (batch, height, width, channels), as the network takes them.
        score: y, (batch,).
        probability: from images to the target's probability, (n,).
        score_with: from features of all images to the target's score, (n,).
    """

    features: np.ndarray
    gradients: np.ndarray
    images: np.ndarray
    score: np.ndarray
    probability: Function
    score_with: Function


TWINS: dict[str, Callable[[Seen], np.ndarray]] = {}


def twin_of(name: str) -> Callable:
    """Registers a function, from what is seen to the maps before the ReLU, (batch, height, width), as a method's."""

    def register(function: Callable[[Seen], np.ndarray]) -> Callable[[Seen], np.ndarray]:
        TWINS[name] = function
        return function

    return register


def weighted(weights: np.ndarray, features: np.ndarray) -> np.ndarray:
    maps = np.zeros(features.shape[:3])
    for image, channel in np.ndindex(*weights.shape):
        maps[image] += weights[image, channel] * features[image, :, :, channel]
    return maps


@twin_of("grad-cam")
def grad_cam(seen: Seen) -> np.ndarray:
    return weighted(seen.gradients.mean((1, 2)), seen.features)


@twin_of("hirescam")
def hirescam(seen: Seen) -> np.ndarray:
    return (seen.gradients * seen.features).sum(-1)


@twin_of("grad-cam-elementwise")
def grad_cam_elementwise(seen: Seen) -> np.ndarray:
    return np.maximum(seen.gradients * seen.features, 0).sum(-1)


@twin_of("layercam")
def layercam(seen: Seen) -> np.ndarray:
    return (np.maximum(seen.gradients, 0) * seen.features).sum(-1)


@twin_of("grad-cam++")
def grad_cam_plus_plus(seen: Seen) -> np.ndarray:
    """With the second and third derivatives of exp(y) as the paper has them, whose common factor exp(y) cancels."""
    weights = np.zeros((len(seen.features), seen.features.shape[-1]))
    for image, channel in np.ndindex(*weights.shape):
        total = seen.features[image, :, :, channel].sum()
        for slope in seen.gradients[image, :, :, channel].ravel():
            if slope != 0:
                share = slope**2 / (2 * slope**2 + total * slope**3)
                weights[image, channel] += share * max(slope, 0)
    return weighted(weights, seen.features)


@twin_of("xgrad-cam")
def xgrad_cam(seen: Seen) -> np.ndarray:
    weights = np.zeros((len(seen.features), seen.features.shape[-1]))
    for image, channel in np.ndindex(*weights.shape):
        features, slopes = seen.features[image, :, :, channel], seen.gradients[image, :, :, channel]
        if features.any():
            weights[image, channel] = sum(
                slopes[place] * features[place] / features.sum() for place in np.ndindex(*features.shape)
            )
    return weighted(weights, seen.features)


@twin_of("eigencam")
def eigencam(seen: Seen) -> np.ndarray:
    maps = []
    for features in seen.features:
        matrix = features.reshape(-1, features.shape[-1])
        component = matrix @ np.linalg.svd(matrix, full_matrices=False)[2][0]
        maps.append((component * np.sign(component @ matrix.sum(-1) or 1)).reshape(features.shape[:2]))
    return np.stack(maps)


def enlarged(map_: np.ndarray, height: int, width: int) -> np.ndarray:
    """Linear interpolation between the centres of cells, first down, then across."""

    def centres(count: int) -> np.ndarray:
        return (np.arange(count) + 0.5) / count

    down = np.stack([np.interp(centres(height), centres(len(column)), column) for column in map_.T], 1)
    return np.stack([np.interp(centres(width), centres(len(row)), row) for row in down])


@twin_of("score-cam")
def score_cam(seen: Seen) -> np.ndarray:
    weights = np.zeros((len(seen.features), seen.features.shape[-1]))
    for image, features in enumerate(seen.features):
        scores = {}
        for channel in range(features.shape[-1]):
            mask = enlarged(features[:, :, channel], *seen.images.shape[1:3])
            if mask.max() > mask.min():
                mask = (mask - mask.min()) / (mask.max() - mask.min())
                scores[channel] = seen.probability(seen.images[image : image + 1] * mask[None, :, :, None])[0]
        total = sum(np.exp(score) for score in scores.values())
        for channel, score in scores.items():
            weights[image, channel] = np.exp(score) / total
    return weighted(weights, seen.features)


@twin_of("ablation-cam")
def ablation_cam(seen: Seen) -> np.ndarray:
    weights = np.zeros((len(seen.features), seen.features.shape[-1]))
    for channel in range(seen.features.shape[-1]):
        without = seen.features.copy()
        without[..., channel] = 0
        weights[:, channel] = (seen.score - seen.score_with(without)) / np.abs(seen.score)
    return weighted(weights, seen.features)


@twin_of("edges")
def edges(seen: Seen) -> np.ndarray:
    """Each pixel is cut into as many as the map has positions, so that every position has whole pixels."""
    grey, (height, width) = seen.images.mean(-1), seen.features.shape[1:3]
    length, (tall, wide) = np.zeros(grey.shape), grey.shape[1:]
    across = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    for image, row, column in np.ndindex(*grey.shape):
        rows, columns = np.clip(np.arange(3) + row - 1, 0, tall - 1), np.clip(np.arange(3) + column - 1, 0, wide - 1)
        window = grey[image][np.ix_(rows, columns)]
        length[image, row, column] = np.hypot((window * across).sum(), (window * across.T).sum())
    fine = length.repeat(height, 1).repeat(width, 2)
    return fine.reshape(len(grey), height, tall, width, wide).mean((2, 4))


@dataclass(frozen=True)
class Net:
    """The network's weights, and its activation's name."""

    kernel: np.ndarray
    bias: np.ndarray
    dense: np.ndarray
    dense_bias: np.ndarray
    last: np.ndarray
    last_bias: np.ndarray
    activation: str

    def features(self, images: np.ndarray) -> np.ndarray:
        return ACTIVATIONS[self.activation](twin.conv(images, self.kernel, self.bias))

    def logits(self, features: np.ndarray) -> np.ndarray:
        hidden = features.reshape(len(features), -1) @ self.dense + self.dense_bias
        return np.maximum(hidden, 0) @ self.last + self.last_bias

    def gradients(self, features: np.ndarray, target: int) -> np.ndarray:
        hidden = features.reshape(len(features), -1) @ self.dense + self.dense_bias
        return (((hidden > 0) * self.last[:, target]) @ self.dense.T).reshape(features.shape)

    def seen(self, images: np.ndarray, target: int) -> Seen:
        features = self.features(images)
        return Seen(
            features,
            self.gradients(features, target),
            images.astype("float64"),
            self.logits(features)[:, target],
            lambda changed: softmax(self.logits(self.features(changed)))[:, target],
            lambda changed: self.logits(changed)[:, target],
        )


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def net(activation: str, bias: float = 0.0, last_bias: float = 0.0) -> Net:
    rng = np.random.default_rng(35)  # one that keeps clear of divisions by nearly 0

    def draw(*shape: int, size: float = 0.3) -> np.ndarray:
        return rng.normal(0, size, shape).astype("float32")

    flat = (SIDES[0] - 2) * (SIDES[1] - 2) * 6
    kernel, dense, last = draw(3, 3, 3, 6), draw(flat, UNITS, size=0.1), draw(UNITS, CLASSES)
    biases = draw(6) + np.float32(bias), draw(UNITS), draw(CLASSES) + np.float32(last_bias)
    return Net(kernel, biases[0], dense, biases[1], last, biases[2], activation)


def images(batch: int = 3) -> np.ndarray:
    return np.random.default_rng(5).normal(0.3, 1, (batch, *SIDES, 3)).astype("float32")
