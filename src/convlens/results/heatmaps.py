"""Where in images a class comes from."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from convlens.data.images import Photo
from convlens.data.predictions import Prediction
from convlens.output.folder import Run, safe_name
from convlens.render.colormap import lookup
from convlens.render.overlay import heat_picture, overlay, panel
from convlens.render.sprites import heat_cells, heat_smooth
from convlens.results.notebook import heat_figure, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Heatmap:
    """Class heatmaps of a batch of images.

    Attributes:
        values: raw, after the ReLU, float32 (batch, height, width) of the layer's size.
        layer: path of the layer looked at.
        target: the class, or the unit of an output without classes; a tuple, one an image, where each image has its
            likeliest.
        names: the class's name, one an image, None if unknown.
        status: one an image: "ok", "no positive evidence", "zero gradient", "constant", "saturated" or "non-finite at
            LAYER".
        predictions: the likeliest classes, or the values, a tuple an image.
        score: "logit" or "probability".
        method: such as "grad-cam".
        photos: the images as they are shown.
        contrast: an image's likeliest other class, and how much likelier than it the target is.
        provenance: model, preprocessing, versions.
        direction: "up" or "down" for an output without classes, None for a class.
        rival_predictions: the likeliest classes with the preprocessing that is the next likely, where it is a guess
            that is not sure.
    """

    values: np.ndarray
    layer: str
    target: int | tuple[int, ...]
    names: tuple[str | None, ...]
    status: tuple[str, ...]
    predictions: tuple[tuple[Prediction, ...], ...]
    score: str
    method: str
    photos: tuple[Photo, ...]
    contrast: tuple[dict[str, Any] | None, ...]
    provenance: dict[str, Any]
    direction: str | None = None
    rival_predictions: tuple[tuple[Prediction, ...], ...] | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the result, a line each."""
        return tuple(self.provenance.get("notes", ()))

    def __repr__(self) -> str:
        return (
            f"Heatmap({self.method} of {self._what} {self.target} at {self.layer}: {self.values.shape}, {self.status})"
        )

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

    def overlay(self, index: int = 0, strength: float = 0.4, colormap: str = "inferno") -> Image.Image:
        """The heatmap over the photo, at the photo's own size; with a status other than "ok", the photo saying so.

        Args:
            index: of the image in the batch.
            strength: share of the heatmap, 0-1.
            colormap: by name; "jet" is the seed's.
        """
        return overlay(self.photos[index].pixels, self.values[index], strength, colormap, self.status[index])

    def picture(self, index: int = 0, colormap: str = "inferno") -> Image.Image:
        """The heatmap alone, with a colour bar of its raw values."""
        return heat_picture(self.values[index], self.status[index], colormap)

    def title(self, index: int = 0) -> str:
        """The class in words, with its probability, logit or value where it is among those shown."""
        name, number = self.names[index], f"{self._what} {self.targets[index]}"
        words = f"{name} ({number})" if name else number
        words += f" {self.direction}" if self.direction else ""
        found = [one.words for one in self.predictions[index] if one.index == self.targets[index]]
        return f"{words}, {found[0]}" if found else words

    def panel(self, index: int = 0, strength: float = 0.4, colormap: str = "inferno") -> Image.Image:
        """Photo, heatmap and overlay side by side."""
        status = self.status[index]
        score = "value" if self.direction else self.score
        caption = f"{self.photos[index].name}: {self.method} of the {score} at {self.layer}"
        caption += "" if status == "ok" else f"; nothing to see: {status}"
        pixels, shown = self.photos[index].pixels, self.photos[index].shown
        caption += f"; photo {shown}" if shown else ""
        return panel(pixels, self.values[index], self.title(index), caption, status, strength, colormap)

    def write(self, run: Run, strength: float = 0.4, colormap: str = "inferno") -> None:
        """Overlay, heatmap, panel and raw values into a run's folder, a folder an image."""
        for index, photo in enumerate(self.photos):
            home = f"heatmaps/{safe_name(photo.name)}/{self._place(index)}"
            shared = {"layer": self.layer, "photo": photo.name, "target": self.targets[index], "view": "heatmap"}
            caption = f"{self.title(index)}, on {photo.name}: {self.status[index]}"
            run.picture(
                f"{home}-panel.png", self.panel(index, strength, colormap), **shared, page=True, caption=caption
            )
            run.picture(f"{home}-overlay.png", self.overlay(index, strength, colormap), **shared, kind="overlay")
            run.picture(f"{home}-heatmap.png", self.picture(index, colormap), **shared, kind="heatmap")
            run.array(f"{home}-values.npz", values=self.values[index])

    def write_layers(self, run: Run, index: int) -> dict[str, Any]:
        """The heatmap of one image for a page: a pixel a value, and smooth to lie over the photo; where they are.

        A heatmap that says nothing has no pictures.
        """
        status, values, photo = self.status[index], self.values[index], self.photos[index]
        entry: dict[str, Any] = {"status": status, "maximum": float(np.nan_to_num(values).max())}
        if status == "ok":
            home = f"heatmaps/{safe_name(photo.name)}/{safe_name(self.layer)}-{self._place(index)}"
            words = {"layer": self.layer, "photo": photo.name, "target": self.targets[index], "view": "heatmap"}
            entry["cells"] = run.web_picture(f"{home}-cells.webp", heat_cells(values), exact=True, **words)
            smooth = heat_smooth(values, *photo.size)
            entry["smooth"] = run.web_picture(f"{home}-smooth.webp", smooth, exact=False, **words)
        return entry

    def save(self, folder: str | Path, overwrite: bool = False, **drawing: Any) -> list[Path]:
        """Writes pictures, raw values and a manifest; gives the files.

        Raises:
            OutputError: the folder is not empty or cannot be written to.
        """
        with Run(Path(folder), "heatmap", overwrite, self.provenance) as run:
            self.write(run, **drawing)
            run.note("heatmaps", [self.to_json()])
        return run.files

    def _repr_html_(self) -> str:
        return shown([(self.title(index), self.panel(index)) for index in range(len(self.photos))])

    def plot(self, index: int = 0, strength: float = 0.4, colormap: str = "inferno") -> "Figure":
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
        """Layer, classes, statuses and predictions, an entry an image."""
        return {
            "layer": self.layer,
            "method": self.method,
            "score": self.score,
            "targets": list(self.targets),
            "direction": self.direction,
            "names": list(self.names),
            "status": list(self.status),
            "images": [photo.name for photo in self.photos],
            "shape": list(self.values.shape),
            "range": [[float(np.min(one)), float(np.max(one))] for one in self.values],
            "predictions": [[asdict(one) for one in shown] for shown in self.predictions],
            "rival_predictions": self.rival_predictions
            and [[asdict(one) for one in shown] for shown in self.rival_predictions],
            "contrast": list(self.contrast),
            "head": self.provenance.get("head"),
        }
