"""What layers made of images."""

# pyright: strict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from convlens.data.images import Photo
from convlens.errors import UnknownLayerError, listing
from convlens.output.folder import Folder
from convlens.output.names import safe_name
from convlens.output.sink import Sink
from convlens.render.grid import activation_grid, channel_tiles, strip
from convlens.render.normalize import value_range
from convlens.render.sprites import sheet
from convlens.results.notebook import channels_figure, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOTEBOOK = 4  # layers that a notebook shows
NAMED = 6  # layers that its repr names
SMALL = 64  # pixels of a map's side up to which its sheet is kept exact
SCALE, COLUMNS, COLORMAP = "channel", 16, "viridis"  # how they are drawn by default


@dataclass(frozen=True)
class LayerStatistics:
    """What a layer does on one image.

    Attributes:
        active: share of positions, over all channels, with a value above 0.
        blank: channels whose map shows nothing: the same value everywhere on the image (which may be high).
        mean, maximum: of all values.
        channels: how many there are.
    """

    active: float
    blank: tuple[int, ...]
    mean: float
    maximum: float
    channels: int

    @classmethod
    def of_channels(
        cls, blank: np.ndarray, highest: np.ndarray, means: np.ndarray, active: np.ndarray
    ) -> "LayerStatistics":
        """From what each channel shows: if it is blank, its highest value, mean and share of values above 0."""
        without = tuple(int(channel) for channel in np.flatnonzero(blank))
        mean = float(means.mean(dtype="float64"))
        return cls(float(active.mean(dtype="float64")), without, mean, float(highest.max()), len(means))

    def __str__(self) -> str:
        return (
            f"{self.active:.1%} of positions active, {len(self.blank)} of {self.channels} channels blank,"
            f" mean {self.mean:.4g}, maximum {self.maximum:.4g}"
        )


def each_channel(values: np.ndarray) -> dict[str, list[float | None]]:
    """Mean, maximum and share of positions above 0 of every channel, to four digits, from (height, width, channels).

    None is what is not a number.
    """
    measured = {
        "mean": values.mean((0, 1), dtype="float64"),
        "maximum": values.max((0, 1)),
        "active": (values > 0).mean((0, 1)),
    }
    return {
        name: [float(f"{number:.4g}") if np.isfinite(number) else None for number in numbers]
        for name, numbers in measured.items()
    }


class LazyArrays(Mapping[str, np.ndarray]):
    """Arrays by name, each got when it is first asked for: of many layers, few may be looked at."""

    def __init__(self, fetch: Mapping[str, Callable[[], np.ndarray]]) -> None:
        self._waiting = dict(fetch)
        self._here: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._here:
            self._here[name] = self._waiting[name]()
            self._waiting[name] = partial(self._here.__getitem__, name)  # lets go of what it came from
        return self._here[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._waiting)

    def __len__(self) -> int:
        return len(self._waiting)


@dataclass(frozen=True, eq=False)
class Activations(Mapping[str, np.ndarray]):
    """Outputs of layers: a mapping of layer paths to float32 (batch, height, width, channels).

    Attributes:
        arrays: the same; (batch, …, features) for layers that are not spatial.
        photos: the images as they are shown.
        statistics: by layer path, one an image.
        provenance: model and how it was loaded, preprocessing, versions, images, what was asked.

    Example:
        >>> activations = convlens.activations("bundled", photo(), ["conv2d_5", "max_pooling2d_5"])
        >>> activations
        Activations(1 image, 2 layers: conv2d_5, max_pooling2d_5)
        >>> activations["conv2d_5"].shape, activations.get("conv2d_9")
        ((1, 148, 148, 32), None)
        >>> activations.statistics["conv2d_5"][0].blank
        ()
    """

    arrays: Mapping[str, np.ndarray]
    photos: tuple[Photo, ...]
    statistics: dict[str, tuple[LayerStatistics, ...]]
    provenance: dict[str, Any]

    def __getitem__(self, layer: str) -> np.ndarray:
        """
        Raises:
            UnknownLayerError: a `LayerError` and a KeyError, with the nearest names.
        """
        if layer not in self.arrays:
            raise UnknownLayerError.unknown(f"no activations of layer {layer!r}", layer, self.arrays)
        return self.arrays[layer]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the result, a line each."""
        return tuple(self.provenance.get("notes", ()))

    def __repr__(self) -> str:
        images, count = len(self.photos), len(self.arrays)
        size = f"{images} image{'s' if images > 1 else ''}, {count} layer{'s' if count > 1 else ''}"
        return f"Activations({size}: {listing(self.arrays, NAMED)})"

    def picture(
        self, layer: str, index: int = 0, scale: str = SCALE, columns: int = COLUMNS, colormap: str = COLORMAP
    ) -> Image.Image:
        """All channels of a layer on one image, with the layer's name and statistics.

        Args:
            layer: its path.
            index: of the image in the batch.
            scale: "channel", each channel on its own scale, or "layer", all on one.
            columns: channels a row.
            colormap: by name.
        """
        values, caption = self[layer][index], f"{self.photos[index].name}: {self.statistics[layer][index]}"
        if values.ndim == 3 and values.shape[:2] != (1, 1):  # a single position is a row of features, no map
            return activation_grid(values, layer, caption, scale, columns, colormap)
        return strip(values.reshape(-1) if values.ndim == 3 else values, layer, caption, colormap)

    def write(
        self, sink: Sink, *, scale: str = SCALE, columns: int = COLUMNS, colormap: str = COLORMAP, page: bool = False
    ) -> None:
        """Writes pictures and raw values, a folder an image, and what the manifest says of them.

        Args:
            sink: where to.
            scale, columns, colormap: as for `picture`.
            page: for a page instead: all channels of a layer on a sheet in both scales, and each channel's numbers.
                Batches of images that are written to the same sink one after another become one entry.
        """
        if page:
            sink.result("activations", self._sheets(sink, colormap), self.provenance, _joined)
        else:
            self._pictures(sink, scale, columns, colormap)
            sink.result("activations", self.to_json(), self.provenance, _joined)
        sink.notes(self.notes)

    def _pictures(self, sink: Sink, scale: str, columns: int, colormap: str) -> None:
        for index, photo in enumerate(self.photos):
            home = f"activations/{safe_name(photo.name)}"
            named = {layer.replace("/", "__"): values[index] for layer, values in self.arrays.items()}
            sink.arrays(f"{home}/values.npz", named)  # first, as it takes longest to write
            for layer in self.arrays:
                picture = self.picture(layer, index, scale, columns, colormap)
                caption = f"{layer} on {photo.name}: {self.statistics[layer][index]}"
                entry = {"layer": layer, "photo": photo.name, "caption": caption, "scale": scale}
                sink.picture(f"{home}/{safe_name(layer)}.png", picture, view="activations", page=True, **entry)

    def _sheets(self, sink: Sink, colormap: str) -> dict[str, Any]:
        """Sheets of all channels: the images, and by layer path an entry an image."""
        layers: dict[str, Any] = {}
        for layer, batch in self.arrays.items():
            entries: list[dict[str, Any]] = []
            for index, values in enumerate(batch):
                maps = values.reshape(1, -1, values.shape[-1]) if values.ndim != 3 else values
                home = f"activations/{safe_name(self.photos[index].name)}/{safe_name(layer)}"
                entry: dict[str, Any] = {**asdict(self.statistics[layer][index]), "each": each_channel(maps)}
                entry["range"] = value_range(maps)
                for scale in ("channel", "layer"):
                    picture, entry["columns"] = sheet(channel_tiles(maps, scale, colormap))
                    words = {"view": "activations", "layer": layer, "photo": self.photos[index].name, "scale": scale}
                    exact = max(maps.shape[:2]) <= SMALL
                    entry[scale] = sink.web_picture(f"{home}-{scale}.webp", picture, exact, **words)
                entries.append(entry)
            layers[layer] = {"shape": list(batch.shape[1:]), "images": entries}
        return {"images": [photo.name for photo in self.photos], "layers": layers, "request": self._request}

    @property
    def _request(self) -> Any:
        return self.provenance.get("request")

    def save(
        self,
        folder: str | Path,
        overwrite: bool = False,
        *,
        scale: str = SCALE,
        columns: int = COLUMNS,
        colormap: str = COLORMAP,
    ) -> list[Path]:
        """Writes pictures, raw values and a manifest; gives the files.

        Args:
            folder: which must be new or empty.
            overwrite: replace an earlier run in it.
            scale, columns, colormap: as for `picture`.

        Raises:
            OutputError: the folder is not empty or cannot be written to.
        """
        with Folder(folder, "activations", overwrite) as run:
            self.write(run, scale=scale, columns=columns, colormap=colormap)
        return run.files

    def _repr_html_(self) -> str:
        layers = list(self.arrays)[:NOTEBOOK]
        rest = len(self.arrays) - len(layers)
        note = f"and {rest} more layers: .picture(layer) draws one, .save(folder) writes all" if rest else ""
        return shown([(f"All channels of {layer}", self.picture(layer)) for layer in layers], note)

    def plot(self, layer: str, index: int = 0, scale: str = SCALE, colormap: str = COLORMAP) -> "Figure":
        """All channels of a layer on one image as a matplotlib figure, each with its number.

        Args:
            layer: its path.
            index: of the image in the batch.
            scale: "channel", each channel on its own scale, or "layer", all on one.
            colormap: by name.
        """
        values = self[layer][index]
        maps = values.reshape(1, -1, values.shape[-1]) if values.ndim != 3 else values
        return channels_figure(channel_tiles(maps, scale, colormap), f"{layer} on {self.photos[index].name}")

    def to_json(self) -> dict[str, Any]:
        """What was asked, and shapes and statistics of all layers, an entry an image."""
        layers = {
            path: {"shape": list(values.shape), "images": [asdict(each) for each in self.statistics[path]]}
            for path, values in self.arrays.items()
        }
        return {"images": [photo.name for photo in self.photos], "layers": layers, "request": self._request}


def _joined(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of two batches of images of the same request."""
    layers = {
        path: {**layer, "images": [*layer["images"], *second["layers"][path]["images"]]}
        for path, layer in first["layers"].items()
    }
    return {**first, "images": [*first["images"], *second["images"]], "layers": layers}
