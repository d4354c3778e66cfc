"""What results are made of in tests, without any framework."""

import numpy as np

from convlens.results.activations import LayerStatistics


def measured(values: np.ndarray) -> LayerStatistics:
    """The statistics of a layer's output for one image, (…, channels), by their definition."""
    channels = [values[..., channel] for channel in range(values.shape[-1])]
    blank = [one.max() == one.min() and (one.size > 1 or one.max() == 0) for one in channels]
    mean, active = float(np.mean(values, dtype="float64")), float(np.mean(values > 0))
    return LayerStatistics(
        active, tuple(int(i) for i in np.flatnonzero(blank)), mean, float(values.max()), len(channels)
    )
