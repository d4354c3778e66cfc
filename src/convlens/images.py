"""Images as people have them: a path, a Pillow image or an array -> a `Photo`, and from there to a network's size."""

import math
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from convlens.errors import ImageError

LARGEST = 16_000_000  # pixels kept of a photo
REFUSED = 250_000_000  # pixels that are not even decoded: they would take a gigabyte
REFUSED_JPEG = 1_000_000_000  # the same for JPEG, which is decoded at a fraction of its size
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
        data: to compute with, where it came as more than RGB bytes: float32 (height, width, channels), 0-255 for
            photos. Four channels are data for a network that takes four, and colours with transparency for others.
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
            (height, width, channels) or, where the first axis is 1, 3 or 4 and the shortest, (channels, height,
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
        path = getattr(source, "filename", "") or None
        with _reading(f"image {path or ''}".strip()):
            pixels, note = _decode(source.copy())
        return Photo(Path(path).stem if path else "image", pixels, path, note)
    if hasattr(source, "detach"):
        source = _from_tensor(source)
    try:
        array = np.asarray(source)
    except (TypeError, ValueError) as error:
        raise ImageError(f"expected a path, a Pillow image or an array, received {type(source).__name__}") from error
    if array.dtype == object:
        raise ImageError(f"expected a path, a Pillow image or an array, received {type(source).__name__}")
    return _from_array(array, "image")


def read_images(sources: Any) -> list[Photo]:
    """One image or a list of them, folders being searched for image files; every name is made unique.

    Raises:
        ImageError: one cannot be read, or a folder holds none.
    """
    if getattr(sources, "ndim", None) == 4:  # a batch
        sources = list(sources)
    several = isinstance(sources, Iterable) and not isinstance(sources, str | Path | np.ndarray | Image.Image)
    several = several and not hasattr(sources, "detach")
    photos: list[Photo] = []
    for source in sources if several else [sources]:
        found = _files(Path(source)) if isinstance(source, str | Path) and os.path.isdir(source) else [source]
        photos += [read_image(one) for one in found]
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


def _files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in FOLDER)
    if not files:
        raise ImageError(f"folder {folder} holds no images; expected files ending in {', '.join(FOLDER)}")
    return files


def _from_path(path: Path) -> Photo:
    if not os.path.exists(path):  # unlike the path's own method, it takes names that the system cannot have
        raise ImageError(f"no such image: {path}; expected a file that exists")
    if path.is_dir():
        raise ImageError(f"{path} is a folder, expected an image file")
    if path.is_file() and path.stat().st_size == 0:
        raise ImageError(f"{path} is empty (0 bytes); expected an image")
    with _reading(str(path)):
        if path.suffix.lower() == ".npy":
            return replace(_from_array(_npy(path), path.stem), path=str(path))
        with Image.open(path) as image:
            pixels, note = _decode(image)
    return Photo(path.stem, pixels, str(path), note)


def _npy(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ImageError("holds no array of numbers that NumPy can read") from error


@contextmanager
def _reading(what: str) -> Iterator[None]:
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


def _decode(image: Image.Image) -> tuple[np.ndarray, str | None]:
    """Pixels of an opened file; a very large one is decoded at, or reduced to, a fraction of its size."""
    wide, tall = image.size
    most = REFUSED_JPEG if image.format == "JPEG" else REFUSED
    if wide * tall > most:
        raise ImageError(f"{wide}x{tall} pixels are more than {most // 1_000_000} million; scale it down first")
    if wide * tall <= LARGEST:
        return _rgb(image), None
    factor = math.ceil(math.sqrt(wide * tall / LARGEST))
    image.draft("RGB", (wide // factor, tall // factor))
    factor = math.ceil(math.sqrt(image.width * image.height / LARGEST))
    pixels = _rgb(_reduced(image, factor))
    return pixels, f"reduced from {wide}x{tall} to {pixels.shape[1]}x{pixels.shape[0]} pixels"


def _reduced(image: Image.Image, factor: int) -> Image.Image:
    """The mean of every block of pixels; of 16-bit grey, bits and palettes too, which Pillow does not average."""
    if image.mode.startswith("I;16"):
        values = np.asarray(ImageOps.exif_transpose(image))
        tall, wide = (max(side // factor, 1) for side in values.shape)
        blocks = values[: tall * factor, : wide * factor].reshape(tall, -1, wide, min(factor, values.shape[1]))
        return Image.fromarray(blocks.mean((1, 3), dtype="float32").round().astype("uint16"))
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB")
    return image.reduce((min(factor, image.width), min(factor, image.height)))


def _rgb(image: Image.Image) -> np.ndarray:
    """Upright, without transparency (on white), 8 bits a channel."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image).astype("uint32") * 255 + 32767) // 65535
        return np.repeat(grey.astype("uint8")[..., None], 3, -1)
    if image.mode in ("I", "F"):
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
    elif array.shape[-1] not in (1, 3, 4) and array.shape[0] in (1, 3, 4) and array.shape[0] < min(array.shape[1:]):
        array = np.moveaxis(array, 0, -1)
    if array.shape[-1] not in (1, 3, 4):
        data = array.astype("float32")
        return Photo(name, _false_colours(data), data=data)
    exact = array.dtype != np.uint8 or array.shape[-1] == 4
    data = (array.astype("float64") * _to_bytes(array)).astype("float32") if exact else None
    bytes_ = array if data is None else np.clip(np.nan_to_num(data), 0, 255).round().astype("uint8")
    if bytes_.shape[-1] == 1:
        bytes_ = np.repeat(bytes_, 3, -1)
    return Photo(name, _rgb(Image.fromarray(bytes_)), data=data)


def _from_tensor(tensor: Any) -> np.ndarray:
    """A tensor of PyTorch's, channels last: they come first, unless only the last axis can be theirs."""
    array = tensor.detach().cpu()
    array = np.asarray(array.float() if str(array.dtype) == "torch.bfloat16" else array)
    last = array.ndim == 3 and array.shape[-1] in (1, 3, 4) and array.shape[0] not in (1, 3, 4)
    return np.moveaxis(array, 0, -1) if array.ndim == 3 and not last else array


def _false_colours(data: np.ndarray) -> np.ndarray:
    """The first three channels, or the first, stretched over 0-255."""
    chosen = np.nan_to_num(data[..., :3])
    chosen = chosen if chosen.shape[-1] == 3 else np.repeat(chosen[..., :1], 3, -1)
    low, high = chosen.min(), chosen.max()
    return ((chosen - low) * (255 / (high - low) if high > low else 0)).astype("uint8")


def _to_bytes(array: np.ndarray) -> float:
    """What takes an array's values to 0-255."""
    if array.dtype.kind == "b":
        return 255.0
    if array.dtype.kind == "f":
        return 255.0 if np.max(array, where=np.isfinite(array), initial=-np.inf) <= 1 else 1.0
    return 255 / 65535 if int(array.max()) > 255 else 1.0


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
    if channels in (1, 3) and (photo.data is None or photo.data.shape[-1] == 4):
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
