"""The way back from the framework."""

from typing import Any

import numpy as np


def numpy_arrays(*tensors: Any) -> list[np.ndarray]:
    """Arrays that may be written to, of tensors that nobody else holds."""
    from keras import ops

    arrays = [np.asarray(ops.convert_to_numpy(tensor)) for tensor in tensors]
    return [array if array.flags.writeable else array.copy() for array in arrays]
