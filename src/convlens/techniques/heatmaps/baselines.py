"""Maps that know nothing of the network: what a method has to be better than. They ignore the class."""

from hashlib import sha256
from typing import Any

import numpy as np

from convlens.backend.arrays import numpy_arrays
from convlens.techniques.heatmaps.resampling import area, resampled
from convlens.techniques.probe import ClassProbe


def random(probe: ClassProbe) -> Any:
    """Numbers from 0 to 1, drawn for each position of the layer.

    The generator is seeded by the image, so that its map is the same in every batch, and another image's another.
    """
    from keras import ops

    (images,) = numpy_arrays(probe.inputs)
    shape = probe.features.shape[1:3]
    maps = [_generator(image).random(shape, "float32") for image in images]
    return probe.same_for_all(ops.convert_to_tensor(np.stack(maps)))


def _generator(image: np.ndarray) -> np.random.Generator:
    return np.random.default_rng(list(sha256(np.ascontiguousarray(image).tobytes()).digest()))


def edges(probe: ClassProbe) -> Any:
    """The length of the image's gradient, averaged over the part of the image that belongs to each position.

    The gradient is that of the mean of the channels, in the network's units, by Sobel's 3x3 filters; beyond the border
    the image goes on as it ends.
    """
    from keras import ops

    grey: Any = ops.mean(probe.inputs, axis=-1)
    height, width = grey.shape[1:]
    wider = ops.take(grey, np.clip(np.arange(-1, height + 1), 0, height - 1).astype("int32"), axis=1)
    wider = ops.take(wider, np.clip(np.arange(-1, width + 1), 0, width - 1).astype("int32"), axis=2)

    def part(row: int, column: int) -> Any:
        return wider[:, row : row + height, column : column + width]

    across = sum(share * (part(row, 2) - part(row, 0)) for row, share in enumerate((1, 2, 1)))
    down = sum(share * (part(2, column) - part(0, column)) for column, share in enumerate((1, 2, 1)))
    length = ops.sqrt(ops.square(across) + ops.square(down))
    rows, columns = (area(*sides) for sides in zip((height, width), probe.features.shape[1:3], strict=True))
    return probe.same_for_all(resampled(length, rows, columns))
