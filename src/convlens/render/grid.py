"""Many small pictures in one."""

import math

import numpy as np
from PIL import Image

from convlens.errors import OptionError
from convlens.render.colormap import colorize, lookup
from convlens.render.normalize import channel_scale, constant_channels, layer_scale, value_range
from convlens.render.text import CAPTION, INK, font, framed, write

WIDE = 1200  # pixels that a grid of small maps is enlarged towards
MAX_SIDE = 6000  # pixels; wider grids are reduced
BLANK, STROKE = (38, 38, 46), (120, 120, 135)  # of a tile without a picture
STRIP = 64  # cells a row of a strip
SCALES = {"channel": channel_scale, "layer": layer_scale}


def tile(tiles: np.ndarray, columns: int, margin: int, background: tuple[int, int, int] = (0, 0, 0)) -> np.ndarray:
    """Tiles in rows, with a margin between them but none around; the last row is filled up with background.

    Args:
        tiles: uint8 (n, height, width, 3).
        columns: tiles a row.
        margin: pixels between two tiles.

    Returns:
        uint8 (rows·(height + margin) - margin, columns·(width + margin) - margin, 3).

    Raises:
        OptionError: fewer than one column.
    """
    count, height, width, _ = tiles.shape
    columns = _columns(columns, count)
    rows = math.ceil(count / columns)
    sheet = np.empty((rows * columns, height + margin, width + margin, 3), "uint8")
    sheet[:] = background
    sheet[:count, :height, :width] = tiles
    sheet = sheet.reshape(rows, columns, height + margin, width + margin, 3).swapaxes(1, 2)
    sheet = sheet.reshape(rows * (height + margin), columns * (width + margin), 3)
    return sheet[: sheet.shape[0] - margin, : sheet.shape[1] - margin]


def _columns(columns: int, count: int) -> int:
    if columns < 1:
        raise OptionError(f"columns={columns}: expected at least 1")
    return min(columns, count)


def crossed(height: int, width: int) -> np.ndarray:
    """A tile without a picture to show: dark, with a diagonal cross; uint8 (height, width, 3)."""
    rows, columns = np.ogrid[:height, :width]
    across = columns * max(height - 1, 1) / max(width - 1, 1)
    stroke = max(min(height, width) / 40, 0.5)
    lines = (np.abs(rows - across) <= stroke) | (np.abs(rows - (height - 1 - across)) <= stroke)
    return np.where(lines[..., None], np.array(STROKE), np.array(BLANK)).astype("uint8")


def channel_tiles(values: np.ndarray, scale: str, colormap: str) -> np.ndarray:
    """Every channel as a coloured tile, those without any contrast crossed out.

    Args:
        values: (height, width, channels).
        scale: "channel", each its own brightness, or "layer", one for all.

    Returns:
        uint8 (channels, height, width, 3).

    Raises:
        OptionError: unknown scale or colormap.
    """
    if scale not in SCALES:
        raise OptionError.unknown(f"unknown scale {scale!r}", scale, SCALES)
    tiles = lookup(colormap)[SCALES[scale](values).transpose(2, 0, 1)]
    tiles[constant_channels(values)] = crossed(*values.shape[:2])
    return tiles


def enlarged(tiles: np.ndarray, columns: int, wide: int = WIDE) -> np.ndarray:
    """Tiles as large as fits the width, in whole pixels, so that a map of few values is seen as squares."""
    times = max(wide // (_columns(columns, len(tiles)) * tiles.shape[2]), 1)
    times = min(times, max(128 // max(tiles.shape[1:3]), 1))
    return tiles.repeat(times, 1).repeat(times, 2) if times > 1 else tiles


def activation_grid(
    values: np.ndarray,
    title: str,
    caption: str = "",
    scale: str = "channel",
    columns: int = 16,
    colormap: str = "viridis",
) -> Image.Image:
    """All channels of a layer on one image, in rows, with title, caption and what the colours mean.

    Args:
        values: raw (height, width, channels).
        title: the layer's name.
        caption: what was measured.
        scale: "channel": each channel has its own brightness, as the book draws it; "layer": one scale for all.
        columns: channels a row.
    """
    tiles = enlarged(channel_tiles(values, scale, colormap), columns)
    sheet = Image.fromarray(tile(tiles, columns, max(tiles.shape[2] // 32, 1), (255, 255, 255)))
    if max(sheet.size) > MAX_SIDE:
        sheet.thumbnail((MAX_SIDE, MAX_SIDE))
    if scale == "layer":
        sheet = with_bar(sheet, *value_range(values), colormap)
    meaning = "each channel on its own scale" if scale == "channel" else "all channels on one scale"
    blank = int(constant_channels(values).sum())
    meaning += f"; {blank} crossed out: the same everywhere on this image" if blank else ""
    return framed(sheet, title, f"{caption}\n{meaning}" if caption else meaning)


def with_bar(picture: Image.Image, low: float, high: float, colormap: str, least: int = 320) -> Image.Image:
    """A picture with a colour bar under it, marked "low" and "high" with the values they stand for."""
    width, below = max(picture.width, least), CAPTION + 26
    page = Image.new("RGB", (width, picture.height + below), (255, 255, 255))
    page.paste(picture, (0, 0))
    words = [f"low {low:.4g}", f"high {high:.4g}"]
    left = int(font(CAPTION).getlength(words[0])) + 10
    right = width - int(font(CAPTION).getlength(words[1])) - 10
    bar = colorize(np.linspace(0, 1, max(right - left, 2), dtype="float32")[None].repeat(14, 0), colormap)
    top = picture.height + 10
    page.paste(Image.fromarray(bar), (left, top))
    write(page, (0, top - 2), words[0], CAPTION, INK)
    write(page, (right + 10, top - 2), words[1], CAPTION, INK)
    return page


def strip(values: np.ndarray, title: str, caption: str = "", colormap: str = "viridis") -> Image.Image:
    """The output of a layer that is not spatial: features as cells in rows, or a row a token.

    Args:
        values: (features,), (tokens, features) or any other shape, whose first axes become rows.
    """
    flat = values.reshape(-1) if values.ndim < 2 else values.reshape(-1, values.shape[-1])
    scaled = colorize(layer_scale(flat.reshape(1, 1, -1)).reshape(flat.shape), colormap)
    if flat.ndim == 1:
        columns = min(len(flat), STRIP)
        cells = tile(scaled[:, None, None].repeat(16, 1).repeat(16, 2), columns, 1, (255, 255, 255))
    else:
        times = max(min(WIDE // flat.shape[-1], 16), 1)
        cells = scaled.repeat(times, 0).repeat(times, 1)
    picture = Image.fromarray(np.ascontiguousarray(cells))
    if max(picture.size) > MAX_SIDE:
        picture.thumbnail((MAX_SIDE, MAX_SIDE))
    lines = f"{flat.shape[-1]} features" + (f", {flat.shape[0]} rows" if flat.ndim == 2 else f", {STRIP} a row")
    picture = with_bar(picture, *value_range(flat), colormap)
    return framed(picture, title, f"{caption}\n{lines}" if caption else lines)


def pattern_grid(
    images: np.ndarray, columns: int = 8, margin: int = 5, words: dict[int, str] | None = None
) -> Image.Image:
    """Patterns on black with black margins, 8 a row: 547x547 for 64 at 64 pixels.

    Args:
        images: uint8 (filters, height, width, 3).
        columns: patterns a row.
        margin: pixels between two.
        words: by row of `images`, what is written on a pattern that is none.
    """
    tiles = images.copy()
    height, width = tiles.shape[1:3]
    for row in words or {}:
        tiles[row] = crossed(height, width)
    sheet = Image.fromarray(tile(tiles, columns, margin))
    for row, word in (words or {}).items():
        at = (row % columns) * (width + margin), (row // columns) * (height + margin)
        sizes = range(max(min(height // 4, 14), 8), 7, -1)
        if size := next((size for size in sizes if font(size).getlength(word) + 6 <= width), None):
            write(sheet, (at[0] + 3, at[1] + 2), word, size, (255, 255, 255))
    return sheet


__all__ = ["activation_grid", "channel_tiles", "crossed", "pattern_grid", "strip", "tile", "with_bar"]
