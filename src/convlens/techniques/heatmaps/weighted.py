"""Maps sum_k w_k A_k with one weight a channel, which gradients and activations give together.

A are the activations of a layer, (batch, height, width, channels), g = dy/dA the gradients of a target's score.
"""

from typing import Any

from convlens.backend.arrays import numpy_arrays
from convlens.techniques.probe import ClassProbe

LEAST = 0.01  # of the sum of absolute values: what sums up to less is no number to divide by


def grad_cam_plus_plus(probe: ClassProbe) -> Any:
    """Grad-CAM++: w = sum a ReLU(g), a = g^2 / (2 g^2 + g^3 sum A), both sums over positions.

    Chattopadhyay et al. 2017, arXiv 1710.11063. The closed form is that of exp(y), whose factor exp(y) is left out
    here: it is the same for all of a map. The sum in the denominator is over A alone. Where g is 0, a is 0; else it is
    1 / (2 + g sum A), which keeps small gradients, whose third power float32 loses. Where activations are negative,
    2 + g sum A can be next to nothing: such positions are left out, and a note says so.
    """
    from keras import ops

    total: Any = ops.sum(probe.features, axis=(1, 2), keepdims=True)

    def maps(gradients: Any) -> Any:
        product: Any = gradients * total
        divisor, size = product + 2.0, ops.add(ops.abs(product), 2.0)
        usable = ops.abs(divisor) >= ops.multiply(size, LEAST)
        share = ops.where(usable, ops.divide(1.0, ops.where(usable, divisor, 1.0)), 0.0)
        if numpy_arrays(ops.any((gradients > 0) & ops.isfinite(divisor) & ~usable))[0]:
            probe.notes.append("grad-cam++: positions where it would divide by nearly 0 are left out")
        return ops.sum(ops.sum(share * ops.relu(gradients), axis=(1, 2), keepdims=True) * probe.features, axis=-1)

    return probe.of_each_target(maps)


def xgrad_cam(probe: ClassProbe) -> Any:
    """XGrad-CAM: w = sum(g A) / sum A, the sums over positions. Fu et al. 2020, arXiv 2008.02312, equation 8.

    Where activations have both signs (SiLU, GELU, before a ReLU), their sum can be next to nothing and the weight
    anything: channels whose sum is less than a hundredth of the sum of absolute values are left out, and a note says
    so. Channels of zeros add nothing either way.
    """
    from keras import ops

    features = probe.features
    total = ops.sum(features, axis=(1, 2), keepdims=True)
    size: Any = ops.sum(ops.abs(features), axis=(1, 2), keepdims=True)
    usable = ops.logical_and(ops.abs(total) >= LEAST * size, size > 0)
    live, used = numpy_arrays(size > 0, usable)
    if (live & ~used).any():
        probe.notes.append(
            "xgrad-cam: channels whose activations sum up to nearly 0 in an image have no weight by it, and are left"
            " out of that image's map"
        )

    def maps(gradients: Any) -> Any:
        mean = ops.sum(gradients * features, axis=(1, 2), keepdims=True) / ops.where(usable, total, 1.0)
        return ops.sum(ops.where(usable, mean, 0.0) * features, axis=-1)

    return probe.of_each_target(maps)
