"""How alike two maps are, with their sign.

Every measure is None where one of the maps is constant or not finite: nothing is like a map that says nothing. The sign
is kept throughout: between absolute values, two maps that contradict one another are the same.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from convlens.errors import OptionError
from convlens.techniques.metrics.inputs import Array

Similarity: TypeAlias = Callable[[Array, Array], float | None]
WINDOW = 7  # pixels a side, the usual of SSIM without Gaussian weights
SMALLEST = 3


def pearson(first: Array, second: Array) -> float | None:
    """Pearson's correlation of two maps (height, width), -1 to 1."""
    pair = _said(first, second)
    return None if pair is None else _correlation(pair[0].ravel(), pair[1].ravel())


def spearman(first: Array, second: Array) -> float | None:
    """Spearman's rank correlation of two maps (height, width), -1 to 1; equal values share their mean rank."""
    pair = _said(first, second)
    if pair is None:
        return None
    from scipy.stats import rankdata

    ranks = [np.asarray(rankdata(one.ravel()), dtype=np.float64) for one in pair]
    return _correlation(ranks[0], ranks[1])


def ssim(first: Array, second: Array) -> float | None:
    """Structural similarity of two maps (height, width), each over the root of its mean square; -1 to 1.

    Windows of 7 x 7, or the largest odd side that fits; None below 3 pixels a side. The constants are 0.01² and 0.03²
    times the range that both maps take together.

    Wang et al. 2004; the normalization keeps zero where it is, as Binder et al. 2023, arXiv 2211.12486, advise.
    """
    pair = _said(first, second)
    if pair is None or min(pair[0].shape) < SMALLEST:
        return None
    from skimage.metrics import structural_similarity

    one, other = (normalized(each) for each in pair)
    span = max(one.max(), other.max()) - min(one.min(), other.min())
    fitting = min(one.shape)
    window = min(WINDOW, fitting if fitting % 2 else fitting - 1)
    return float(np.asarray(structural_similarity(one, other, win_size=window, data_range=float(span))))


def normalized(heatmap: Array) -> Array:
    """A map over the root of its mean square, float64: its scale is taken away, its sign and its zero are kept."""
    values = heatmap.astype(np.float64)
    peak = np.abs(values).max()
    values = values / peak if peak > 0 else values  # squares of the very small and the very large would be lost
    root = float(np.sqrt(np.mean(values**2)))
    return values / root if root > 0 else values


def _said(first: Array, second: Array) -> tuple[Array, Array] | None:
    """Both maps, where both say something."""
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.ndim != 2 or one.shape != other.shape:
        raise OptionError(f"maps of shapes {one.shape} and {other.shape}: expected the same (height, width)")
    for each in (one, other):
        if each.size == 0 or not np.isfinite(each).all() or each.max() == each.min():
            return None
    return one, other


def _correlation(first: Array, second: Array) -> float:
    one, other = (_centred(each) for each in (first, second))
    return float(np.clip(one @ other, -1, 1))


def _centred(values: Array) -> Array:
    """Less their mean, at length 1."""
    values = values / np.abs(values).max()
    values = values - values.mean()
    return values / np.linalg.norm(values)


SIMILARITIES: dict[str, Similarity] = {"pearson": pearson, "spearman": spearman, "ssim": ssim}
