"""Does the score change where the map says that it must? Removing, adding and keeping what a map shows."""

from dataclasses import dataclass

import numpy as np

from convlens.errors import OptionError
from convlens.techniques.metrics.baselines import Baseline, baseline_image
from convlens.techniques.metrics.inputs import BATCH, Array, Maps, Score, fitted, mapped, order, scores, unit
from convlens.techniques.metrics.similarity import pearson


@dataclass(frozen=True)
class Curve:
    """A score against the share of pixels that were removed, or added.

    Attributes:
        shares: 0 to 1, of the image's pixels.
        scores: the explained score at each share.
        area: under the curve by the trapezoidal rule, in units of the score.
        baseline: what stood in place of the pixels, in words.
        steps: inputs that were scored beside the first.
    """

    shares: tuple[float, ...]
    scores: tuple[float, ...]
    area: float
    baseline: str
    steps: int


def deletion(
    score: Score,
    image: Array,
    heatmap: Array,
    *,
    baseline: Baseline,
    steps: int,
    seed: int = 0,
    batch_size: int = BATCH,
) -> Curve:
    """How the score falls while pixels are removed, those first where the map is highest; low is good.

    Args:
        score: float32 (n, height, width, channels) -> (n,), probabilities of the explained class.
        image: (height, width, channels), as the network takes it.
        heatmap: (rows, columns) of any size; it is brought to the image's bilinearly.
        baseline: what removed pixels become, see `baseline_image`.
        steps: how many times pixels are removed; no more than there are pixels.
        seed: of the order of pixels with the same value.

    Petsiuk et al. 2018, arXiv 1806.07421.
    """
    empty, words = baseline_image(image, baseline)
    return _curve(score, image, empty, order(fitted(heatmap, image), seed), words, steps, batch_size)


def insertion(
    score: Score,
    image: Array,
    heatmap: Array,
    *,
    baseline: Baseline,
    steps: int,
    seed: int = 0,
    batch_size: int = BATCH,
) -> Curve:
    """How the score rises while pixels are added to the baseline, those first where the map is highest; high is good.

    Arguments as of `deletion`; Petsiuk et al. 2018, arXiv 1806.07421.
    """
    empty, words = baseline_image(image, baseline)
    return _curve(score, empty, image, order(fitted(heatmap, image), seed), words, steps, batch_size)


def _curve(score: Score, start: Array, end: Array, ranked: Array, words: str, steps: int, batch_size: int) -> Curve:
    """The scores on the way from one image to another, pixel by pixel as they are ranked."""
    if steps < 1:
        raise OptionError(f"{steps} steps: expected at least 1")
    pixels = len(ranked)
    steps = min(steps, pixels)
    counts = [round(number * pixels / steps) for number in range(steps + 1)]
    first, last = (picture.astype(np.float32).reshape(pixels, -1) for picture in (start, end))

    def replaced(number: int) -> Array:
        mixed = first.copy()
        mixed[ranked[: counts[number]]] = last[ranked[: counts[number]]]
        return mixed.reshape(start.shape)

    values = scores(score, replaced, steps + 1, batch_size)
    shares = np.array(counts) / pixels
    area = float(np.sum(np.diff(shares) * (values[1:] + values[:-1]) / 2))
    return Curve(tuple(shares.tolist()), tuple(values.tolist()), area, words, steps)


def kept(image: Array, heatmap: Array, *, baseline: Baseline) -> Array:
    """What a map leaves of an image: float32 (height, width, channels), the more of the baseline the lower the map.

    The map counts by its positive part over its maximum: a constant positive map keeps the whole image, and one without
    positive values nothing.
    """
    empty, _ = baseline_image(image, baseline)
    weights = unit(fitted(heatmap, image))[..., None]
    return (weights * image + (1 - weights) * empty).astype(np.float32)


def before_and_after(score: Score, image: Array, heatmap: Array, *, baseline: Baseline) -> tuple[float, float]:
    """The score of an image, and of what its map leaves of it: two inputs in one pass."""
    pair = (image, kept(image, heatmap, baseline=baseline))
    before, after = scores(score, lambda number: pair[number], 2, batch_size=2)
    return float(before), float(after)


def drop(before: float, after: float) -> float | None:
    """Which share of the probability is lost where only what the map shows is kept; 0-1, low is good.

    ReLU(p - p') / p; None where p is 0. Its mean over images is the average drop of Chattopadhyay et al. 2018, arXiv
    1710.11063. A map that keeps everything has a drop of 0: see the gain and the complexity beside it.
    """
    _check_probabilities(before, after)
    return None if before == 0 else max(before - after, 0.0) / before


def increase(before: float, after: float) -> float:
    """1 where the probability rises when only what the map shows is kept, else 0; its mean is the share of images.

    "Increase in confidence" of Chattopadhyay et al. 2018, arXiv 1710.11063.
    """
    _check_probabilities(before, after)
    return float(after > before)


def gain(before: float, after: float) -> float | None:
    """Which share of what the probability lacks to 1 is gained where only what the map shows is kept; high is good.

    ReLU(p' - p) / (1 - p); None where p is 1. Its mean is the average gain of Zhang et al. 2023, arXiv 2301.07002.
    """
    _check_probabilities(before, after)
    return None if before >= 1 else max(after - before, 0.0) / (1 - before)


def _check_probabilities(*values: float) -> None:
    for value in values:
        if not 0 <= value <= 1 + 1e-6:
            raise OptionError(f"a score of {value:g}: expected probabilities of 0 to 1, not logits")


@dataclass(frozen=True)
class Adcc:
    """The parts of ADCC, each 0-1.

    Attributes:
        value: harmonic mean of coherency, 1 - complexity and 1 - drop; None where the drop is none.
        coherency: (1 + r) / 2, where r is the correlation of the map with the map of what it keeps; None where one of
            them is constant. The value is then 0.
        complexity: mean of the map over its maximum.
        drop: see `drop`.
    """

    value: float | None
    coherency: float | None
    complexity: float
    drop: float | None


def adcc(score: Score, maps: Maps, image: Array, heatmap: Array, *, baseline: Baseline) -> Adcc:
    """Does a map keep the score with few pixels, and is what it keeps explained by the same map? 0-1, high is good.

    A constant map has an ADCC of 0: if it is zero, its correlation is unknown and nothing is kept; if it is not, its
    complexity is 1.

    Args:
        score: float32 (n, height, width, channels) -> (n,), probabilities of the explained class.
        maps: float32 (n, height, width, channels) -> (n, rows, columns), for the same class.
        heatmap: the map of the image, (rows, columns).
        baseline: the paper's is zero; see `baseline_image`.

    Poppi et al. 2021, arXiv 2104.10252.
    """
    remaining = kept(image, heatmap, baseline=baseline)
    pair = (image, remaining)
    before, after = scores(score, lambda number: pair[number], 2, batch_size=2)
    again = mapped(maps, remaining[None])[0]
    return adcc_of(heatmap, again, float(before), float(after))


def adcc_of(heatmap: Array, again: Array, before: float, after: float) -> Adcc:
    """ADCC from the map, the map of what it keeps, and the probability before and after; see `adcc`."""
    correlation = pearson(heatmap, again)
    coherency = None if correlation is None else (1 + correlation) / 2
    complexity, lost = float(unit(heatmap).mean(dtype=np.float64)), drop(before, after)
    if lost is None:
        return Adcc(None, coherency, complexity, None)
    parts = (coherency or 0.0, 1 - complexity, 1 - lost)
    value = 3 / sum(1 / part for part in parts) if min(parts) > 0 else 0.0
    return Adcc(value, coherency, complexity, lost)
