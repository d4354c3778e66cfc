"""What an attribution says, in words, and whether its sum is what it should be."""

from collections.abc import Sequence

import numpy as np

from convlens.network.network import Network
from convlens.results.attributions import Completeness
from convlens.techniques.heatmaps.status import CONSTANT, OK, SATURATED, ZERO_GRADIENT, first_non_finite

INCOMPLETE = "incomplete"
MOST = 0.1  # of the score's change, that a map's sum may be off


def status_of(
    network: Network,
    arrays: Sequence[np.ndarray],
    values: np.ndarray,
    max_gradient: float | None,
    saturated: bool,
    complete: Completeness | None,
) -> str:
    """What a map says, in words.

    Args:
        arrays: the image, as the network takes it.
        values: (height, width).
        max_gradient: the largest absolute gradient that went into it; None where none did.
        saturated: whether the logit that is explained is lost to rounding.
        complete: whether its sum is what it should be; None where the method does not say.
    """
    if not np.isfinite(values).all():
        return f"non-finite at {first_non_finite(network, arrays, max_gradient)}"
    if saturated:
        return SATURATED
    if max_gradient == 0:
        return ZERO_GRADIENT
    if complete is not None and not complete.share <= MOST:
        return INCOMPLETE
    return CONSTANT if values.max() == values.min() else OK


def completeness_of(values: np.ndarray, total: np.ndarray | None) -> tuple[Completeness, ...] | None:
    """What maps (batch, height, width) sum to, and what they should."""
    if total is None:
        return None
    return tuple(
        Completeness(float(one.sum(dtype="float64")), float(wanted), float(np.abs(one).sum(dtype="float64")))
        for one, wanted in zip(values, total, strict=True)
    )
