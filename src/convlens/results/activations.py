"""What layers made of images."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from convlens.data.images import Photo
from convlens.output.folder import Run, safe_name
from convlens.render.grid import activation_grid, channel_tiles, strip
from convlens.render.normalize import value_range
from convlens.render.sprites import sheet
from convlens.results.notebook import channels_figure, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOTEBOOK = 4  # layers that a notebook shows
SMALL = 64  # pixels of a map's side up to which its sheet is kept exact


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


def statistics(values: np.ndarray) -> LayerStatistics:
    """The statistics of a layer's output for one image, (…, channels).

    Features without positions count as channels of one. A lone feature is blank where it is 0; a channel with several
    positions where they are all equal.
    """
    flat = values.reshape(-1, values.shape[-1]) if values.ndim else values.reshape(1, 1)
    highest = flat.max(0)
    blank = highest == (0 if len(flat) == 1 else flat.min(0))
    return LayerStatistics.of_channels(blank, highest, flat.mean(0, dtype="float64"), np.mean(flat > 0, axis=0))


def each_channel(values: np.ndarray) -> dict[str, list[float | None]]:
    """Mean, maximum and share of positions above 0 of every channel, to four digits, from (height, width, channels).

    None is what is not a number.
    """
    measured = {
        "mean": values.mean((0, 1), dtype="float64"),
        "maximum": values.max((0, 1)),
        "active": (values > 0).mean((0, 1)),
    }
    return {name: [float(f"{x:.4g}") if np.isfinite(x) else None for x in found] for name, found in measured.items()}


class Fetched(Mapping[str, np.ndarray]):
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
        provenance: model, preprocessing, versions.
    """

    arrays: Mapping[str, np.ndarray]
    photos: tuple[Photo, ...]
    statistics: dict[str, tuple[LayerStatistics, ...]]
    provenance: dict[str, Any]

    def __getitem__(self, layer: str) -> np.ndarray:
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
        return f"Activations({', '.join(f'{path}: {values.shape}' for path, values in self.arrays.items())})"

    def picture(
        self, layer: str, index: int = 0, scale: str = "channel", columns: int = 16, colormap: str = "viridis"
    ) -> Image.Image:
        """All channels of a layer on one image, with the layer's name and statistics.

        Args:
            layer: its path.
            index: of the image in the batch.
            scale: "channel", each channel on its own scale, or "layer", all on one.
            columns: channels a row.
            colormap: by name.
        """
        values, caption = self.arrays[layer][index], f"{self.photos[index].name}: {self.statistics[layer][index]}"
        if values.ndim == 3 and values.shape[:2] != (1, 1):  # a single position is a row of features, no map
            return activation_grid(values, layer, caption, scale, columns, colormap)
        return strip(values.reshape(-1) if values.ndim == 3 else values, layer, caption, colormap)

    def write(self, run: Run, scale: str = "channel", columns: int = 16, colormap: str = "viridis") -> None:
        """Pictures and raw values into a run's folder, a folder an image."""
        for index, photo in enumerate(self.photos):
            home = f"activations/{safe_name(photo.name)}"
            named = {layer.replace("/", "__"): values[index] for layer, values in self.arrays.items()}
            run.array(f"{home}/values.npz", **named)  # first, as it takes longest to write
            for layer in self.arrays:
                picture = self.picture(layer, index, scale, columns, colormap)
                caption = f"{layer} on {photo.name}: {self.statistics[layer][index]}"
                entry = {"layer": layer, "photo": photo.name, "caption": caption, "scale": scale}
                run.picture(f"{home}/{safe_name(layer)}.png", picture, view="activations", page=True, **entry)

    def write_sprites(self, run: Run, colormap: str = "viridis") -> dict[str, list[dict[str, Any]]]:
        """Sheets of all channels into a run's folder, for a page.

        Returns:
            by layer path, an entry an image: its statistics, those of every channel, and where its two sheets are.
        """
        written: dict[str, list[dict[str, Any]]] = {}
        for layer, batch in self.arrays.items():
            for index, values in enumerate(batch):
                maps = values.reshape(1, -1, values.shape[-1]) if values.ndim != 3 else values
                home = f"activations/{safe_name(self.photos[index].name)}/{safe_name(layer)}"
                entry: dict[str, Any] = {**asdict(self.statistics[layer][index]), "each": each_channel(maps)}
                entry["range"] = value_range(maps)
                for scale in ("channel", "layer"):
                    picture, entry["columns"] = sheet(channel_tiles(maps, scale, colormap))
                    words = {"view": "activations", "layer": layer, "photo": self.photos[index].name, "scale": scale}
                    entry[scale] = run.web_picture(
                        f"{home}-{scale}.webp", picture, max(maps.shape[:2]) <= SMALL, **words
                    )
                written.setdefault(layer, []).append(entry)
        return written

    def save(self, folder: str | Path, overwrite: bool = False, **drawing: Any) -> list[Path]:
        """Writes pictures, raw values and a manifest; gives the files.

        Raises:
            OutputError: the folder is not empty or cannot be written to.
        """
        with Run(Path(folder), "activations", overwrite, self.provenance) as run:
            self.write(run, **drawing)
            run.note("activations", self.to_json())
        return run.files

    def _repr_html_(self) -> str:
        layers = list(self.arrays)[:NOTEBOOK]
        rest = len(self.arrays) - len(layers)
        note = f"and {rest} more layers: .picture(layer) draws one, .save(folder) writes all" if rest else ""
        return shown([(f"All channels of {layer}", self.picture(layer)) for layer in layers], note)

    def plot(self, layer: str, index: int = 0, scale: str = "channel", colormap: str = "viridis") -> "Figure":
        """All channels of a layer on one image as a matplotlib figure, each with its number.

        Args:
            layer: its path.
            index: of the image in the batch.
            scale: "channel", each channel on its own scale, or "layer", all on one.
            colormap: by name.
        """
        values = self.arrays[layer][index]
        maps = values.reshape(1, -1, values.shape[-1]) if values.ndim != 3 else values
        return channels_figure(channel_tiles(maps, scale, colormap), f"{layer} on {self.photos[index].name}")

    def to_json(self) -> dict[str, Any]:
        """Shapes and statistics of all layers, an entry an image."""
        layers = {
            path: {"shape": list(values.shape), "images": [asdict(one) for one in self.statistics[path]]}
            for path, values in self.arrays.items()
        }
        return {"images": [photo.name for photo in self.photos], "layers": layers}
