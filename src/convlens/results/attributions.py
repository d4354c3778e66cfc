"""Which pixels of images a class comes from."""

# pyright: strict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from convlens.data.images import Photo
from convlens.data.predictions import Prediction
from convlens.output.folder import Folder
from convlens.output.names import safe_name
from convlens.output.sink import Sink
from convlens.render.signed import SIGNED, STRENGTH, signed_overlay, signed_panel, signed_picture
from convlens.results.notebook import shown


@dataclass(frozen=True)
class Completeness:
    """Whether a map's values sum to what its method says.

    Attributes:
        sum: of the values.
        wanted: how much higher the score is for the image than for its baselines.
        size: the sum of the values' sizes.
    """

    sum: float
    wanted: float
    size: float

    @property
    def error(self) -> float:
        """By how much the sum is off, in the score's unit."""
        return self.sum - self.wanted

    @property
    def share(self) -> float:
        """The error as a share of the score's change, or of a thousandth of the values' sizes where that is more.

        Values that all but cancel each other out sum to no more than their rounding.
        """
        least = max(abs(self.wanted), self.size / 1000)
        return abs(self.error) / least if least else float(self.error != 0)

    def __str__(self) -> str:
        return f"the map sums to {self.sum:.4g}, the score's change is {self.wanted:.4g} (off by {self.share:.2%})"


@dataclass(frozen=True, eq=False)
class Attribution:
    """How much each pixel of a batch of images speaks for a class, and how much against it.

    Attributes:
        values: summed over the colours, with their sign, float32 (batch, height, width) of the network's input.
        channels: the same for each of the network's input channels, float32 (batch, height, width, channels); None of
            methods that know no colours.
        target: the class, or the unit of an output without classes; a tuple, one an image, where each image has its
            likeliest.
        names: the class's name, one an image, None if unknown.
        status: one an image: "ok", "zero gradient", "constant", "saturated", "incomplete" (the sum is off the
            score's change by more than a tenth: take more steps or samples) or "non-finite at LAYER".
        completeness: one an image, of methods whose values should sum to the score's change; else None.
        predictions: the likeliest classes, or the values, a tuple an image.
        score: "logit" or "probability".
        method: such as "integrated-gradients".
        photos: the images as they are shown.
        contrast: an image's likeliest other class, and how much likelier than it the target is.
        provenance: model, preprocessing, parameters, versions.
        direction: "up" or "down" for an output without classes, None for a class.
        rival_predictions: the likeliest classes with the preprocessing that is the next likely, where it is a guess
            that is not sure.

    Example:
        >>> attribution = convlens.attribution("bundled", photo(), "cat", "gradient")
        >>> attribution
        Attribution(gradient of class 0: (1, 150, 150), ('ok',))
    """

    values: np.ndarray
    channels: np.ndarray | None
    target: int | tuple[int, ...]
    names: tuple[str | None, ...]
    status: tuple[str, ...]
    completeness: tuple[Completeness, ...] | None
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
        return f"Attribution({self.method} of {self._what} {self.target}: {self.values.shape}, {self.status})"

    @property
    def _what(self) -> str:
        return "unit" if self.direction else "class"

    @property
    def targets(self) -> tuple[int, ...]:
        """The class, one an image."""
        return self.target if isinstance(self.target, tuple) else (self.target,) * len(self.photos)

    def title(self, index: int = 0) -> str:
        """The class in words, with its probability, logit or value where it is among those shown."""
        name, number = self.names[index], f"{self._what} {self.targets[index]}"
        words = f"{name} ({number})" if name else number
        words += f" {self.direction}" if self.direction else ""
        found = [one.words for one in self.predictions[index] if one.index == self.targets[index]]
        return f"{words}, {found[0]}" if found else words

    def picture(self, index: int = 0, colormap: str = SIGNED) -> Image.Image:
        """The map alone, its zero in the middle of the colours, with a colour bar of its raw values."""
        return signed_picture(self.values[index], self.status[index], colormap)

    def overlay(self, index: int = 0, strength: float = STRENGTH, colormap: str = SIGNED) -> Image.Image:
        """The map over the photo in grey, at the photo's own size; with a status other than "ok", the photo saying so.

        Args:
            index: of the image in the batch.
            strength: share of the colour where the map is strongest, 0-1.
            colormap: by name, one with two ends.
        """
        return signed_overlay(self.photos[index].pixels, self.values[index], strength, colormap, self.status[index])

    def panel(self, index: int = 0, strength: float = STRENGTH, colormap: str = SIGNED) -> Image.Image:
        """Photo, map and overlay side by side."""
        status, photo = self.status[index], self.photos[index]
        caption = f"{photo.name}: {self.method} of the {'value' if self.direction else self.score}"
        if status != "ok":
            caption += f"; nothing to see: {status}"
        if self.completeness is not None:
            caption += f"; {self.completeness[index]}"
        caption += f"; photo {photo.shown}" if photo.shown else ""
        title = self.title(index)
        return signed_panel(photo.pixels, self.values[index], title, caption, status, strength, colormap)

    def write(self, sink: Sink, *, strength: float = STRENGTH, colormap: str = SIGNED) -> None:
        """Writes overlay, map, panel and raw values, a folder an image, and what the manifest says of them.

        Args:
            sink: where to.
            strength, colormap: as for `overlay`.
        """
        for index, photo in enumerate(self.photos):
            down = "-down" if self.direction == "down" else ""
            home = f"attributions/{safe_name(photo.name)}/{self.targets[index]}{down}"
            words = {"photo": photo.name, "target": self.targets[index], "view": "attribution", "method": self.method}
            caption = f"{self.title(index)}, on {photo.name}: {self.status[index]}"
            panel = self.panel(index, strength, colormap)
            sink.picture(f"{home}-panel.png", panel, **words, page=True, caption=caption)
            sink.picture(f"{home}-overlay.png", self.overlay(index, strength, colormap), **words, kind="overlay")
            sink.picture(f"{home}-map.png", self.picture(index, colormap), **words, kind="map")
            arrays = {"values": self.values[index]}
            arrays |= {} if self.channels is None else {"channels": self.channels[index]}
            sink.arrays(f"{home}-values.npz", arrays)
        sink.result("attributions", self.to_json(), self.provenance)
        sink.notes(self.notes)

    def save(
        self, folder: str | Path, overwrite: bool = False, *, strength: float = STRENGTH, colormap: str = SIGNED
    ) -> list[Path]:
        """Writes pictures, raw values and a manifest; gives the files.

        Args:
            folder: which must be new or empty.
            overwrite: replace an earlier run in it.
            strength, colormap: as for `overlay`.

        Raises:
            OutputError: the folder is not empty or cannot be written to.
        """
        with Folder(folder, "attribution", overwrite) as run:
            self.write(run, strength=strength, colormap=colormap)
        return run.files

    def _repr_html_(self) -> str:
        return shown([(self.title(index), self.panel(index)) for index in range(len(self.photos))])

    def to_json(self) -> dict[str, Any]:
        """Method, parameters, classes, statuses and predictions, an entry an image."""
        return {
            "method": self.method,
            "parameters": self.provenance.get("parameters"),
            "score": self.score,
            "targets": list(self.targets),
            "direction": self.direction,
            "names": list(self.names),
            "status": list(self.status),
            "completeness": self.completeness
            and [{**asdict(one), "error": one.error, "share": one.share} for one in self.completeness],
            "images": [photo.name for photo in self.photos],
            "shape": list(self.values.shape),
            "range": [[float(np.min(one)), float(np.max(one))] for one in self.values],
            "predictions": _listed(self.predictions),
            "rival_predictions": self.rival_predictions and _listed(self.rival_predictions),
            "contrast": list(self.contrast),
            "head": self.provenance.get("head"),
            "request": self.provenance.get("request"),
        }


def _listed(predictions: tuple[tuple[Prediction, ...], ...]) -> list[list[dict[str, Any]]]:
    return [[asdict(each) for each in of_image] for of_image in predictions]
