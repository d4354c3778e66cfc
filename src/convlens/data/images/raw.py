"""What is read of a file before it becomes a photo."""

from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

File = Path | BytesIO

ORIENTATION = 274  # the tag of EXIF and TIFF
CONVERT = "save it as a PNG or TIFF file of 16 bits, or as a .npy array"
NEEDS = 'needs another library: pip install "convlens[images]"'


class Deep(NamedTuple):
    """What a file holds: values (height, width, channels), upright; the values of black and white that its format
    declares, if any; and what its owner should know."""

    values: np.ndarray
    declared: tuple[float, float] | None
    note: str | None = None


def content_of(file: File) -> bytes:
    return file.read_bytes() if isinstance(file, Path) else file.getvalue()


def as_pillow_keeps(image: Image.Image) -> np.ndarray:
    """The one channel of an image whose depth Pillow keeps."""
    values = np.asarray(ImageOps.exif_transpose(image))
    return values[..., None].astype(values.dtype.newbyteorder("="))


def upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """The array turned and mirrored as the tag says, (height, width, channels)."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    down = slice(None, None, -1) if orientation in (3, 4, 7, 8) else slice(None)
    across = slice(None, None, -1) if orientation in (2, 3, 6, 7) else slice(None)
    return values[down, across]
