"""An array as a `Photo`. What its numbers mean is told by their type, or by the caller: never by the numbers."""

from dataclasses import replace
from typing import Any

import numpy as np

from convlens.data.images.photo import IMAGE_CHANNELS, NETWORK, UNDECIDED, Photo, from_bytes, from_pixels, from_values
from convlens.errors import ImageError

# what the values of arrays range over, black and white; "network" where they are as the network takes them
ValueRange = tuple[float, float] | str | None
LITTLE = 64  # of 255: below it, a picture is all but black


def as_array(source: Any) -> np.ndarray:
    """An array, or a tensor of any framework, as a NumPy array.

    Raises:
        ImageError: it holds no numbers.
    """
    if hasattr(source, "detach"):
        source = source.detach().cpu()
        source = source.float() if "bfloat16" in str(source.dtype) else source
    try:
        array = np.asarray(source)
    except (TypeError, ValueError) as error:
        raise ImageError(f"expected a path, a Pillow image or an array, received {type(source).__name__}") from error
    if array.dtype.name == "bfloat16":  # no kind of NumPy's own
        array = array.astype("float32")
    if array.dtype.kind not in "uifb":
        received = type(source).__name__ if array.dtype == object else f"an array of {array.dtype}"
        raise ImageError(f"expected a path, a Pillow image or an array of numbers, received {received}")
    return array


def image_array(source: Any) -> np.ndarray:
    """The array of an image or a batch of them; of PyTorch's tensors the channels come first, unless they cannot."""
    array = as_array(source)
    if not hasattr(source, "detach") or array.ndim not in (3, 4):
        return array
    last = array.shape[-1] in IMAGE_CHANNELS and array.shape[-3] not in IMAGE_CHANNELS
    return array if last else np.moveaxis(array, -3, -1)


def photo_of(array: np.ndarray, value_range: ValueRange = None, declared: Any = None) -> Photo:
    """A photo of an array.

    Args:
        array: (height, width), (height, width, channels) or, where the first axis is 1, 3 or 4 and the shortest,
            (channels, height, width).
        value_range: what the caller says of its values; bool arrays need no word.
        declared: the values of black and white in the file that it is from.

    Raises:
        ImageError: its shape is not that of an image, or nothing tells what its integers mean.
    """
    array = _channels_last(array)
    photo = Photo("image", np.zeros((*array.shape[:2], 3), "uint8"))
    known = array.shape[-1] in IMAGE_CHANNELS
    if array.dtype.kind == "b":
        array, value_range = array.astype("uint8") * np.uint8(255), None
    if value_range == NETWORK:
        return from_values(photo, array.astype("float32"), NETWORK)
    if value_range is not None:
        return from_pixels(photo, scaled(array, value_range))
    if declared is not None and known:
        data = scaled(array, declared)
        return from_pixels(photo, data, window=float(data.max()) < LITTLE)
    if array.dtype == np.uint8:
        return from_bytes(photo, array)
    if array.dtype.kind == "f" or not known:
        return _undecided(photo, array.astype("float32"))
    limits = np.iinfo(array.dtype)
    raise ImageError(
        f"{array.dtype} values do not say which are black and white: give value_range=(low, high), or"
        f' value_range="network" if the network takes them as they are. The array goes from {array.min()} to'
        f" {array.max()}, its type from {limits.min} to {limits.max}; uint8 arrays are 0 to 255"
    )


def _undecided(photo: Photo, data: np.ndarray) -> Photo:
    """Values as they came, shown as pixels of 0 to 1 if they can be."""
    low, high = extremes([data])
    if 0 <= low <= high <= 1 and data.shape[-1] in IMAGE_CHANNELS:
        return replace(from_pixels(photo, data * np.float32(255)), data=data, unit=UNDECIDED)
    return from_values(photo, data, UNDECIDED)


def scaled(array: np.ndarray, value_range: Any) -> np.ndarray:
    """Values of low to high as 0 to 255, float32, without clipping."""
    low, high = value_range
    return ((array.astype("float64") - low) * 255 / (high - low)).astype("float32")


def extremes(arrays: list[np.ndarray]) -> tuple[float, float]:
    """The least and the greatest finite value of some arrays; infinities the wrong way round if there is none."""
    finite = [np.isfinite(array) for array in arrays]
    least = [np.min(array, where=where, initial=np.inf) for array, where in zip(arrays, finite, strict=True)]
    most = [np.max(array, where=where, initial=-np.inf) for array, where in zip(arrays, finite, strict=True)]
    return float(min(least)), float(max(most))


def _channels_last(array: np.ndarray) -> np.ndarray:
    if array.ndim not in (2, 3) or array.size == 0:
        raise ImageError(
            "expected an array of numbers (height, width) or (height, width, channels),"
            f" received {array.dtype} {array.shape}"
        )
    if array.ndim == 2:
        return array[..., None]
    first = array.shape[0] in IMAGE_CHANNELS and array.shape[0] < min(array.shape[1:])
    return np.moveaxis(array, 0, -1) if first and array.shape[-1] not in IMAGE_CHANNELS else array
