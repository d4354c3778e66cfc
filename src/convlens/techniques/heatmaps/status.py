"""What a heatmap says, in words, and where numbers come from that are none."""

from collections.abc import Sequence

import numpy as np

from convlens.backend.arrays import numpy_arrays
from convlens.network.network import Network
from convlens.techniques.recording import recorded

OK, SATURATED, CONSTANT = "ok", "saturated", "constant"
ZERO_GRADIENT, NO_EVIDENCE, NOT_POSITIVE = "zero gradient", "no positive evidence", "no positive values"


def status_of(signed: np.ndarray, max_gradient: float | None = None, class_free: bool = False) -> str:
    """What a finite map says, in words.

    Args:
        signed: (height, width), before the ReLU.
        max_gradient: the largest absolute gradient that went into it; None where none did.
        class_free: whether the map ignores the class, so that it is no evidence for one.
    """
    if max_gradient == 0:
        return ZERO_GRADIENT
    if signed.max() <= 0:
        # a map of zeros is no evidence against a class; of gradients that are not 0, it is that none speak for it
        speaks = max_gradient is not None or signed.min() < 0
        return NO_EVIDENCE if speaks and not class_free else NOT_POSITIVE
    return CONSTANT if signed.max() == signed.min() else OK


def first_non_finite(network: Network, arrays: Sequence[np.ndarray], max_gradient: float | None = None) -> str:
    """Where values come from that are not finite: the path of the first layer that puts out such, "the gradient", or
    "the map", where all that went into it is finite.

    Args:
        arrays: one image, as the network takes it.
        max_gradient: as for `status_of`.
    """
    layers = network.select("*")
    with network.reading(), network.computing("float32"):
        outputs = recorded(network, layers)(*network.tensors(arrays))
    for layer, output in zip(layers, outputs, strict=True):
        if not np.isfinite(numpy_arrays(output)[0]).all():
            return layer.path
    return "the map" if max_gradient is None or np.isfinite(max_gradient) else "the gradient"
