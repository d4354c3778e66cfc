"""Signed maps, with zero in the middle of the colours: alone, and over the photo."""

import numpy as np
from PIL import Image

from convlens.render.colormap import colorize
from convlens.render.grid import with_bar
from convlens.render.overlay import NEUTRAL, SIDE, noted
from convlens.render.text import framed

SIGNED = "PuOr_r"  # purple below, orange above: told apart by the colour-blind
STRENGTH = 0.85
SHOWN = 99.5  # percentile of the sizes that the ends of the colours stand for: a few pixels outshine all others
PALE = 0.55  # of a grey photo's contrast that is left under a map


def signed_limit(values: np.ndarray) -> float:
    """The size that the ends of the colours stand for: all but one in two hundred values are within it.

    Where so many values are 0 that nothing would be left to see, it is the largest size.
    """
    sizes = np.abs(np.nan_to_num(values.astype("float32"), posinf=0, neginf=0))
    limit = float(np.percentile(sizes, SHOWN))
    return limit if limit > 0 else float(sizes.max())


def signed_scale(values: np.ndarray) -> np.ndarray:
    """A map from -1 to 1 of its limit, 0 where it is 0; what is beyond is cut."""
    finite, limit = np.nan_to_num(values.astype("float32"), posinf=0, neginf=0), signed_limit(values)
    return np.clip(finite / limit, -1, 1) if limit > 0 else finite


def signed_picture(values: np.ndarray, status: str = "ok", colormap: str = SIGNED, side: int = SIDE) -> Image.Image:
    """A signed map alone, in whole enlarged pixels, over a colour bar with its raw values.

    Where there is nothing to see it is an even grey that says so.
    """
    times = max(side // max(values.shape), 1)
    if status != "ok":
        return noted(Image.new("RGB", (values.shape[1] * times, values.shape[0] * times), NEUTRAL), status)
    colours = colorize(signed_scale(values) / 2 + 0.5, colormap).repeat(times, 0).repeat(times, 1)
    limit = signed_limit(values)
    return with_bar(Image.fromarray(colours), -limit, limit, colormap)


def signed_overlay(
    pixels: np.ndarray, values: np.ndarray, strength: float = STRENGTH, colormap: str = SIGNED, status: str = "ok"
) -> Image.Image:
    """The map's colours over the photo in pale grey, the more of them the larger a value is in size.

    Args:
        pixels: uint8 (height, width, 3).
        values: raw (rows, columns).
        strength: share of the colour where the map is strongest, 0-1.
        status: other than "ok", it is written on the photo, which is left as it is.
    """
    if status != "ok":
        return noted(Image.fromarray(pixels), status)
    height, width = pixels.shape[:2]
    scaled = Image.fromarray(signed_scale(values)).resize((width, height), Image.Resampling.BILINEAR)
    shares = np.clip(np.asarray(scaled), -1, 1)
    grey = 255 - PALE * (255 - np.asarray(Image.fromarray(pixels).convert("L"), "float32")[..., None])
    opacity = strength * np.sqrt(np.abs(shares))[..., None]
    mixed = grey * (1 - opacity) + colorize(shares / 2 + 0.5, colormap) * opacity
    return Image.fromarray(np.clip(np.round(mixed), 0, 255).astype("uint8"))


def signed_panel(
    pixels: np.ndarray,
    values: np.ndarray,
    title: str,
    caption: str,
    status: str = "ok",
    strength: float = STRENGTH,
    colormap: str = SIGNED,
) -> Image.Image:
    """Photo, signed map and overlay side by side, with a title and a caption."""
    height, width = pixels.shape[:2]
    share = SIDE / max(height, width)
    size = (max(round(width * share), 1), max(round(height * share), 1))
    photo = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
    both = signed_overlay(np.asarray(photo), values, strength, colormap, status)
    if status == "ok":
        limit = signed_limit(values)
        alone = Image.fromarray(colorize(signed_scale(values) / 2 + 0.5, colormap))
        alone = with_bar(alone.resize(size, Image.Resampling.BOX), -limit, limit, colormap)
    else:
        alone = noted(Image.new("RGB", size, NEUTRAL), status)
    sheet = Image.new("RGB", (size[0] * 2 + alone.width + 24, max(alone.height, size[1])), (255, 255, 255))
    for picture, left in ((photo, 0), (alone, size[0] + 12), (both, size[0] + alone.width + 24)):
        sheet.paste(picture, (left, 0))
    return framed(sheet, title, caption)
