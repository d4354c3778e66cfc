"""What filters look for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from convlens.errors import FilterError
from convlens.render.grid import crossed, pattern_grid
from convlens.render.normalize import pattern_image
from convlens.render.sprites import sheet
from convlens.render.text import framed
from convlens.results.notebook import channels_figure, png
from convlens.store import Run, safe_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class FilterPatterns:
    """The image that each filter of a layer responds to most.

    Attributes:
        images: uint8 (filters, height, width, 3), RGB.
        filters: which filters they are.
        start, end: mean activation of the filter on the image before the ascent, in the precision that it is
            computed in, and after it, measured in float32; float32 (filters,).
        status: a filter's "ok", "dead" (nothing activates it, so its image means nothing) or "non-finite".
        layer: path of the layer.
        provenance: model, preprocessing, versions, settings and seed.
    """

    images: np.ndarray
    filters: tuple[int, ...]
    start: np.ndarray
    end: np.ndarray
    status: tuple[str, ...]
    layer: str
    provenance: dict[str, Any]

    @classmethod
    def from_latents(
        cls,
        latents: np.ndarray,
        filters: Sequence[int],
        start: np.ndarray,
        end: np.ndarray,
        status: Sequence[str],
        layer: str,
        provenance: dict[str, Any],
    ) -> "FilterPatterns":
        """From the ascent's images, float32 RGB (filters, height, width, channels), scaled for display."""
        return cls(pattern_image(latents), tuple(filters), start, end, tuple(status), layer, provenance)

    @classmethod
    def joined(cls, parts: Sequence["FilterPatterns"]) -> "FilterPatterns":
        """Patterns of the same layer, made one after another."""
        arrays = [np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "start", "end")]
        filters, status = (
            tuple(one for part in parts for one in getattr(part, name)) for name in ("filters", "status")
        )
        return cls(arrays[0], filters, arrays[1], arrays[2], status, parts[0].layer, parts[0].provenance)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the result, a line each."""
        return tuple(self.provenance.get("notes", ()))

    def __repr__(self) -> str:
        return (
            f"FilterPatterns({self.layer}: {len(self.filters)} filters, {self.images.shape[1]}x{self.images.shape[2]})"
        )

    def _marks(self) -> dict[int, str]:
        return {row: status for row, status in enumerate(self.status) if status != "ok"}

    def grid(self, columns: int = 8, margin: int = 5) -> Image.Image:
        """All patterns on black, without any text but on dead ones: 547x547 for 64 at 64 pixels."""
        return pattern_grid(self.images, columns, margin, self._marks())

    def picture(self, columns: int = 8) -> Image.Image:
        """The grid with the layer's name and what came of the ascent."""
        live = [row for row, status in enumerate(self.status) if status == "ok"]
        words = f"filters {_ranges(self.filters)}"
        if live:
            words += (
                f"; mean activation {self.start[live].mean():.4g} at the start, {self.end[live].mean():.4g} at the end"
            )
        for status in sorted(set(self.status) - {"ok"}):
            those = [index for index, one in zip(self.filters, self.status, strict=True) if one == status]
            words += f"\n{len(those)} crossed out as {status}: {_ranges(those)}"
        return framed(self.grid(columns), self.layer, words)

    def image(self, filter: int) -> Image.Image:
        """The pattern of one filter, by its index in the layer.

        Raises:
            FilterError: it was not made.
        """
        if filter not in self.filters:
            raise FilterError(f"no pattern of filter {filter} was made; there are {_ranges(self.filters)}")
        row = self.filters.index(filter)
        return pattern_grid(self.images[row : row + 1], 1, 0, {0: self.status[row]} if row in self._marks() else None)

    def write(self, run: Run) -> None:
        """The grid, each pattern alone and the numbers into a run's folder."""
        home, words = f"filters/{safe_name(self.layer)}", {"layer": self.layer, "view": "filters"}
        caption = f"What the filters of {self.layer} look for"
        run.picture(f"{home}.png", self.picture(), **words, page=True, caption=caption)
        run.picture(f"{home}-grid.png", self.grid(), **words, kind="grid")
        for row, index in enumerate(self.filters):
            numbers = {"start": self.start[row], "end": self.end[row], "status": self.status[row]}
            run.picture(f"{home}/{index}.png", self.image(index), **words, filter=index, **numbers)

    def write_sprite(self, run: Run) -> dict[str, Any]:
        """All patterns on a sheet into a run's folder, for a page; what `to_json` says, and where the sheet is."""
        tiles = self.images.copy()
        for row in self._marks():
            tiles[row] = crossed(*tiles.shape[1:3])
        picture, columns = sheet(tiles)
        words = {"view": "filters", "layer": self.layer}
        place = run.web_picture(f"filters/{safe_name(self.layer)}.webp", picture, exact=False, **words)
        return {**self.to_json(), "sheet": place, "columns": columns}

    def save(self, folder: str | Path, overwrite: bool = False) -> list[Path]:
        """Writes pictures and a manifest; gives the files.

        Raises:
            OutputError: the folder is not empty or cannot be written to.
        """
        with Run(Path(folder), "filters", overwrite, self.provenance) as run:
            self.write(run)
            run.note("patterns", [self.to_json()])
        return run.files

    def _repr_png_(self) -> bytes:
        return png(self.picture())

    def plot(self, columns: int = 8) -> "Figure":
        """All patterns as a matplotlib figure, each with the number of its filter."""
        tiles = np.stack([np.asarray(self.image(index)) for index in self.filters])
        return channels_figure(tiles, self.layer, self.filters, columns)

    def to_json(self) -> dict[str, Any]:
        rows = zip(self.filters, self.start, self.end, self.status, strict=True)
        listed = [{"filter": f, "start": float(a), "end": float(b), "status": status} for f, a, b, status in rows]
        return {"layer": self.layer, "size": list(self.images.shape[1:3]), "filters": listed}


def _ranges(numbers: Sequence[int]) -> str:
    """Numbers as words, runs of them as first-last."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
