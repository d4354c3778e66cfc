"""How results show themselves in a notebook."""

import base64
import io
import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def png(picture: Image.Image) -> bytes:
    """A picture as a notebook takes it."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def shown(pictures: Iterable[tuple[str, Image.Image]], note: str = "") -> str:
    """Pictures under each other as HTML, each with the words that stand for it, and a note below."""
    style = "max-width: 100%; margin: 0 0 8px"
    lines = [
        f'<img alt="{escape(words)}" style="{style}" src="data:image/png;base64,{encoded}">'
        for words, picture in pictures
        for encoded in [base64.b64encode(png(picture)).decode()]
    ]
    return "<div>" + "<br>".join(lines) + (f"<p>{escape(note)}</p>" if note else "") + "</div>"


def channels_figure(tiles: np.ndarray, title: str, numbers: Sequence[int] | None = None, columns: int = 16) -> "Figure":
    """Tiles in rows as a matplotlib figure, each under its number.

    The figure is closed for pyplot, so that a notebook shows it once.

    Args:
        tiles: uint8 (n, height, width, 3).
        title: above all.
        numbers: of the tiles; 0, 1, 2… by default.
        columns: tiles a row.
    """
    from matplotlib import pyplot

    columns = min(columns, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    height, width = tiles.shape[1:3]
    figure, axes = pyplot.subplots(figsize=(columns * 0.75, rows * 0.9 * height / width + 0.5), layout="tight")
    axes.set(xlim=(0, columns), ylim=(rows, -0.05), title=title)
    axes.set_axis_off()
    for place, tile in enumerate(tiles):
        left, top = place % columns, place // columns
        axes.imshow(tile, extent=(left, left + 0.94, top + 0.97, top + 0.18), interpolation="nearest", aspect="auto")
        axes.text(left + 0.47, top + 0.15, str(numbers[place] if numbers else place), ha="center", fontsize=6)
    pyplot.close(figure)
    return figure


def heat_figure(picture: Image.Image, title: str, limit: float | None, colours: np.ndarray) -> "Figure":
    """A heatmap over its photo as a matplotlib figure, with a colour bar of its raw values.

    Args:
        picture: the overlay.
        title: above it.
        limit: the value of the brightest colour; None for a heatmap that says nothing, which gets no bar.
        colours: uint8 (256, 3).
    """
    from matplotlib import cm, pyplot
    from matplotlib.colors import ListedColormap, Normalize

    figure, axes = pyplot.subplots(figsize=(6.4, 6.4 * picture.height / picture.width + 0.5))
    axes.imshow(np.asarray(picture))
    axes.set_title(title)
    axes.set_axis_off()
    if limit is not None:
        bar = figure.colorbar(
            cm.ScalarMappable(Normalize(0, limit), ListedColormap(colours / 255)), ax=axes, shrink=0.8
        )
        bar.set_label("evidence")
    pyplot.close(figure)
    return figure
