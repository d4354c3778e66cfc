"""Pictures for a page: many tiles on one sheet without any text, and heatmaps to lie over a photo."""

import math

import numpy as np
from PIL import Image

from convlens.render.colormap import colorize
from convlens.render.grid import tile
from convlens.render.normalize import heat_scale
from convlens.render.overlay import resized
from convlens.render.text import PAPER

MOST = 4_000_000  # pixels of a sheet: what a browser decodes in a blink
SIDE = 256  # pixels of a tile
SMOOTH = 320  # pixels of a heatmap that lies over a photo
PHOTO = 960  # pixels of a photo's longer side
CONTRAST = "PuOr_r"  # purple below, orange above: told apart by the colour-blind


def sheet(tiles: np.ndarray) -> tuple[Image.Image, int]:
    """Tiles edge to edge on a sheet that is about square, reduced where it would be too large, and its columns.

    Args:
        tiles: uint8 (n, height, width, 3).
    """
    count, height, width, _ = tiles.shape
    share = min(1.0, SIDE / max(height, width), math.sqrt(MOST / (count * height * width)))
    if share < 1:
        size = (max(int(width * share), 1), max(int(height * share), 1))
        small = [np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BOX)) for one in tiles]
        tiles = np.stack(small)
    columns = math.ceil(math.sqrt(count * tiles.shape[1] / tiles.shape[2]))
    columns = min(max(columns, 1), count)
    return Image.fromarray(tile(tiles, columns, 0, PAPER)), columns


def heat_cells(values: np.ndarray, colormap: str = "inferno") -> Image.Image:
    """A heatmap over its maximum, a pixel a value."""
    return Image.fromarray(colorize(heat_scale(values), colormap))


def heat_smooth(values: np.ndarray, height: int, width: int, colormap: str = "inferno") -> Image.Image:
    """A heatmap over its maximum, bilinear, in the shape of its photo."""
    share = SMOOTH / max(height, width)
    size = max(round(height * share), 1), max(round(width * share), 1)
    return Image.fromarray(colorize(resized(values, *size), colormap))


def contrast_cells(difference: np.ndarray, colormap: str = CONTRAST) -> tuple[Image.Image, float]:
    """A signed map around its zero, a pixel a value, and the value that the ends of the colours stand for.

    Args:
        difference: (height, width), one map minus another.
    """
    finite = np.nan_to_num(difference.astype("float32"), posinf=0, neginf=0)
    limit = float(np.abs(finite).max())
    share = finite / limit if limit > 0 else finite
    return Image.fromarray(colorize(share / 2 + 0.5, colormap)), limit


def photo_picture(pixels: np.ndarray) -> Image.Image:
    """A photo at the size at which a page shows it, never enlarged."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((PHOTO, PHOTO), Image.Resampling.LANCZOS)
    return picture
