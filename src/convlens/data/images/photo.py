"""One image: what is shown of it, what is computed with, and in which unit that is."""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from convlens.errors import ImageError

PIXELS = "pixels"  # 0 is black, 255 is white: a preprocessing takes them to the network's own values
NETWORK = "network"  # values as the network takes them: no preprocessing is applied
UNDECIDED = "undecided"  # floats, or many channels: pixels or not, which all images of a call decide together

LUMA = np.array([0.299, 0.587, 0.114], "float32")  # grey of red, green and blue, ITU-R 601-2
IMAGE_CHANNELS = (1, 3, 4)  # grey, RGB, RGB with opacity
MIDDLE = (0.5, 99.5)  # percentiles that a picture of values that are no pixels runs between


@dataclass(frozen=True, eq=False)
class Photo:
    """One image.

    Attributes:
        name: of its file without the ending, or "image".
        pixels: to look at, uint8 (height, width, 3), RGB.
        path: of its file.
        note: what was done to it, or is odd about it, that its owner should know.
        data: to compute with, float32 (height, width, channels); None where it is `pixels`, neither more nor less.
        unit: of `data`: "pixels" (0 is black, 255 white; values may lie outside), "network" (as the network takes
            them, no preprocessing is applied) or "undecided" (as they came, until `settled` decides). Four channels
            of pixels are data for a network that takes four, and colours with opacity for others.
        shown: how `pixels` were made where that is not plain, such as "shown from -80 to 0".

    Example:
        >>> import numpy
        >>> picture = convlens.Photo("grey", numpy.full((10, 20, 3), 128, "uint8"))
        >>> picture.size
        (10, 20)
    """

    name: str
    pixels: np.ndarray
    path: str | None = None
    note: str | None = None
    data: np.ndarray | None = None
    unit: str = PIXELS
    shown: str | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def remark(self) -> str | None:
        """The note, and how it is shown, in one line."""
        return "; ".join(part for part in (self.note, self.shown) if part) or None


def from_bytes(photo: Photo, pixels: np.ndarray) -> Photo:
    """The photo with these uint8 pixels (height, width, channels), which are its data where they are grey or RGB."""
    if pixels.shape[-1] in (1, 3):
        return replace(photo, pixels=_three(pixels), data=None, unit=PIXELS, shown=None)
    return from_pixels(photo, pixels.astype("float32"))


def from_pixels(photo: Photo, data: np.ndarray, window: bool = False) -> Photo:
    """The photo with these values of 0-255 as its data, and the picture of them.

    Args:
        data: float32 (height, width, channels); values may lie outside of 0-255, which pictures clip.
        window: show the values from the least to the greatest instead, where 0-255 would be all but black.
    """
    colours = opaque(data)
    if window or colours.shape[-1] not in (1, 3):
        shown = _windowed(photo, colours)
        return replace(shown, data=data, unit=PIXELS, shown=f"{shown.shown} of 255")
    bytes_ = np.clip(np.nan_to_num(colours), 0, 255).round().astype("uint8")
    return replace(photo, pixels=_three(bytes_), data=data, unit=PIXELS, shown=None)


def from_values(photo: Photo, data: np.ndarray, unit: str) -> Photo:
    """The photo with values that are no pixels as its data, and a picture of them within a window that it says."""
    return replace(_windowed(photo, data), data=data, unit=unit)


def opaque(data: np.ndarray) -> np.ndarray:
    """Pixels of 0-255 without their opacity, on white, if they have one: (height, width, channels)."""
    if data.shape[-1] != 4:
        return data
    share = data[..., 3:] / np.float32(255)
    return (data[..., :3] - np.float32(255)) * share + np.float32(255)


def _three(bytes_: np.ndarray) -> np.ndarray:
    return np.repeat(bytes_, 3, -1) if bytes_.shape[-1] == 1 else np.ascontiguousarray(bytes_)


def _windowed(photo: Photo, data: np.ndarray) -> Photo:
    """A picture of the first three channels, or the first, between two percentiles of their values."""
    chosen = data[..., :3] if data.shape[-1] >= 3 else data[..., :1]
    finite = chosen[np.isfinite(chosen)]
    low, high = np.percentile(finite, MIDDLE) if finite.size else (0.0, 0.0)
    if low == high and finite.size:
        low, high = finite.min(), finite.max()
    if data.shape[-1] in (1, 3):
        which = ""
    else:
        which = f"channel{'s 0 to 2' if chosen.shape[-1] == 3 else ' 0'} of {data.shape[-1]} "
    if low == high:
        grey = np.full((*data.shape[:2], 3), 128, "uint8")
        return replace(photo, pixels=grey, shown=f"{which}shown as grey: " + _constant(finite))
    share = (np.nan_to_num(chosen, nan=low, posinf=high, neginf=low).astype("float64") - low) / (float(high) - low)
    bytes_ = (np.clip(share, 0, 1) * 255).round().astype("uint8")
    return replace(photo, pixels=_three(bytes_), shown=f"{which}shown from {low:.4g} to {high:.4g}")


def _constant(finite: np.ndarray) -> str:
    return f"every value is {finite[0]:.4g}" if finite.size else "no value is a finite number"


def fit(photo: Photo, height: int | None, width: int | None, channels: int) -> np.ndarray:
    """A photo at the size and with the channels that a network takes.

    Args:
        height, width: in pixels, None for its own; it is stretched, bilinearly.
        channels: 1 (grey), 3 (RGB), or as many as the photo's data have.

    Returns:
        float32 (height, width, channels), in the unit of the photo's data.

    Raises:
        ImageError: the photo has other channels than the network takes.
    """
    size = (height or photo.size[0], width or photo.size[1])
    if channels in (1, 3) and photo.data is None:
        image = Image.fromarray(photo.pixels)
        image = image.convert("L") if channels == 1 else image
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR) if photo.size != size else image
        return np.asarray(image, "float32").reshape(*size, channels)
    data = _with_channels(photo, channels)
    if photo.size == size:
        return data
    bands = [Image.fromarray(np.ascontiguousarray(data[..., band])) for band in range(channels)]
    resized = [band.resize((size[1], size[0]), Image.Resampling.BILINEAR) for band in bands]
    return np.stack([np.asarray(band, "float32") for band in resized], -1)


def _with_channels(photo: Photo, channels: int) -> np.ndarray:
    """The photo's data with as many channels: pixels turn from colour to grey, and grey of any unit is repeated."""
    data = photo.pixels.astype("float32") if photo.data is None else photo.data
    if photo.unit == PIXELS and channels in (1, 3):
        data = opaque(data)
        if data.shape[-1] == 3 and channels == 1:
            return data @ LUMA[:, None]
    if data.shape[-1] == 1 and channels == 3:
        return np.repeat(data, 3, -1)
    if data.shape[-1] != channels:
        kind = "values that are no pixels in " if photo.unit != PIXELS else ""
        raise ImageError(
            f"image {photo.name} has {kind}{data.shape[-1]} channels, the network takes {channels};"
            f" give an array (height, width, {channels})"
        )
    return data
