"""Pictures, arrays and texts as the bytes of files. The same content gives the same bytes, whenever it is written."""

import io
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from typing import IO

import numpy as np
from PIL import Image

COMPRESSION = 4  # of PNG: above it files hardly shrink and writing takes twice as long
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the time of the parts of an archive, which is none of its content

Encode = Callable[[IO[bytes]], object]


def png(image: Image.Image) -> Encode:
    """A picture with every pixel as it is."""
    return partial(image.save, format="PNG", compress_level=COMPRESSION)


def webp(image: Image.Image, exact: bool) -> Encode:
    """A picture for a page: with every pixel as it is, or a few times smaller and nearly so."""
    if exact:
        return partial(image.save, format="WEBP", lossless=True, quality=20, method=0)
    return partial(image.save, format="WEBP", quality=84, method=2)


def npz(arrays: Mapping[str, np.ndarray]) -> Encode:
    """Arrays as NumPy loads them from one file."""

    # not NumPy's own savez, whose level of compression takes twice as long for files that are hardly smaller
    def encode(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                part = io.BytesIO()
                np.lib.format.write_array(part, np.asanyarray(array), allow_pickle=False)
                entry = zipfile.ZipInfo(f"{name}.npy", LONG_AGO)
                archive.writestr(entry, part.getbuffer(), zipfile.ZIP_DEFLATED, compresslevel=1)

    return encode


def utf8(text: str) -> Encode:
    """A text."""
    return lambda file: file.write(text.encode("utf-8"))
