"""Does a map foretell what changes of the input do to the score, and is it itself steady under small ones?"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from convlens.errors import OptionError
from convlens.techniques.metrics.baselines import Baseline, baseline_image
from convlens.techniques.metrics.inputs import BATCH, Array, Maps, Score, checked, fitted, mapped, scores, value_range

Perturbation: TypeAlias = Callable[[Array, np.random.Generator], Array]


def gaussian(sigma: float) -> Perturbation:
    """Noise on every value, with a standard deviation that is a share of the image's range (highest less lowest)."""
    if not sigma > 0:
        raise OptionError(f"noise of {sigma:g}: expected a positive share of the image's range")
    return lambda image, random: random.normal(0, sigma * value_range(image), image.shape)


def square(side: float, baseline: Baseline) -> Perturbation:
    """What is lost where a square at a random place becomes the baseline; its side is a share of the shorter side."""
    if not 0 < side <= 1:
        raise OptionError(f"a square of {side:g}: expected a share of the image's shorter side, above 0 and up to 1")

    def perturb(image: Array, random: np.random.Generator) -> Array:
        height, width = image.shape[:2]
        length = max(round(side * min(height, width)), 1)
        top, left = random.integers(height - length + 1), random.integers(width - length + 1)
        lost = np.zeros(image.shape)
        inside = (slice(top, top + length), slice(left, left + length))
        lost[inside] = (image - baseline_image(image, baseline)[0])[inside]
        return lost

    return perturb


@dataclass(frozen=True)
class Infidelity:
    """How far a map is from foretelling the changes of a score.

    Attributes:
        value: mean square of what it gets wrong, in squared units of the score, with the best scale; low is good.
        relative: the value over that of a map that is zero, 0-1; None where the score never changed.
        scale: the factor of the map that fits best; 0 where only a negative one would, and for a map that is zero.
    """

    value: float
    relative: float | None
    scale: float


def infidelity(
    score: Score,
    image: Array,
    heatmap: Array,
    *,
    perturbation: Perturbation,
    samples: int,
    seed: int = 0,
    batch_size: int = BATCH,
) -> Infidelity:
    """Mean of (scale · sum(I · map) - (y(x) - y(x - I)))² over perturbations I of the image x; low is good.

    The scale is the best one that is not negative: raw maps have no units, and one that says the opposite of what
    happens must not count as faithful.

    Args:
        score: float32 (n, height, width, channels) -> (n,); the logit, of which gradients are explanations.
        heatmap: (rows, columns), signed, taken for every channel alike; or (height, width, channels).
        perturbation: `gaussian(...)` or `square(...)`.
        samples: perturbations; they cost an input each.

    Yeh et al. 2019, arXiv 1901.09392.
    """
    if samples < 1:
        raise OptionError(f"{samples} samples: expected at least 1")
    image = image.astype(np.float32)
    weights = _weights(heatmap, image)
    foretold = np.zeros(samples + 1)

    def perturbed(number: int) -> Array:
        if number == samples:
            return image
        changed = (image - perturbation(image, np.random.default_rng((seed, number)))).astype(np.float32)
        foretold[number] = np.sum((image.astype(np.float64) - changed) * weights)  # what float32 left of the change
        return changed

    values = scores(score, perturbed, samples + 1, batch_size)
    changes, foretold = values[-1] - values[:-1], foretold[:-1]
    return _fitted(foretold, changes)


def _fitted(foretold: Array, changes: Array) -> Infidelity:
    """The infidelity with the scale that fits best."""
    power = float(foretold @ foretold)
    scale = max(float(foretold @ changes) / power, 0.0) if power > 0 else 0.0
    value, empty = float(np.mean((scale * foretold - changes) ** 2)), float(np.mean(changes**2))
    return Infidelity(value, value / empty if empty > 0 else None, scale)


def _weights(heatmap: Array, image: Array) -> Array:
    """A map for each value of the image."""
    if heatmap.ndim == 2:
        return fitted(heatmap, image)[..., None]
    if heatmap.shape != image.shape:
        raise OptionError(f"a map of shape {heatmap.shape} for an image of shape {image.shape}")
    return checked(heatmap.reshape(len(heatmap), -1)).reshape(image.shape)


def max_sensitivity(
    maps: Maps,
    image: Array,
    heatmap: Array,
    *,
    radius: float,
    samples: int,
    seed: int = 0,
    batch_size: int = BATCH,
) -> float | None:
    """The largest change of a map under noise within a radius, over the length of the map; low is steady.

    max ‖map(x + noise) - map(x)‖ / ‖map(x)‖ with the Euclidean norm; None for a map that is zero. A map that never
    changes has 0, whether it explains anything or not.

    Args:
        maps: float32 (n, height, width, channels) -> (n, rows, columns), before any normalization.
        heatmap: the map of the image itself, (rows, columns).
        radius: of the uniform noise on every value, as a share of the image's range (highest less lowest).
        samples: noises, of which each costs a map.

    Yeh et al. 2019, arXiv 1901.09392.
    """
    if samples < 1 or batch_size < 1 or not radius > 0:
        raise OptionError(f"{samples} samples, batch size {batch_size}, radius {radius:g}: expected more than 0")
    clean = checked(heatmap).astype(np.float64)
    length, largest = float(np.linalg.norm(clean)), 0.0
    if length == 0:
        return None
    reach = radius * value_range(image)
    for start in range(0, samples, batch_size):
        noises = [
            np.random.default_rng((seed, number)).uniform(-reach, reach, image.shape)
            for number in range(start, min(start + batch_size, samples))
        ]
        for noisy in mapped(maps, image + np.stack(noises)):
            if noisy.shape != clean.shape:
                raise OptionError(f"maps of shapes {clean.shape} and {noisy.shape}: expected the same")
            largest = max(largest, float(np.linalg.norm(noisy - clean)))
    return largest / length
