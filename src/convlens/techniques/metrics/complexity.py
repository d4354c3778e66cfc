"""How spread or how sparse a map is; its sign does not count."""

import numpy as np

from convlens.errors import OptionError
from convlens.techniques.metrics.inputs import Array, checked

BINS = 100


def complexity(heatmap: Array) -> float | None:
    """Entropy of the shares that the pixels have in a map's absolute sum, in nats; low is concentrated.

    0 where one pixel has it all, ln(pixels) where all have the same: maps of different sizes cannot be compared. None
    for a map that is zero. Bhatt et al. 2020, arXiv 2005.00631.

    Args:
        heatmap: (height, width).
    """
    shares = _shares(heatmap)
    if shares is None:
        return None
    shares = shares[shares > 0]
    return max(-float(np.sum(shares * np.log(shares))), 0.0)


def sparseness(heatmap: Array) -> float | None:
    """Gini index of a map's absolute values: 0 where all pixels are the same, 1 - 1/pixels where one has it all.

    None for a map that is zero. Chalasani et al. 2020, arXiv 1810.06583.

    Args:
        heatmap: (height, width).
    """
    shares = _shares(heatmap)
    if shares is None:
        return None
    count = shares.size
    ranks = np.arange(1, count + 1)
    return max(1 - 2 * float(np.sum(np.sort(shares) * (count - ranks + 0.5))) / count, 0.0)


def histogram_entropy(heatmap: Array, bins: int = BINS) -> float:
    """Entropy of how often the values of a map fall into equal bins between its lowest and its highest, in nats.

    0 for a constant map. The complexity that the efficient randomization test compares: Hedström et al. 2024, arXiv
    2401.06465.

    Args:
        heatmap: (height, width), its sign kept.
    """
    if bins < 1:
        raise OptionError(f"{bins} bins: expected at least 1")
    values = checked(heatmap).astype(np.float64)
    lowest, highest = values.min(), values.max()
    if lowest == highest:
        return 0.0
    counts = np.bincount(np.minimum(((values - lowest) / (highest - lowest) * bins).astype(int), bins - 1).ravel())
    shares = counts[counts > 0] / values.size
    return max(-float(np.sum(shares * np.log(shares))), 0.0)


def _shares(heatmap: Array) -> Array | None:
    values = np.abs(checked(heatmap)).astype(np.float64).ravel()
    total = float(values.sum())
    return values / total if total > 0 else None
