"""What the user gives as an image, or as several."""

import os
from collections.abc import Iterable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from convlens.data.images.arrays import ValueRange, as_array, image_array, photo_of
from convlens.data.images.files import checked_file, from_path, from_pillow, image_files, npy, reading
from convlens.data.images.photo import Photo
from convlens.errors import ImageError


def read_image(source: Any, value_range: ValueRange = None) -> Photo:
    """An image from a path, a Pillow image, or an array.

    Args:
        source: a path of any format that Pillow reads, of a TIFF file, or of a .npy array; a Pillow image; an array
            or tensor (height, width), (height, width, channels) or, where the first axis is 1, 3 or 4 and the
            shortest, (channels, height, width). uint8 is 0-255, bool black and white; floats stay undecided.
        value_range: (low, high), the values of black and white in arrays and in files of more than 8 bits, or
            "network" where they are as the network takes them.

    Raises:
        ImageError: it cannot be read as an image, or it holds integers whose range nothing tells.
    """
    if isinstance(source, Photo):
        return source
    if isinstance(source, str | Path):
        return from_path(Path(source), value_range)
    if isinstance(source, Image.Image):
        return _from_memory(source, value_range)
    if isinstance(source, list | tuple):  # as likely a row of an image as an image
        raise ImageError(
            f"expected a path, a Pillow image or an array, received a {type(source).__name__}; give an array"
        )
    return photo_of(image_array(source), value_range)


def _from_memory(image: Image.Image, value_range: ValueRange) -> Photo:
    """The photo in a Pillow image: of its file where that is still to be decoded, as Pillow may reduce it."""
    path = getattr(image, "filename", "") or None
    with reading(f"image {path or ''}".strip()):
        file = _undecoded(image)
        if file is None:
            image.load()
            photo = from_pillow(image, None, value_range)
        else:
            with Image.open(file) as again:
                photo = from_pillow(again, file, value_range)
    return replace(photo, name=Path(path).stem, path=path) if path else photo


def _undecoded(image: Any) -> BytesIO | None:
    """The file of a Pillow image of which nothing was decoded yet."""
    if not getattr(image, "tile", None) or not getattr(image, "fp", None) or image.tell() != 0:
        return None
    place = image.fp.tell()
    image.fp.seek(0)
    file = BytesIO(image.fp.read())
    image.fp.seek(place)
    return file


def read_images(sources: Any, value_range: ValueRange = None) -> list[Photo]:
    """One image or a list of them, folders being searched for image files; every name is made unique.

    Args:
        sources: as `read_image` takes them, a list of those, or an array of them (batch, height, width, channels).
        value_range: as for `read_image`.

    Raises:
        ImageError: one cannot be read, or a folder holds none.
    """
    if is_array(sources):
        array = image_array(sources)
        sources = list(array) if array.ndim == 4 else [array]
    several = isinstance(sources, Iterable) and not isinstance(sources, str | Path | Image.Image | dict)
    listed: Iterable[Any] = sources if several else [sources]
    photos: list[Photo] = []
    for source in listed:
        folder = isinstance(source, str | Path) and os.path.isdir(source)
        photos += [read_image(image, value_range) for image in (image_files(Path(source)) if folder else [source])]
    return _named_apart(photos)


def is_array(source: Any) -> bool:
    """Whether it is an array or a tensor, no image of Pillow's."""
    return not isinstance(source, Image.Image) and (hasattr(source, "__array__") or hasattr(source, "detach"))


def _named_apart(photos: list[Photo]) -> list[Photo]:
    taken: set[str] = set()
    unique = []
    for photo in photos:
        name, count = photo.name, 1
        while name.casefold() in taken:  # names become files, also where capitals do not tell files apart
            count += 1
            name = f"{photo.name}-{count}"
        taken.add(name.casefold())
        unique.append(replace(photo, name=name))
    return unique


def read_values(source: Any) -> np.ndarray:
    """Numbers for an input that takes no image: an array, a number, or the path of a .npy array; float32.

    Raises:
        ImageError: they cannot be read.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        checked_file(path)
        with reading(str(path)):
            if path.suffix.lower() != ".npy":
                raise ImageError("expected a .npy array, as this input takes no image")
            return as_array(npy(path)).astype("float32")
    return as_array(source).astype("float32")
