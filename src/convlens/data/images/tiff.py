"""TIFF files: what Pillow reduces, does not know or turns the wrong way is read by tifffile."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from convlens.data.images.raw import CONVERT, NEEDS, ORIENTATION, Deep, File, as_pillow_keeps, content_of, upright
from convlens.errors import ImageError

BITS, PHOTOMETRIC, FORMAT = 258, 262, 339  # tags
UNSIGNED, WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 1, 0, 1, 2  # values of them
OPACITY = {1, 2}
STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in STARTS


@dataclass(frozen=True)
class Standing:
    """An image, its file if it is still to be decoded, and how what is decoded is still to be turned.

    Attributes:
        orientation: as the tag has it, 1 where nothing is to be turned.
    """

    image: Image.Image
    file: File | None
    orientation: int


@contextmanager
def standing(image: Any, file: File | None) -> Iterator[Standing]:
    """An image in the form in which Pillow decodes it rightly.

    Pillow 13.0 garbles TIFF files whose orientation exchanges height and width: it lays the lines out in the width
    that they get by it. Such a file is opened as if it had none.
    """
    if file is None or image.format != "TIFF" or image.tag_v2.get(ORIENTATION, 1) <= 4:
        yield Standing(image, file, 1)
        return
    import tifffile

    content = bytearray(content_of(file))
    with tifffile.TiffFile(BytesIO(content)) as opened:
        place, order = opened.pages.first.tags[ORIENTATION].valueoffset, opened.byteorder
    content[place : place + 2] = (1).to_bytes(2, "little" if order == "<" else "big")
    upright_file = BytesIO(content)
    with Image.open(upright_file) as again:
        yield Standing(again, upright_file, image.tag_v2[ORIENTATION])


def tiff(image: Any, file: File) -> Deep | None:
    """More than 8 bits a channel, signed or floats."""
    tags = image.tag_v2
    if max(tags.get(BITS, (1,))) <= 8 and set(tags.get(FORMAT, (UNSIGNED,))) == {UNSIGNED}:
        return None
    if not image.mode.startswith("I;16") and image.mode != "F":
        return deep_tiff(file, None)
    bits = max(tags.get(BITS, (16,)))
    values, pages = as_pillow_keeps(image), getattr(image, "n_frames", 1)
    return _of_tiff(values, None if image.mode == "F" else bits, tags.get(PHOTOMETRIC), pages)


def deep_tiff(file: File, most: int | None) -> Deep:
    """A TIFF file whose depth Pillow does not keep, or which it does not know at all.

    Args:
        most: pixels that are decoded.

    Raises:
        ImageError: it is damaged, or needs a library for its compression.
    """
    import tifffile  # here, as most runs do without

    try:
        with tifffile.TiffFile(_start(file)) as opened:
            page, pages = opened.pages.first, len(opened.pages)
            height, width = page.imagelength, page.imagewidth
            if most and height * width > most:
                raise ImageError(
                    f"{width}x{height} pixels are more than {most // 1_000_000} million; scale it down first"
                )
            ends = [at + size for at, size in zip(page.dataoffsets, page.databytecounts, strict=True)]
            if max(ends, default=0) > opened.filehandle.size:
                raise ImageError("is damaged or cut short; get the file again")
            if page.photometric not in (WHITE_IS_ZERO, 1, RGB) or page.axes not in ("YX", "YXS", "SYX"):
                raise ImageError(
                    f"a TIFF file of this kind ({page.photometric!s}, axes {page.axes}) is not read; {CONVERT}"
                )
            values = page.asarray()
            values = {"YX": values[..., None], "YXS": values, "SYX": np.moveaxis(values, 0, -1)}[page.axes]
            values = upright(values, page.tags.valueof(ORIENTATION, 1))
            if values.shape[-1] == 2 and set(page.extrasamples) <= set(OPACITY):  # grey with opacity
                values = values[..., [0, 0, 0, 1]]
            unsigned = page.bitspersample if values.dtype.kind == "u" else None
            return _of_tiff(values, unsigned, page.photometric, pages)
    except ImageError:
        raise
    except Exception as error:  # whatever a decoder makes of a damaged file
        if "imagecodecs" in str(error):
            raise ImageError(f"its compression {NEEDS}") from error
        raise ImageError(f"cannot be read, it is damaged or cut short ({error}); get the file again") from error


def _of_tiff(values: np.ndarray, bits: int | None, photometric: Any, pages: int) -> Deep:
    """With white as the greatest value, declared for unsigned samples of up to 16 bits."""
    declared = (0, 2**bits - 1) if bits and bits <= 16 and values.dtype != np.uint8 else None
    if photometric == WHITE_IS_ZERO:
        values = np.subtract(declared[1], values, dtype="int32") if declared else values
    return Deep(values, declared, f"the first of its {pages} pages" if pages > 1 else None)


def _start(file: File) -> File:
    if isinstance(file, BytesIO):
        file.seek(0)
    return file
