"""Where in images a class comes from."""

# pyright: strict
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from convlens.data.images import Photo
from convlens.data.predictions import Prediction
from convlens.errors import listing
from convlens.output.folder import Folder
from convlens.output.names import safe_name
from convlens.output.sink import Sink
from convlens.render.colormap import lookup
from convlens.render.overlay import heat_picture, overlay, panel
from convlens.render.sprites import contrast_cells, heat_cells, heat_smooth
from convlens.results.notebook import heat_figure, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STRENGTH, COLORMAP = 0.4, "inferno"  # how they are drawn by default
NAMED = 4  # targets that its repr names


@dataclass(frozen=True, eq=False)
class Heatmap:
    """Class heatmaps of a batch of images.

    Attributes:
        values: raw, after the ReLU, float32 (batch, height, width) of the layer's size.
        layer: path of the layer looked at.
        target: the class, or the unit of an output without classes; a tuple, one an image, where each image has its
            likeliest.
        names: the class's name, one an image, None if unknown.
        status: one an image: "ok", "no positive evidence", "no positive values", "zero gradient", "constant",
            "saturated" or "non-finite at PLACE".
        predictions: the likeliest classes, or the values, a tuple an image.
        score: what is explained, "logit" or "probability"; None of a method that ignores the class.
        method: one of those that `convlens methods` lists, such as "grad-cam".
        photos: the images as they are shown.
        contrast: an image's likeliest other class, and how much likelier than it the target is.
        provenance: model and how it was loaded, preprocessing, versions, images, what was asked.
        direction: "up" or "down" for an output without classes, None for a class.
        rival_predictions: the likeliest classes with the preprocessing that is the next likely, where it is a guess
            that is not sure.

    Example:
        >>> heatmap = convlens.heatmap("bundled", photo())
        >>> heatmap
        Heatmap(grad-cam of class 0 at conv2d_8, 1 of 15x15: 1 ok)
        >>> heatmap.title()
        'cat (class 0), probability 0.963'
        >>> heatmap.overlay().size
        (451, 300)
    """

    values: np.ndarray
    layer: str
    target: int | tuple[int, ...]
    names: tuple[str | None, ...]
    status: tuple[str, ...]
    predictions: tuple[tuple[Prediction, ...], ...]
    score: str | None
    method: str
    photos: tuple[Photo, ...]
    contrast: tuple[dict[str, Any] | None, ...]
    provenance: dict[str, Any]
    direction: str | None = None
    rival_predictions: tuple[tuple[Prediction, ...], ...] | None = None

    @property
    def class_free(self) -> bool:
        """Whether the method ignores the class: the map is the same for every target."""
        return bool(self.provenance.get("class_free"))

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the result, a line each."""
        return tuple(self.provenance.get("notes", ()))

    def __repr__(self) -> str:
        named = listing(dict.fromkeys(self.targets), NAMED)
        count, height, width = self.values.shape
        statuses = ", ".join(f"{number} {status}" for status, number in Counter(self.status).items())
        what = "" if self.class_free else f" of {self._what} {named}"
        return f"Heatmap({self.method}{what} at {self.layer}, {count} of {height}x{width}: {statuses})"

    @property
    def _what(self) -> str:
        return "unit" if self.direction else "class"

    def _place(self, index: int) -> str:
        """The target of an image in a file's name: lowered, it has another picture than raised."""
        return f"{self.targets[index]}{'-down' if self.direction == 'down' else ''}"

    @property
    def targets(self) -> tuple[int, ...]:
        """The class, one an image."""
        return self.target if isinstance(self.target, tuple) else (self.target,) * len(self.photos)

    def overlay(self, index: int = 0, strength: float = STRENGTH, colormap: str = COLORMAP) -> Image.Image:
        """The heatmap over the photo, at the photo's own size; with a status other than "ok", the photo saying so.

        Args:
            index: of the image in the batch.
            strength: share of the heatmap, 0-1.
            colormap: by name; "jet" is the book's.
        """
        return overlay(self.photos[index].pixels, self.values[index], strength, colormap, self.status[index])

    def picture(self, index: int = 0, colormap: str = COLORMAP) -> Image.Image:
        """The heatmap alone, with a colour bar of its raw values."""
        return heat_picture(self.values[index], self.status[index], colormap)

    def title(self, index: int = 0) -> str:
        """The class in words, with its probability, logit or value where it is among those shown."""
        name, number = self.names[index], f"{self._what} {self.targets[index]}"
        words = f"{name} ({number})" if name else number
        words += f" {self.direction}" if self.direction else ""
        numbers = [each.words for each in self.predictions[index] if each.index == self.targets[index]]
        words = f"{words}, {numbers[0]}" if numbers else words
        return f"{words} ({self.method} ignores the class)" if self.class_free else words

    def panel(self, index: int = 0, strength: float = STRENGTH, colormap: str = COLORMAP) -> Image.Image:
        """Photo, heatmap and overlay side by side."""
        status = self.status[index]
        score = "value" if self.direction else self.score
        explained = "" if self.class_free else f" of the {score}"
        caption = f"{self.photos[index].name}: {self.method}{explained} at {self.layer}"
        caption += "" if status == "ok" else f"; nothing to see: {status}"
        pixels, shown = self.photos[index].pixels, self.photos[index].shown
        caption += f"; photo {shown}" if shown else ""
        return panel(pixels, self.values[index], self.title(index), caption, status, strength, colormap)

    def write(
        self,
        sink: Sink,
        *,
        strength: float = STRENGTH,
        colormap: str = COLORMAP,
        page: bool = False,
        others: "Sequence[Heatmap]" = (),
    ) -> None:
        """Writes overlay, heatmap, panel and raw values, a folder an image, and what the manifest says of them.

        Args:
            sink: where to.
            strength, colormap: as for `overlay`.
            page: for a page instead: a pixel a value, and smooth to lie over the photo; a heatmap that says nothing
                has no pictures.
            others: heatmaps of the same images and layer, with which a page contrasts it.
        """
        if page:
            pictures = [self._page_pictures(sink, index, colormap, others) for index in range(len(self.photos))]
            sink.result("heatmaps", {**self.to_json(), "pictures": pictures}, self.provenance)
        else:
            self._pictures(sink, strength, colormap)
            sink.result("heatmaps", self.to_json(), self.provenance)
        sink.notes(self.notes)

    def _pictures(self, sink: Sink, strength: float, colormap: str) -> None:
        for index, photo in enumerate(self.photos):
            home, words = f"heatmaps/{safe_name(photo.name)}/{self._place(index)}", self._words(index)
            caption = f"{self.title(index)}, on {photo.name}: {self.status[index]}"
            panel = self.panel(index, strength, colormap)
            sink.picture(f"{home}-panel.png", panel, **words, page=True, caption=caption)
            sink.picture(f"{home}-overlay.png", self.overlay(index, strength, colormap), **words, kind="overlay")
            sink.picture(f"{home}-heatmap.png", self.picture(index, colormap), **words, kind="heatmap")
            sink.arrays(f"{home}-values.npz", {"values": self.values[index]})

    def _words(self, index: int) -> dict[str, Any]:
        """What the manifest says of each picture of an image."""
        target = self.targets[index]
        return {"layer": self.layer, "photo": self.photos[index].name, "target": target, "view": "heatmap"}

    def _page_pictures(self, sink: Sink, index: int, colormap: str, others: "Sequence[Heatmap]") -> dict[str, Any]:
        """The pictures of one image for a page: what they say, and where they are."""
        status, values, photo = self.status[index], self.values[index], self.photos[index]
        entry: dict[str, Any] = {"status": status, "maximum": float(np.nan_to_num(values).max())}
        home, words = f"heatmaps/{safe_name(photo.name)}/{safe_name(self.layer)}", self._words(index)
        if status == "ok":
            target = f"{home}-{self._place(index)}"
            cells = heat_cells(values, colormap)
            entry["cells"] = sink.web_picture(f"{target}-cells.webp", cells, exact=True, **words)
            smooth = heat_smooth(values, *photo.size, colormap)
            entry["smooth"] = sink.web_picture(f"{target}-smooth.webp", smooth, exact=False, **words)
        entry["contrast"] = None
        numbers = self.contrast[index]
        rival = next((each for each in others if numbers and each.targets[index] == numbers["runner_up"]), None)
        if numbers is not None and rival is not None and {status, rival.status[index]} == {"ok"}:
            picture, limit = contrast_cells(values - rival.values[index])
            place = f"{home}-{self.targets[index]}-contrast.webp"
            alike = {"limit": limit, "correlation": correlation(self, rival)[index]}
            told = {**numbers, "name": rival.names[index], **alike}
            entry["contrast"] = {**told, "cells": sink.web_picture(place, picture, exact=True, **words)}
        return entry

    def save(
        self, folder: str | Path, overwrite: bool = False, *, strength: float = STRENGTH, colormap: str = COLORMAP
    ) -> list[Path]:
        """Writes pictures, raw values and a manifest; gives the files.

        Args:
            folder: which must be new or empty.
            overwrite: replace an earlier run in it.
            strength, colormap: as for `overlay`.

        Raises:
            OutputError: the folder is not empty or cannot be written to.
        """
        with Folder(folder, "heatmap", overwrite) as run:
            self.write(run, strength=strength, colormap=colormap)
        return run.files

    def _repr_html_(self) -> str:
        return shown([(self.title(index), self.panel(index)) for index in range(len(self.photos))])

    def plot(self, index: int = 0, strength: float = STRENGTH, colormap: str = COLORMAP) -> "Figure":
        """The photo with the heatmap over it as a matplotlib figure, with a colour bar of the raw values.

        Args:
            index: of the image in the batch.
            strength: share of the heatmap, 0-1.
            colormap: by name.
        """
        limit = float(np.nan_to_num(self.values[index]).max()) if self.status[index] == "ok" else None
        title = self.title(index) if limit is not None else f"{self.title(index)}: {self.status[index]}"
        return heat_figure(self.overlay(index, strength, colormap), title, limit, lookup(colormap))

    def to_json(self) -> dict[str, Any]:
        """What was asked, and layer, classes, statuses and predictions, an entry an image."""
        return {
            "layer": self.layer,
            "method": self.method,
            "score": self.score,
            "class_free": self.class_free,
            "targets": list(self.targets),
            "direction": self.direction,
            "names": list(self.names),
            "status": list(self.status),
            "images": [photo.name for photo in self.photos],
            "shape": list(self.values.shape),
            "range": [[float(np.min(values)), float(np.max(values))] for values in self.values],
            "predictions": _listed(self.predictions),
            "rival_predictions": self.rival_predictions and _listed(self.rival_predictions),
            "contrast": list(self.contrast),
            "head": self.provenance.get("head"),
            "request": self.provenance.get("request"),
        }


def _listed(predictions: tuple[tuple[Prediction, ...], ...]) -> list[list[dict[str, Any]]]:
    return [[asdict(each) for each in of_image] for of_image in predictions]


def correlation(first: Heatmap, second: Heatmap) -> list[float | None]:
    """How alike two classes' maps are: Pearson's correlation an image, None where a map is constant."""
    alike: list[float | None] = []
    for a, b in zip(first.values, second.values, strict=True):
        spread = float(a.std() * b.std())
        finite = np.isfinite(spread) and spread > 0
        alike.append(float(((a - a.mean()) * (b - b.mean())).mean() / spread) if finite else None)
    return alike
