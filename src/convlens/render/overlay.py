"""Heatmaps, alone and over the photo."""

import numpy as np
from PIL import Image

from convlens.render.colormap import colorize
from convlens.render.grid import with_bar
from convlens.render.normalize import heat_scale
from convlens.render.text import CAPTION, framed, wrap, write

SIDE = 480  # pixels that a panel's pictures are fitted into
NEUTRAL = (128, 128, 128)
SMALLEST = 9  # pixels of letters that can still be read


def resized(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """A heatmap over its maximum, bilinearly at another size, 0-1 float32 (height, width)."""
    heat = Image.fromarray(heat_scale(values))
    return np.clip(np.asarray(heat.resize((width, height), Image.Resampling.BILINEAR)), 0, 1)


def overlay(
    pixels: np.ndarray, values: np.ndarray, strength: float = 0.4, colormap: str = "inferno", status: str = "ok"
) -> Image.Image:
    """The photo with the coloured heatmap added to it, at the photo's own size.

    The photo gives way to the colour by the same share: a plain sum clips to white on bright photos, and the
    heat cannot be seen on them.

    Args:
        pixels: uint8 (height, width, 3).
        values: raw (rows, columns).
        strength: share of the heatmap, 0-1.
        status: other than "ok", it is written on the photo, which is left as it is.
    """
    height, width = pixels.shape[:2]
    if status != "ok":
        return noted(Image.fromarray(pixels), status)
    colours = colorize(resized(values, height, width), colormap).astype("float32")
    mixed = pixels * np.float32(1 - strength) + colours * np.float32(strength)
    return Image.fromarray(np.clip(np.round(mixed), 0, 255).astype("uint8"))


def noted(picture: Image.Image, words: str) -> Image.Image:
    """A picture with a bar of text at its lower edge, or a thin bare one where text would cover half of it."""
    picture = picture.copy()
    lines, size, height = [], CAPTION, max(picture.height // 8, 1)
    for smaller in range(CAPTION, SMALLEST - 1, -1):
        fitting = wrap(words, smaller, max(picture.width - 8, 8))
        if len(fitting) * (smaller + 4) + 8 <= picture.height // 2:
            lines, size, height = fitting, smaller, len(fitting) * (smaller + 4) + 8
            break
    picture.paste(Image.new("RGB", (picture.width, height), (30, 30, 30)), (0, picture.height - height))
    for number, line in enumerate(lines):
        write(picture, (4, picture.height - height + 3 + number * (size + 4)), line, size, (255, 255, 255))
    return picture


def heat_picture(values: np.ndarray, status: str = "ok", colormap: str = "inferno", side: int = SIDE) -> Image.Image:
    """The heatmap alone, in whole enlarged pixels, over a colour bar with its raw values.

    Where there is nothing to see it is an even grey that says so.
    """
    times = max(side // max(values.shape), 1)
    if status != "ok":
        return noted(Image.new("RGB", (values.shape[1] * times, values.shape[0] * times), NEUTRAL), status)
    colours = colorize(heat_scale(values), colormap).repeat(times, 0).repeat(times, 1)
    return with_bar(Image.fromarray(colours), 0.0, float(values.max()), colormap)


def panel(
    pixels: np.ndarray,
    values: np.ndarray,
    title: str,
    caption: str,
    status: str = "ok",
    strength: float = 0.4,
    colormap: str = "inferno",
) -> Image.Image:
    """Photo, heatmap and overlay side by side, with a title and a caption."""
    height, width = pixels.shape[:2]
    share = SIDE / max(height, width)
    size = (max(round(width * share), 1), max(round(height * share), 1))
    photo = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
    both = overlay(np.asarray(photo), values, strength, colormap, status)
    alone = Image.new("RGB", size, NEUTRAL)
    if status == "ok":
        heat = Image.fromarray(colorize(heat_scale(values), colormap))
        alone = with_bar(heat.resize(size, Image.Resampling.NEAREST), 0.0, float(values.max()), colormap)
    else:
        alone = noted(alone, status)
    sheet = Image.new("RGB", (size[0] * 2 + alone.width + 24, max(alone.height, size[1])), (255, 255, 255))
    for picture, left in ((photo, 0), (alone, size[0] + 12), (both, size[0] + alone.width + 24)):
        sheet.paste(picture, (left, 0))
    return framed(sheet, title, caption)
