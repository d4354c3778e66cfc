"""Maps of activations and their gradients, position by position or with a weight a channel.

A are the activations of a layer, (batch, height, width, channels), g = dy/dA the gradients of a target's score.
"""

from typing import Any

from convlens.backend.arrays import numpy_arrays
from convlens.techniques.probe import ClassProbe

CANCELLED = 1e-3  # of the sum of absolute values: what is left of a sum that is 0 by construction


def grad_cam(probe: ClassProbe) -> Any:
    """Grad-CAM: sum_k mean(g_k) A_k, the mean over positions.

    Selvaraju et al. 2016, arXiv 1610.02391, equations 1 and 2.
    """
    from keras import ops

    def maps(gradients: Any) -> Any:
        return ops.sum(ops.mean(gradients, axis=(1, 2), keepdims=True) * probe.features, axis=-1)

    return probe.of_each_target(maps)


def hirescam(probe: ClassProbe) -> Any:
    """HiResCAM: sum_k g_k A_k. Draelos and Carin 2020, arXiv 2011.08891.

    Where global average pooling and one linear layer follow, g is the same at all positions, and this is Grad-CAM.
    Where all that follows goes through a layer norm, as the patches' way to a transformer's class token does, scaling
    the activations of a position changes nothing, and the sum is 0 but for rounding: a note says so.
    """
    from keras import ops

    def maps(gradients: Any) -> Any:
        products = gradients * probe.features
        summed = ops.sum(products, axis=-1)
        largest, size = numpy_arrays(ops.max(ops.abs(summed)), ops.max(ops.sum(ops.abs(products), axis=-1)))
        if largest < CANCELLED * size:
            probe.notes.append(
                "hirescam: gradients and activations cancel over the channels, as before a layer norm: the map is next"
                " to nothing"
            )
        return summed

    return probe.of_each_target(maps)


def grad_cam_elementwise(probe: ClassProbe) -> Any:
    """Element-wise Grad-CAM: sum_k ReLU(g_k A_k): HiResCAM, without what speaks against the target.

    The ReLU is taken before the sum, so no channel makes up for another.
    """
    from keras import ops

    return probe.of_each_target(lambda gradients: ops.sum(ops.relu(gradients * probe.features), axis=-1))


def layercam(probe: ClassProbe) -> Any:
    """LayerCAM: sum_k ReLU(g_k) A_k. Jiang et al. 2021, IEEE Transactions on Image Processing.

    The ReLU is on the gradients alone: activations below 0 count against the target. Where there are none, this is
    element-wise Grad-CAM.
    """
    from keras import ops

    return probe.of_each_target(lambda gradients: ops.sum(ops.relu(gradients) * probe.features, axis=-1))
