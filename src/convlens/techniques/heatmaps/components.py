"""Maps of what the activations of a layer have most of: they ignore the class."""

from typing import Any

from convlens.techniques.probe import ClassProbe


def eigencam(probe: ClassProbe) -> Any:
    """Eigen-CAM: A v, v the first right singular vector of the activations A of an image, (positions, channels).

    Muhammad and Yeasin 2020, arXiv 2008.00299, equation 2: A as it is, without taking the mean off. The sign of v is
    arbitrary: it is the one with which the map correlates with the sum of the activations over channels, which is the
    sign of v's own sum. So a layer that is never negative has a map that is never negative.
    """
    from keras import ops

    batch, height, width, channels = probe.features.shape
    matrix = ops.reshape(probe.features, (batch, height * width, channels))
    clean = ops.where(ops.isfinite(matrix), matrix, 0.0)  # of others, backends' solvers raise or do not end
    largest = ops.max(ops.abs(clean), axis=(1, 2), keepdims=True)
    clean = clean / ops.where(largest > 0, largest, 1.0)
    turned = ops.swapaxes(clean, 1, 2)
    if channels > height * width:  # the smaller of the two square matrices has the same values
        direction = ops.matmul(turned, _first(ops.matmul(clean, turned)))
        length = ops.sqrt(ops.sum(ops.square(direction), axis=1, keepdims=True))
        direction = direction / ops.where(length > 0, length, 1.0)
    else:
        direction = _first(ops.matmul(turned, clean))
    sign = ops.where(ops.sum(direction, axis=1, keepdims=True) < 0, -1.0, 1.0)
    return probe.same_for_all(ops.reshape(ops.matmul(matrix, direction * sign), (batch, height, width)))


def _first(square: Any) -> Any:
    """The eigenvector of the largest eigenvalue, (batch, side, 1), of symmetric matrices (batch, side, side)."""
    from keras import ops

    return ops.eigh(square)[1][:, :, -1:]
