"""Files of images: decoded upright, of a bounded size, within bounded memory."""

import logging
import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from convlens.data.images.arrays import ValueRange, photo_of
from convlens.data.images.deep import full_depth, reduction
from convlens.data.images.photo import PIXELS, Photo
from convlens.data.images.raw import Deep, File, upright
from convlens.data.images.tiff import deep_tiff, is_tiff, standing
from convlens.errors import ImageError

LARGEST = 16_000_000  # pixels kept of a photo
REFUSED = 250_000_000  # pixels that are not even decoded: they would take a gigabyte
REFUSED_JPEG = 1_000_000_000  # the same for JPEG, which is decoded at a fraction of its size
FOLDER = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".npy")

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # odd metadata, which does not change the picture


def image_files(folder: Path) -> list[Path]:
    """The files in a folder that are named as images, in order.

    Raises:
        ImageError: there are none.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in FOLDER)
    if not files:
        raise ImageError(f"folder {folder} holds no images; expected files ending in {', '.join(FOLDER)}")
    return files


def from_path(path: Path, value_range: ValueRange) -> Photo:
    """The photo in a file of any format that Pillow or tifffile reads, or in a .npy array.

    Raises:
        ImageError: it cannot be read as an image.
    """
    checked_file(path)
    with reading(str(path)):
        if path.suffix.lower() == ".npy":
            return replace(photo_of(npy(path), value_range), name=path.stem, path=str(path))
        try:
            with Image.open(path) as image:
                photo = from_pillow(image, path, value_range)
        except Image.UnidentifiedImageError:
            if not is_tiff(path):
                raise
            photo = _deep_photo(deep_tiff(path, REFUSED), value_range)
    return replace(photo, name=path.stem, path=str(path))


def checked_file(path: Path) -> None:
    """Nothing, where the path is a file with something in it.

    Raises:
        ImageError: it is not.
    """
    if not os.path.exists(path):  # unlike the path's own method, it takes names that the system cannot have
        raise ImageError(f"no such image: {path}; expected a file that exists")
    if path.is_dir():
        raise ImageError(f"{path} is a folder, expected an image file")
    if path.is_file() and path.stat().st_size == 0:
        raise ImageError(f"{path} is empty (0 bytes); expected an image")


def npy(path: Path) -> np.ndarray:
    """The array in a .npy file.

    Raises:
        ImageError: it holds none, or one of Python's objects.
    """
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ImageError("holds no array of numbers that NumPy can read") from error


def from_pillow(image: Image.Image, file: File | None, value_range: ValueRange) -> Photo:
    """The photo in an image that Pillow has opened; a very large one is decoded at, or reduced to, a fraction of it.

    Args:
        file: that it is still to be decoded from, if it is.
    """
    width, height = image.size
    most = REFUSED_JPEG if image.format == "JPEG" else REFUSED
    if width * height > most:
        raise ImageError(f"{width}x{height} pixels are more than {most // 1_000_000} million; scale it down first")
    with standing(image, file) as opened:
        deep = full_depth(opened.image, opened.file)
        if deep is not None:
            return _deep_photo(deep._replace(values=upright(deep.values, opened.orientation)), value_range)
        pixels = upright(_bounded(opened.image), opened.orientation)
        pages = getattr(opened.image, "n_frames", 1) if opened.image.format == "TIFF" else 1
    notes = [f"the first of its {pages} pages" if pages > 1 else None, reduction(image, file)]
    if width * height > LARGEST:
        sides = sorted(image.size, reverse=pixels.shape[1] >= pixels.shape[0])  # as it stands
        notes.append(_reduction((sides[0], sides[1]), pixels))
    return Photo("image", pixels, note="; ".join(note for note in notes if note) or None)


def _bounded(image: Image.Image) -> np.ndarray:
    """Pixels of an image of 8 bits, reduced where there are too many: uint8 (height, width, 3)."""
    pixels = image.width * image.height
    if pixels > LARGEST:
        factor = math.ceil(math.sqrt(pixels / LARGEST))
        image.draft("RGB", (image.width // factor, image.height // factor))
        image = _reduced(image, math.ceil(math.sqrt(image.width * image.height / LARGEST)))
    return _rgb(image)


def _deep_photo(deep: Deep, value_range: ValueRange) -> Photo:
    """A photo of what was read at full depth."""
    height, width = deep.values.shape[:2]
    values, notes = deep.values, [deep.note] if deep.note else []
    if width * height > LARGEST:
        values = _block_means(values, math.ceil(math.sqrt(width * height / LARGEST)))
        notes.append(_reduction((width, height), values))
    photo = photo_of(values, value_range, deep.declared)
    if photo.shown and photo.unit == PIXELS and deep.declared and value_range is None:
        notes.append(
            f"nothing in it reaches a quarter of {deep.declared[1]:.0f}, which is white in such a file:"
            " give value_range=(low, high) if its white is another"
        )
    return replace(photo, note="; ".join(notes) or None)


def _reduction(before: tuple[int, int], after: np.ndarray) -> str:
    return f"reduced from {before[0]}x{before[1]} to {after.shape[1]}x{after.shape[0]} pixels"


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turns whatever a decoder raises into one line about `what`. Very large images are ours to bound or refuse."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")  # of odd metadata, which does not change the picture
            yield
    except ImageError as error:
        raise ImageError(f"{what}: {error}") from error
    except Image.UnidentifiedImageError as error:
        raise ImageError(f"{what} is not an image that can be read; expected JPEG, PNG or the like") from error
    except PermissionError as error:
        raise ImageError(f"{what} cannot be opened: permission denied; change its permissions or copy it") from error
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, OverflowError) as error:
        raise ImageError(f"{what} cannot be read, it is damaged or cut short ({error}); get the file again") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _block_means(values: np.ndarray, factor: int) -> np.ndarray:
    """The mean of every block of pixels, float32, of any depth; what is left at the edges is left out."""
    height, width = (max(side // factor, 1) for side in values.shape[:2])
    down, across = min(factor, values.shape[0]), min(factor, values.shape[1])
    blocks = values[: height * down, : width * across].reshape(height, down, width, across, -1)
    return blocks.mean((1, 3), dtype="float32")


def _reduced(image: Image.Image, factor: int) -> Image.Image:
    """The mean of every block of pixels; of bits and palettes too, which Pillow does not average."""
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB")
    return image.reduce((min(factor, image.width), min(factor, image.height)))


def _rgb(image: Image.Image) -> np.ndarray:
    """Upright, without transparency (on white), of 8 bits a channel: uint8 (height, width, 3)."""
    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        image = opaque
    return np.asarray(image.convert("RGB")).copy()
