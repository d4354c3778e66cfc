"""Class activation maps: from a layer's activations and gradients to one map, a function a method."""

from collections.abc import Callable
from typing import Any


def grad_cam(activations: Any, gradients: Any) -> Any:
    """Grad-CAM before its ReLU: channels weighted by the mean of their gradient over space, and summed.

    Args:
        activations, gradients: (batch, height, width, channels).

    Returns:
        (batch, height, width). Selvaraju et al. 2017, arXiv 1610.02391, equations 1 and 2.
    """
    from keras import ops

    weights = ops.mean(gradients, axis=(1, 2), keepdims=True)
    return ops.sum(weights * activations, axis=-1)


METHODS: dict[str, Callable] = {"grad-cam": grad_cam}
