"""Images as people have them: a path, a Pillow image or an array -> a `Photo`, and from there to a network's size."""

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from convlens.errors import ImageError

LARGEST = 16_000_000  # pixels kept of a photo
REFUSED = 1_000_000_000  # pixels that are not even decoded
LUMA = np.array([0.299, 0.587, 0.114], "float32")  # grey of red, green and blue, ITU-R 601-2
FOLDER = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".npy")


@dataclass(frozen=True, eq=False)
class Photo:
    """One image.

    Attributes:
        name: of its file without the ending, or "image".
        pixels: to look at, uint8 (height, width, 3), RGB.
        path: of its file.
        note: what was done to it that its owner should know.
        data: to compute with, where it came as more than bytes: float32 (height, width, channels), 0-255 for photos.
    """

    name: str
    pixels: np.ndarray
    path: str | None = None
    note: str | None = None
    data: np.ndarray | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


def read_image(source: Any) -> Photo:
    """An image from a path, a Pillow image, or an array.

    Args:
        source: a path of any format that Pillow reads, or of a .npy array; a Pillow image; an array (height, width),
            (height, width, channels) or, where the first axis is 1, 3 or 4 and the last is not, (channels, height,
            width). Floats that do not exceed 1 are taken as 0-1, other arrays of up to 4 channels as 0-255, those of
            more channels as they are.

    Raises:
        ImageError: it cannot be read as an image.
    """
    if isinstance(source, Photo):
        return source
    if isinstance(source, str | Path):
        return _from_path(Path(source))
    if isinstance(source, Image.Image):
        return Photo("image", _rgb(source))
    if hasattr(source, "detach"):
        source = source.detach().cpu()
    try:
        return _from_array(np.asarray(source), "image")
    except (TypeError, ValueError) as error:
        raise ImageError(f"expected a path, a Pillow image or an array, received {type(source).__name__}") from error


def read_images(sources: Any) -> list[Photo]:
    """One image or a list of them, folders being searched for image files; every name is made unique.

    Raises:
        ImageError: one cannot be read, or a folder holds none.
    """
    if isinstance(sources, np.ndarray) and sources.ndim == 4:
        sources = list(sources)
    several = isinstance(sources, Iterable) and not isinstance(sources, str | Path | np.ndarray | Image.Image)
    several = several and not hasattr(sources, "detach")
    photos: list[Photo] = []
    for source in sources if several else [sources]:
        folder = isinstance(source, str | Path) and Path(source).is_dir()
        photos += [read_image(path) for path in _files(Path(source))] if folder else [read_image(source)]
    seen: dict[str, int] = {}
    unique = []
    for photo in photos:
        seen[photo.name] = count = seen.get(photo.name, 0) + 1
        unique.append(photo if count == 1 else replace(photo, name=f"{photo.name}-{count}"))
    return unique


def _files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in FOLDER)
    if not files:
        raise ImageError(f"folder {folder} holds no images; expected files ending in {', '.join(FOLDER)}")
    return files


def _from_path(path: Path) -> Photo:
    if not path.exists():
        raise ImageError(f"no such image: {path}; expected a file that exists")
    if path.is_dir():
        raise ImageError(f"{path} is a folder, expected an image file")
    if path.stat().st_size == 0:
        raise ImageError(f"{path} is empty (0 bytes); expected an image")
    try:
        if path.suffix.lower() == ".npy":
            return replace(_from_array(np.load(path, allow_pickle=False), path.stem), path=str(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                pixels, note = _decode(image)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path} is too large ({error}); scale it down first") from error
    except Image.UnidentifiedImageError as error:
        raise ImageError(f"{path} is not an image that can be read; expected JPEG, PNG or the like") from error
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as error:
        raise ImageError(f"{path} cannot be read, it is damaged or cut short: {error}") from error
    return Photo(path.stem, pixels, str(path), note)


def _decode(image: Image.Image) -> tuple[np.ndarray, str | None]:
    """Pixels of an opened file; a very large one is decoded at, or reduced to, a fraction of its size."""
    wide, tall = image.size
    if wide * tall > REFUSED:
        raise ImageError(f"{wide}x{tall} pixels are too many; scale it down first")
    if wide * tall <= LARGEST:
        return _rgb(image), None
    factor = math.ceil(math.sqrt(wide * tall / LARGEST))
    image.draft("RGB", (wide // factor, tall // factor))
    factor = math.ceil(math.sqrt(image.width * image.height / LARGEST))
    reduced = image.reduce(factor) if factor > 1 and image.mode != "P" else image.convert("RGB").reduce(factor)
    pixels = _rgb(reduced)
    return pixels, f"reduced from {wide}x{tall} to {pixels.shape[1]}x{pixels.shape[0]} pixels"


def _rgb(image: Image.Image) -> np.ndarray:
    """Upright, without transparency (on white), 8 bits a channel."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        return _from_array(np.asarray(image), "image").pixels
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        image = opaque
    return np.asarray(image.convert("RGB")).copy()


def _from_array(array: np.ndarray, name: str) -> Photo:
    if array.ndim not in (2, 3) or array.size == 0 or array.dtype.kind not in "uifb":
        raise ImageError(
            "expected an array of numbers (height, width) or (height, width, channels),"
            f" received {array.dtype} {array.shape}"
        )
    if array.ndim == 2:
        array = array[..., None]
    elif array.shape[-1] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        array = np.moveaxis(array, 0, -1)
    if array.shape[-1] not in (1, 3, 4):
        data = array.astype("float32")
        return Photo(name, _false_colours(data), data=data)
    data = None if array.dtype == np.uint8 else (array.astype("float64") * _to_bytes(array)).astype("float32")
    bytes_ = array if data is None else np.clip(np.nan_to_num(data), 0, 255).round().astype("uint8")
    if bytes_.shape[-1] == 1:
        bytes_ = np.repeat(bytes_, 3, -1)
    return Photo(name, _rgb(Image.fromarray(bytes_)), data=data if array.shape[-1] < 4 else None)


def _false_colours(data: np.ndarray) -> np.ndarray:
    """The first three channels, or the first, stretched over 0-255."""
    chosen = np.nan_to_num(data[..., :3])
    chosen = chosen if chosen.shape[-1] == 3 else np.repeat(chosen[..., :1], 3, -1)
    low, high = chosen.min(), chosen.max()
    return ((chosen - low) * (255 / (high - low) if high > low else 0)).astype("uint8")


def _to_bytes(array: np.ndarray) -> float:
    """What takes an array's values to 0-255."""
    if array.dtype.kind == "b" or (array.dtype.kind == "f" and float(np.nanmax(array)) <= 1):
        return 255.0
    return 255 / 65535 if array.dtype.kind in "ui" and int(array.max()) > 255 else 1.0


def fit(photo: Photo, height: int | None, width: int | None, channels: int) -> np.ndarray:
    """A photo at the size and with the channels that a network takes.

    Args:
        height, width: in pixels, None for its own; it is stretched, bilinearly.
        channels: 1 (grey), 3 (RGB), or as many as the photo's array has.

    Returns:
        float32 (height, width, channels), 0-255 for photos.

    Raises:
        ImageError: the photo has other channels than the network takes.
    """
    size = (height or photo.size[0], width or photo.size[1])
    if photo.data is None and channels in (1, 3):
        image = Image.fromarray(photo.pixels)
        image = image.convert("L") if channels == 1 else image
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR) if photo.size != size else image
        return np.asarray(image, "float32").reshape(*size, channels)
    data = photo.pixels.astype("float32") if photo.data is None else photo.data
    if data.shape[-1] == 3 and channels == 1:
        data = data @ LUMA[:, None]
    elif data.shape[-1] == 1 and channels == 3:
        data = np.repeat(data, 3, -1)
    if data.shape[-1] != channels:
        raise ImageError(
            f"image {photo.name} has {data.shape[-1]} channels, the network takes {channels};"
            f" give an array (height, width, {channels})"
        )
    if photo.size == size:
        return data
    bands = [Image.fromarray(np.ascontiguousarray(data[..., band])) for band in range(channels)]
    resized = [band.resize((size[1], size[0]), Image.Resampling.BILINEAR) for band in bands]
    return np.stack([np.asarray(band, "float32") for band in resized], -1)
