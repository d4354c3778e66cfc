"""How sure a mean over images is, and whether one method is better than another on the same images."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from convlens.errors import OptionError
from convlens.techniques.metrics.inputs import Array

DRAWS = 10_000
FEWEST = 5  # values from which on an interval holds the truth about as often as it says
AT_ONCE = 2**20  # drawn values that are held at the same time
EXACT = 14  # differences up to which all signs are tried


@dataclass(frozen=True)
class Interval:
    """A mean over images with its confidence interval.

    Attributes:
        mean: of the images that have a value; None where none has.
        low, high: None below five values, which do not tell how much images differ.
        count: images with a value.
        undefined: images without one, which are left out.
        level: of confidence, 0-1.
    """

    mean: float | None
    low: float | None
    high: float | None
    count: int
    undefined: int
    level: float


def mean_interval(
    values: Sequence[float | None], *, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """The mean of a metric over images, with a bootstrap interval.

    The percentiles are widened as Student's t is against the normal distribution, and by sqrt(n / (n - 1)): plain
    percentiles are too narrow for few images (Hesterberg 2015, "expanded percentiles").

    Args:
        values: one per image; None where the metric is not defined.
        level: of confidence, above 0 and below 1.
        draws: bootstrap samples.

    Raises:
        OptionError: a level or number of draws that makes no interval, or a value that is not finite.
    """
    if not 0 < level < 1 or draws < 1:
        raise OptionError(f"level {level:g} with {draws} draws: expected a level between 0 and 1, and draws")
    defined = _finite([value for value in values if value is not None])
    missing = len(values) - len(defined)
    if len(defined) < FEWEST:
        return Interval(float(defined.mean()) if len(defined) else None, None, None, len(defined), missing, level)
    tail = _tail(len(defined), level)
    low, high = np.quantile(_means(defined, draws, seed), (tail, 1 - tail))
    return Interval(float(defined.mean()), float(low), float(high), len(defined), missing, level)


def _tail(count: int, level: float) -> float:
    """The share of bootstrap means beyond each end of the interval."""
    from scipy.special import ndtr, stdtrit

    student = -float(stdtrit(count - 1, (1 - level) / 2))
    return float(ndtr(-sqrt(count / (count - 1)) * student))


def _means(values: Array, draws: int, seed: int) -> Array:
    """Means of bootstrap samples (draws,); few of the samples exist at the same time."""
    random, size = np.random.default_rng(seed), len(values)
    step = max(AT_ONCE // size, 1)
    parts = [
        values[random.integers(size, size=(min(step, draws - start), size))].mean(axis=1)
        for start in range(0, draws, step)
    ]
    return np.concatenate(parts)


@dataclass(frozen=True)
class Comparison:
    """One method against another on the same images.

    Attributes:
        difference: of the first less the second, over the images on which both have a value.
        wins, losses, ties: images on which the first is better, worse, or the same.
        p_value: how likely a difference as large, in either direction, is if the two are the same; None without images.
    """

    difference: Interval
    wins: int
    losses: int
    ties: int
    p_value: float | None


def compare(
    first: Sequence[float | None],
    second: Sequence[float | None],
    *,
    higher_is_better: bool,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Comparison:
    """Whether a metric differs between two methods, paired by image.

    The p-value is of the sign-flip test of the mean difference: all signs are tried up to 14 images whose values
    differ, and `draws` random ones beyond.

    Args:
        first, second: one value per image, in the same order; None where the metric is not defined.

    Raises:
        OptionError: another number of values, or as of `mean_interval`.
    """
    if len(first) != len(second):
        raise OptionError(f"{len(first)} and {len(second)} values: expected one per image for both methods")
    pairs = zip(first, second, strict=True)
    differences = [None if one is None or other is None else one - other for one, other in pairs]
    interval = mean_interval(differences, level=level, draws=draws, seed=seed)
    defined = _finite([value for value in differences if value is not None])
    above, below = int((defined > 0).sum()), int((defined < 0).sum())
    wins, losses = (above, below) if higher_is_better else (below, above)
    p_value = _sign_flip(defined, draws, seed) if len(defined) else None
    return Comparison(interval, wins, losses, len(defined) - above - below, p_value)


def _sign_flip(differences: Array, draws: int, seed: int) -> float:
    """The share of signs with a sum as far from zero; equal values have no sign and change nothing."""
    sizes = np.abs(differences[differences != 0])
    seen = abs(float(differences.sum())) * (1 - 1e-12)  # the same sum in another order of adding
    if len(sizes) <= EXACT:
        signs = 1 - 2 * ((np.arange(2 ** len(sizes))[:, None] >> np.arange(len(sizes))) & 1)
        return float(np.mean(np.abs(signs @ sizes) >= seen))
    random, step, reached = np.random.default_rng((seed, 1)), max(AT_ONCE // len(sizes), 1), 0
    for start in range(0, draws, step):
        signs = random.integers(2, size=(min(step, draws - start), len(sizes))) * 2 - 1
        reached += int((np.abs(signs @ sizes) >= seen).sum())
    return (reached + 1) / (draws + 1)


def _finite(values: Sequence[float]) -> Array:
    found = np.array(values, dtype=np.float64)
    if not np.isfinite(found).all():
        raise OptionError("a metric's value that is not finite: expected a number, or None where it is not defined")
    return found
