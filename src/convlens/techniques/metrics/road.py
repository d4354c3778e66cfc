"""ROAD, Remove And Debias: removed pixels are imputed from their neighbours, so that their shape tells little.

Rong et al. 2022, arXiv 2202.00449.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convlens.errors import OptionError
from convlens.techniques.metrics.inputs import BATCH, Array, Score, fitted, order, scores, value_range

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
NOISE = 0.01  # standard deviation over the image's range
DIRECT, DIAGONAL = 1 / 6, 1 / 12  # weights of the eight neighbours
OFFSETS = tuple((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0))


@dataclass(frozen=True)
class Road:
    """Scores against the share of pixels that were removed and imputed.

    Attributes:
        shares: of the image's pixels, 0-1.
        morf: the scores with the most relevant removed first; low is good.
        lerf: the scores with the least relevant removed first; high is good.
        gap: mean of lerf less mean of morf; high is good, and 0 for a map that knows nothing.
        noise: standard deviation of the noise on imputed pixels, over the image's range.
    """

    shares: tuple[float, ...]
    morf: tuple[float, ...]
    lerf: tuple[float, ...]
    gap: float
    noise: float


def road(
    score: Score,
    image: Array,
    heatmap: Array,
    *,
    shares: Sequence[float] = SHARES,
    noise: float = NOISE,
    seed: int = 0,
    batch_size: int = BATCH,
) -> Road:
    """The score while pixels are removed and imputed, from the map's highest value on, and from its lowest.

    Exactly the share asked for is removed, rounded down to whole pixels: equal values of the map are told apart by a
    fixed noise, so that a map that is half zero does not lose the whole image at once.

    Args:
        score: float32 (n, height, width, channels) -> (n,), probabilities of the explained class.
        image: (height, width, channels), as the network takes it.
        heatmap: (rows, columns) of any size; it is brought to the image's bilinearly.
        shares: of the pixels, at least 0 and below 1: from what is left all others are imputed.
        noise: see `imputed`.

    Raises:
        OptionError: no share, or one outside of that.
    """
    shares = tuple(map(float, shares))
    if not shares or not all(0 <= share < 1 for share in shares):
        raise OptionError(f"shares {', '.join(map(str, shares))}: expected some, from 0 to below 1")
    ranked = order(fitted(heatmap, image), seed)
    counts = [int(share * len(ranked) + 1e-9) for share in shares]  # 0.7 * 10 is a little below 7

    def removed(number: int) -> Array:
        count = counts[number % len(counts)]
        gone = np.zeros(len(ranked), dtype=bool)
        gone[ranked[:count] if number < len(counts) else ranked[len(ranked) - count :]] = True
        return imputed(image, gone.reshape(image.shape[:2]), noise=noise, seed=seed)

    values = scores(score, removed, 2 * len(counts), batch_size)
    morf, lerf = values[: len(counts)], values[len(counts) :]
    gap = float(lerf.mean() - morf.mean())
    return Road(shares, tuple(morf.tolist()), tuple(lerf.tolist()), gap, noise)


def imputed(image: Array, missing: Array, *, noise: float = NOISE, seed: int = 0) -> Array:
    """An image whose missing pixels are the weighted mean of their neighbours, which may be missing themselves.

    Direct neighbours weigh 1/6, diagonal ones 1/12; at the border, the weights of those that exist are scaled to 1. All
    missing pixels are solved for at once; a little noise is then added to them.

    Args:
        image: (height, width, channels).
        missing: bool (height, width).
        noise: standard deviation over the image's range (highest less lowest), drawn from the seed and the image's
            shape.

    Returns:
        float32 (height, width, channels).

    Raises:
        OptionError: all pixels are missing.
    """
    if missing.all():
        raise OptionError("all pixels are missing: nothing is left to impute them from")
    filled = image.astype(np.float64)
    if not missing.any():
        return filled.astype(np.float32)
    matrix, known = _system(filled, missing)
    noises = np.random.default_rng(seed).normal(0, noise * value_range(image), image.shape)
    filled[missing] = _solved(matrix, known) + noises[missing]
    return filled.astype(np.float32)


def _system(image: Array, missing: Array) -> tuple[Any, Array]:
    """The sparse matrix of the missing pixels, and what their known neighbours add: (missing, channels)."""
    from scipy.sparse import csc_matrix

    height, width = missing.shape
    numbers = np.full((height, width), -1)
    count = int(missing.sum())
    numbers[missing] = np.arange(count)
    total, known = np.zeros(count), np.zeros((count, image.shape[2]))
    entries: list[tuple[Array, Array, Array]] = []
    for down, right in OFFSETS:
        weight = DIRECT if 0 in (down, right) else DIAGONAL
        here = (slice(max(-down, 0), height - max(down, 0)), slice(max(-right, 0), width - max(right, 0)))
        there = (slice(max(down, 0), height - max(-down, 0)), slice(max(right, 0), width - max(-right, 0)))
        own, other = numbers[here], numbers[there]
        total[own[own >= 0]] += weight
        at_known = (own >= 0) & (other < 0)
        known[own[at_known]] += weight * image[there][at_known]
        both = (own >= 0) & (other >= 0)
        entries.append((own[both], other[both], np.full(int(both.sum()), -weight)))
    entries.append((np.arange(count), np.arange(count), total))
    rows, columns, values = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    return csc_matrix((values, (rows, columns)), (count, count)), known


def _solved(matrix: Any, known: Array) -> Array:
    """The solution of a symmetric system with a positive diagonal, by one factorization for all channels."""
    from scipy.sparse.linalg import splu

    factors: Any = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return np.asarray(factors.solve(known))
