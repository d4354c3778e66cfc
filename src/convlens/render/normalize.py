"""From raw values to what can be shown, without dividing by a maximum or a deviation that may be 0."""

import numpy as np

EPSILON = 1e-5


def channel_scale(values: np.ndarray) -> np.ndarray:
    """Each channel centred on its mean, over its standard deviation, x 64 + 128; a constant channel becomes 128.

    Args:
        values: (height, width, channels).

    Returns:
        uint8 of the same shape.
    """
    finite = np.nan_to_num(values.astype("float32")).astype("float64")  # squares of infinities must not overflow
    centred = finite - finite.mean((0, 1))
    deviation = centred.std((0, 1))
    return np.clip(centred / np.where(deviation > 0, deviation, 1) * 64 + 128, 0, 255).astype("uint8")


def layer_scale(values: np.ndarray) -> np.ndarray:
    """All channels on one scale, from the layer's least to its greatest value.

    Args:
        values: (height, width, channels).

    Returns:
        uint8 of the same shape; zeros where all values are equal. Infinities count as the greatest and least value.
    """
    low, high = value_range(values)
    shown = np.clip(np.nan_to_num(values.astype("float64"), nan=low), low, high)
    return ((shown - low) * (255 / (high - low) if high > low else 0)).astype("uint8")


def value_range(values: np.ndarray) -> tuple[float, float]:
    """The least and the greatest finite value; zeros where there is none."""
    finite = np.isfinite(values)
    if not finite.any():
        return 0.0, 0.0
    return float(values.min(where=finite, initial=np.inf)), float(values.max(where=finite, initial=-np.inf))


def constant_channels(values: np.ndarray) -> np.ndarray:
    """Which channels have the same value everywhere, bool (channels,), from (…, channels)."""
    flat = values.reshape(-1, values.shape[-1])
    return flat.max(0) == flat.min(0)


def pattern_image(images: np.ndarray) -> np.ndarray:
    """The book's display of a pattern: mean 0, deviation 0.1, around 0.5, clipped to 0-1, to bytes.

    Args:
        images: (filters, height, width, channels), each scaled by itself.

    Returns:
        uint8 (filters, height, width, 3); other than 3 channels are shown as grey (1) or by the first three.
    """
    latents = np.nan_to_num(images.astype("float32"))
    axes = (1, 2, 3)
    latents = latents - latents.mean(axes, keepdims=True)
    latents = latents / (latents.std(axes, keepdims=True) + EPSILON) * 0.1 + 0.5
    shown = np.clip(np.clip(latents, 0, 1) * 255, 0, 255).astype("uint8")
    if shown.shape[-1] in (1, 2):
        return np.repeat(shown[..., :1], 3, -1)
    return np.ascontiguousarray(shown[..., :3])


def heat_scale(values: np.ndarray) -> np.ndarray:
    """A heatmap over its maximum, 0-1 float32; all zero where there is nothing positive or finite."""
    finite = np.maximum(np.nan_to_num(values.astype("float32"), posinf=0, neginf=0), 0)
    highest = finite.max()
    return finite / highest if highest > 0 else finite
