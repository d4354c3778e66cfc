"""Files of more than 8 bits a channel, or of floats, at their full depth: most of them Pillow reduces to 8 bits."""

import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from convlens.errors import ImageError

WHITE = 65535
HEAD = 65536  # bytes that hold what a file says of itself
BITS, PHOTOMETRIC, ORIENTATION, EXTRA, FORMAT = 258, 262, 274, 338, 339  # tags of TIFF
UNSIGNED, WHITE_IS_ZERO, RGB = 1, 0, 2
OPACITY = (1, 2)  # values of EXTRA
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
REDUCED = re.compile(r"\b(L|LA|RGB|RGBA|RGBX|CMYK);16[BLNS]?\b|SGI16")  # what Pillow reads as 8 bits
CONVERT = "save it as a PNG or TIFF file of 16 bits, or as a .npy array"
NEEDS = 'needs another library: pip install "convlens[images]"'

File = Path | BytesIO


class Deep(NamedTuple):
    """What a file holds: values (height, width, channels), upright; the values of black and white that its format
    declares, if any; and what its owner should know."""

    values: np.ndarray
    declared: tuple[float, float] | None
    note: str | None = None


def full_depth(image: Image.Image, file: File | None) -> Deep | None:
    """What an opened image holds; None where it has no more than 8 bits a channel.

    Args:
        file: that it is still to be decoded from; None for an image in memory.

    Raises:
        ImageError: it cannot be read without a loss.
    """
    if file and (reader := READERS.get(image.format or "")):
        return reader(image, file)
    if image.mode.startswith("I;16"):
        return Deep(_pillows(image), (0, WHITE))
    if image.mode in ("I", "F"):
        sixteen = image.mode == "I" and image.format in ("PNG", "PPM")  # as older Pillow opens 16 bits
        return Deep(_pillows(image), (0, WHITE) if sixteen else None)
    if file and any(REDUCED.search(str(tile)) for tile in getattr(image, "tile", [])):
        raise ImageError(f"{image.format} files of 16 bits a channel cannot be read without a loss; {CONVERT}")
    return None


def reduction(image: Image.Image, file: File | None) -> str | None:
    """What Pillow leaves out of a picture that it decodes to 8 bits: of AVIF, where cameras write 10 or 12."""
    if image.format != "AVIF" or not file:
        return None
    start = _content(file)[:HEAD]
    place = start.find(b"pixi")  # the box with the bits of each channel
    bits = max(start[place + 9 : place + 9 + start[place + 8]]) if 0 < place < len(start) - 12 else 8
    return f"read at 8 of its {bits} bits a channel" if bits > 8 else None


def _pillows(image: Image.Image) -> np.ndarray:
    """The one channel of an image whose depth Pillow keeps."""
    values = np.asarray(ImageOps.exif_transpose(image))
    return values[..., None].astype(values.dtype.newbyteorder("="))


def _png(image: Image.Image, file: File) -> Deep | None:
    """16 bits a channel. The format's samples are scaled to all of them, also where a chunk says that fewer count."""
    mode = image.tile[0][3] if image.tile else ""
    if mode == "I;16B":
        return Deep(_opacity(_pillows(image).astype("uint16"), image.info.get("transparency")), (0, WHITE))
    if mode == "LA;16B":
        raw = _decoded(file, "RGBA").astype("uint16")
        grey, opacity = (raw[..., at : at + 1] * 256 + raw[..., at + 1 : at + 2] for at in (0, 2))
        values = np.concatenate([grey, grey, grey, opacity], -1)
    elif mode in ("RGB;16B", "RGBA;16B"):
        # Pillow keeps the first byte of a sample, or the second if it is told that the bytes are the other way round
        high, low = (_decoded(file, mode[:-1] + order).astype("uint16") for order in "BL")
        values = _opacity(high * 256 + low, image.info.get("transparency"))
    else:
        return None
    return Deep(_upright(values, image.getexif().get(ORIENTATION, 1)), (0, WHITE))


def _opacity(values: np.ndarray, clear: Any) -> np.ndarray:
    """Colours with an opacity of 0 where they are the one that the file says is clear."""
    if clear is None:
        return values
    opaque = (values != np.array(clear)).any(-1, keepdims=True).astype("uint16") * np.uint16(WHITE)
    colours = np.repeat(values, 3, -1) if values.shape[-1] == 1 else values
    return np.concatenate([colours, opaque], -1)


def _decoded(file: File, raw: str) -> np.ndarray:
    """A PNG file decoded as if its samples lay as `raw` says."""
    with Image.open(file) as image:
        tile: Any = image.tile[0]
        image.tile = [tile._replace(args=raw) if hasattr(tile, "_replace") else (*tile[:3], raw)]
        return np.asarray(image)


def _content(file: File) -> bytes:
    return file.read_bytes() if isinstance(file, Path) else file.getvalue()


def is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in TIFF_STARTS


def _tiff(image: Any, file: File) -> Deep | None:
    """More than 8 bits a channel, signed or floats."""
    tags = image.tag_v2
    if max(tags.get(BITS, (1,))) <= 8 and set(tags.get(FORMAT, (UNSIGNED,))) == {UNSIGNED}:
        return None
    if not image.mode.startswith("I;16") and image.mode != "F":
        return deep_tiff(file, None)
    bits = max(tags.get(BITS, (16,)))
    values, pages = _pillows(image), getattr(image, "n_frames", 1)
    return _of_tiff(values, None if image.mode == "F" else bits, tags.get(PHOTOMETRIC), pages)


def deep_tiff(file: File, most: int | None) -> Deep:
    """A TIFF file whose depth Pillow does not keep, or which it does not know at all.

    Args:
        most: pixels that are decoded.

    Raises:
        ImageError: it is damaged, or needs a library for its compression.
    """
    import tifffile  # here, as most runs do without

    if isinstance(file, BytesIO):
        file.seek(0)
    try:
        with tifffile.TiffFile(file) as opened:
            page, pages = opened.pages.first, len(opened.pages)
            tall, wide = page.imagelength, page.imagewidth
            if most and tall * wide > most:
                raise ImageError(f"{wide}x{tall} pixels are more than {most // 1_000_000} million; scale it down first")
            ends = [at + size for at, size in zip(page.dataoffsets, page.databytecounts, strict=True)]
            if max(ends, default=0) > opened.filehandle.size:
                raise ImageError("is damaged or cut short; get the file again")
            if page.photometric not in (WHITE_IS_ZERO, 1, RGB) or page.axes not in ("YX", "YXS", "SYX"):
                raise ImageError(
                    f"a TIFF file of this kind ({page.photometric!s}, axes {page.axes}) is not read; {CONVERT}"
                )
            values = page.asarray()
            values = {"YX": values[..., None], "YXS": values, "SYX": np.moveaxis(values, 0, -1)}[page.axes]
            values = _upright(values, page.tags.valueof(ORIENTATION, 1))
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
        values = np.subtract(declared[1], values, dtype="int32") if declared else -values
    return Deep(values, declared, f"the first of its {pages} pages" if pages > 1 else None)


def _ppm(image: Image.Image, file: File) -> Deep | None:
    """PGM and PPM with samples of two bytes, of which Pillow scales the grey and reduces the colours."""
    name, _, offset, arguments = image.tile[0]
    mode, white = (arguments[0], arguments[1]) if isinstance(arguments, tuple) else (arguments, None)
    if image.mode == "F":
        return Deep(_pillows(image), None)
    white = white if name.startswith("ppm") else (WHITE if mode == "I;16B" else 255)
    if white <= 255:
        return None
    content = _content(file)[offset:]
    count = image.width * image.height * (3 if image.mode == "RGB" else 1)
    if name == "ppm_plain":
        values = np.array(re.sub(rb"#[^\r\n]*", b"", content).split()[:count], "uint16")
    else:
        values = np.frombuffer(content[: count * 2], ">u2").astype("uint16")
    return Deep(values.reshape(image.height, image.width, -1), (0, white))


def _jpeg2000(image: Image.Image, file: File) -> Deep | None:
    """Of grey, Pillow keeps all bits and moves them up to 16; colours it reduces."""
    content = _content(file)
    start = content.find(b"\xff\x4f\xff\x51")  # of the codestream and its marker of sizes
    bits = (content[start + 42] & 127) + 1 if 0 <= start < len(content) - 42 else 8
    if bits <= 8:
        return None
    if image.mode.startswith("I;16"):
        return Deep(_pillows(image), (0, (2**bits - 1) << (16 - bits)))
    try:
        import imagecodecs
    except ImportError as error:
        raise ImageError(f"JPEG 2000 in colours of {bits} bits {NEEDS}") from error
    return Deep(np.atleast_3d(imagecodecs.jpeg2k_decode(content)), (0, 2**bits - 1))


def _upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """The array turned and mirrored as the tag says, (height, width, channels)."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    down = slice(None, None, -1) if orientation in (3, 4, 7, 8) else slice(None)
    across = slice(None, None, -1) if orientation in (2, 3, 6, 7) else slice(None)
    return values[down, across]


READERS: dict[str, Callable[[Any, File], Deep | None]] = {
    "PNG": _png,
    "TIFF": _tiff,
    "PPM": _ppm,
    "JPEG2000": _jpeg2000,
}
