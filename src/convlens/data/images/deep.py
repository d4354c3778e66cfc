"""Files of more than 8 bits a channel, or of floats, at their full depth: most of them Pillow reduces to 8 bits."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from convlens.data.images.raw import CONVERT, NEEDS, ORIENTATION, Deep, File, as_pillow_keeps, content_of, upright
from convlens.data.images.tiff import tiff
from convlens.errors import ImageError

WHITE = 65535
HEAD = 65536  # bytes that hold what a file says of itself
REDUCED = re.compile(r"\b(L|LA|RGB|RGBA|RGBX|CMYK);16[BLNS]?\b|SGI16")  # what Pillow reads as 8 bits


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
        return Deep(as_pillow_keeps(image), (0, WHITE))
    if image.mode in ("I", "F"):
        sixteen = image.mode == "I" and image.format in ("PNG", "PPM")  # as older Pillow opens 16 bits
        return Deep(as_pillow_keeps(image), (0, WHITE) if sixteen else None)
    if file and any(REDUCED.search(str(tile)) for tile in getattr(image, "tile", [])):
        raise ImageError(f"{image.format} files of 16 bits a channel cannot be read without a loss; {CONVERT}")
    return None


def reduction(image: Image.Image, file: File | None) -> str | None:
    """What Pillow leaves out of a picture that it decodes to 8 bits: of AVIF, where cameras write 10 or 12."""
    if image.format != "AVIF" or not file:
        return None
    start = content_of(file)[:HEAD]
    place = start.find(b"pixi")  # the box with the bits of each channel
    bits = max(start[place + 9 : place + 9 + start[place + 8]]) if 0 < place < len(start) - 12 else 8
    return f"read at 8 of its {bits} bits a channel" if bits > 8 else None


def _png(image: Any, file: File) -> Deep | None:
    """16 bits a channel. The format's samples are scaled to all of them, also where a chunk says that fewer count."""
    mode = image.tile[0][3] if image.tile else ""
    if mode == "I;16B":
        return Deep(_opacity(as_pillow_keeps(image).astype("uint16"), image.info.get("transparency")), (0, WHITE))
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
    return Deep(upright(values, image.getexif().get(ORIENTATION, 1)), (0, WHITE))


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


def _ppm(image: Any, file: File) -> Deep | None:
    """PGM and PPM with samples of two bytes, of which Pillow scales the grey and reduces the colours."""
    name, _, offset, arguments = image.tile[0]
    mode = arguments[0] if isinstance(arguments, tuple) else arguments
    if image.mode == "F":
        return Deep(as_pillow_keeps(image), None)
    white = arguments[1] if name.startswith("ppm") else (WHITE if mode == "I;16B" else 255)
    if white <= 255:
        return None
    content = content_of(file)[offset:]
    count = image.width * image.height * (3 if image.mode == "RGB" else 1)
    if name == "ppm_plain":
        values = np.array(re.sub(rb"#[^\r\n]*", b"", content).split()[:count], "uint16")
    else:
        values = np.frombuffer(content[: count * 2], ">u2").astype("uint16")
    return Deep(values.reshape(image.height, image.width, -1), (0, white))


def _jpeg2000(image: Image.Image, file: File) -> Deep | None:
    """Of grey, Pillow keeps all bits and moves them up to 16; colours it reduces."""
    content = content_of(file)
    start = content.find(b"\xff\x4f\xff\x51")  # of the codestream and its marker of sizes
    bits = (content[start + 42] & 127) + 1 if 0 <= start < len(content) - 42 else 8
    if bits <= 8:
        return None
    if image.mode.startswith("I;16"):
        return Deep(as_pillow_keeps(image), (0, (2**bits - 1) << (16 - bits)))
    try:
        import imagecodecs
    except ImportError as error:
        raise ImageError(f"JPEG 2000 in colours of {bits} bits {NEEDS}") from error
    return Deep(np.atleast_3d(imagecodecs.jpeg2k_decode(content)), (0, 2**bits - 1))


READERS: dict[str, Callable[[Any, File], Deep | None]] = {
    "PNG": _png,
    "TIFF": tiff,
    "PPM": _ppm,
    "JPEG2000": _jpeg2000,
}
