"""What filters look for."""

# pyright: strict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from convlens.errors import FilterError
from convlens.output.folder import Folder
from convlens.output.names import safe_name
from convlens.output.sink import Sink
from convlens.render.grid import crossed, pattern_grid
from convlens.render.normalize import pattern_image
from convlens.render.sprites import sheet
from convlens.render.text import framed
from convlens.results.notebook import channels_figure, png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OK, NON_FINITE, UNREACHED, ZERO_GRADIENT = "ok", "non-finite", "unreached", "zero gradient"
FELL, HARDLY_ROSE, MOSTLY_START, CONSTANT = "fell", "hardly rose", "mostly its start", "constant"
# what each status means; none of them says what the filter does on photos
STATUS = {
    OK: "the ascent raised its activation, and most of its picture came of that",
    UNREACHED: "no start of this ascent reached it; it may still fire on photos",
    ZERO_GRADIENT: "its activation does not change with the image where the ascent last started; it may on photos",
    FELL: "its activation was lower after the ascent than before",
    HARDLY_ROSE: "its activation changed by less than a thousandth of itself",
    MOSTLY_START: "more than half of its picture is the noise that it started from; more steps may change that",
    CONSTANT: "its picture is the same everywhere",
    NON_FINITE: "values that are no finite numbers appeared",
}
ALIKE = 0.9  # mean correlation of pictures that hardly differ


@dataclass(frozen=True, eq=False)
class FilterPatterns:
    """Images that the filters of a layer respond to strongly, each optimized from noise.

    Attributes:
        images: uint8 (filters, height, width, 3), RGB.
        filters: which filters they are.
        start, end: mean activation of the filter on the image before and after the ascent, measured in float32;
            float32 (filters,).
        of_start: share of each picture's contrast that is its start's (their squared correlation), 0-1;
            float32 (filters,).
        status: one status per filter, a key of STATUS, which says what it means; an image means something where it is
            "ok".
        layer: path of the layer.
        provenance: model and how it was loaded, preprocessing, versions, what was asked, size, precision and seed.

    Example:
        >>> patterns = convlens.filter_patterns("bundled", "conv2d_5", range(4), 32)
        >>> patterns
        FilterPatterns(conv2d_5: filters 0-3, 32x32, 4 ok)
        >>> patterns.image(3).size
        (32, 32)
    """

    images: np.ndarray
    filters: tuple[int, ...]
    start: np.ndarray
    end: np.ndarray
    of_start: np.ndarray
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
        of_start: np.ndarray,
        status: Sequence[str],
        layer: str,
        provenance: dict[str, Any],
    ) -> "FilterPatterns":
        """From the ascent's images, float32 RGB (filters, height, width, channels), scaled for display."""
        return cls(pattern_image(latents), tuple(filters), start, end, of_start, tuple(status), layer, provenance)

    @classmethod
    def joined(cls, parts: Sequence["FilterPatterns"], request: Mapping[str, Any] | None = None) -> "FilterPatterns":
        """Patterns of the same layer, made one after another.

        Args:
            request: what was asked for as a whole, in place of what was asked for the first part.
        """
        asked = {} if request is None else {"request": dict(request)}
        return cls(
            images=np.concatenate([part.images for part in parts]),
            filters=tuple(index for part in parts for index in part.filters),
            start=np.concatenate([part.start for part in parts]),
            end=np.concatenate([part.end for part in parts]),
            of_start=np.concatenate([part.of_start for part in parts]),
            status=tuple(status for part in parts for status in part.status),
            layer=parts[0].layer,
            provenance={**parts[0].provenance, **asked},
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the result, a line each."""
        alike = self._alike()
        told = f"the patterns of {self.layer} hardly differ: their pictures correlate with {alike:.2f} on average"
        return (*self.provenance.get("notes", ()), *([told] if alike > ALIKE else []))

    def __repr__(self) -> str:
        height, width = self.images.shape[1:3]
        ok = self.status.count(OK)
        return f"FilterPatterns({self.layer}: filters {ranges(self.filters)}, {height}x{width}, {ok} ok)"

    def _alike(self) -> float:
        """Mean correlation of every two pictures that mean something; 0 where there are none."""
        rows = [row for row, status in enumerate(self.status) if status == OK]
        if len(rows) < 2:
            return 0.0
        total, count = np.zeros(self.images[0].size), len(rows)
        for row in rows:
            picture = self.images[row].astype("float64").ravel()
            picture -= picture.mean()
            total += picture / max(np.linalg.norm(picture), 1e-12)
        return float((total @ total - count) / (count * (count - 1)))

    def _marks(self) -> dict[int, str]:
        return {row: status for row, status in enumerate(self.status) if status != OK}

    def not_ok(self) -> dict[str, list[int]]:
        """The filters of each status but "ok"."""
        pairs = list(zip(self.filters, self.status, strict=True))
        return {word: [index for index, status in pairs if status == word] for word in sorted({*self.status} - {OK})}

    def grid(self, columns: int = 8, margin: int = 5) -> Image.Image:
        """All patterns on black, without any text but on those crossed out: 547x547 for 64 at 64 pixels."""
        return pattern_grid(self.images, columns, margin, self._marks())

    def picture(self, columns: int = 8) -> Image.Image:
        """The grid with the layer's name and what came of the ascent."""
        live = [row for row, status in enumerate(self.status) if status == OK]
        words = f"filters {ranges(self.filters)}"
        if live:
            words += (
                f"; mean activation {self.start[live].mean():.4g} at the start, {self.end[live].mean():.4g} at the end"
            )
        for status, those in self.not_ok().items():
            words += f"\n{len(those)} crossed out as {status} ({STATUS[status]}): {ranges(those)}"
        return framed(self.grid(columns), self.layer, words)

    def image(self, filter: int) -> Image.Image:
        """The pattern of one filter, by its index in the layer.

        Raises:
            FilterError: it was not made.
        """
        if filter not in self.filters:
            raise FilterError(f"no pattern of filter {filter} was made; there are {ranges(self.filters)}")
        row = self.filters.index(filter)
        return pattern_grid(self.images[row : row + 1], 1, 0, {0: self.status[row]} if row in self._marks() else None)

    def write(self, sink: Sink, *, page: bool = False) -> None:
        """Writes the grid, each pattern alone and the numbers, and what the manifest says of them.

        Args:
            sink: where to.
            page: for a page instead: all patterns on a sheet without text.
        """
        if page:
            sink.result("patterns", {**self.to_json(), **self._sheet(sink)}, self.provenance)
        else:
            self._pictures(sink)
            sink.result("patterns", self.to_json(), self.provenance)
        sink.notes(self.notes)

    def _pictures(self, sink: Sink) -> None:
        home, words = f"filters/{safe_name(self.layer)}", {"layer": self.layer, "view": "filters"}
        caption = f"What the filters of {self.layer} look for"
        sink.picture(f"{home}.png", self.picture(), **words, page=True, caption=caption)
        sink.picture(f"{home}-grid.png", self.grid(), **words, kind="grid")
        for row, index in enumerate(self.filters):
            numbers = {"start": self.start[row], "end": self.end[row], "of_start": self.of_start[row]}
            picture = self.image(index)
            sink.picture(f"{home}/{index}.png", picture, **words, filter=index, **numbers, status=self.status[row])

    def _sheet(self, sink: Sink) -> dict[str, Any]:
        """All patterns on a sheet: where it is, and how many are in a row."""
        tiles: np.ndarray = np.array(self.images)
        for row in self._marks():
            tiles[row] = crossed(tiles.shape[1], tiles.shape[2])
        picture, columns = sheet(tiles)
        place = f"filters/{safe_name(self.layer)}.webp"
        return {
            "sheet": sink.web_picture(place, picture, exact=False, view="filters", layer=self.layer),
            "columns": columns,
        }

    def save(self, folder: str | Path, overwrite: bool = False) -> list[Path]:
        """Writes pictures and a manifest; gives the files.

        Args:
            folder: which must be new or empty.
            overwrite: replace an earlier run in it.

        Raises:
            OutputError: the folder is not empty or cannot be written to.
        """
        with Folder(folder, "filters", overwrite) as run:
            self.write(run)
        return run.files

    def _repr_png_(self) -> bytes:
        return png(self.picture())

    def plot(self, columns: int = 8) -> "Figure":
        """All patterns as a matplotlib figure, each with the number of its filter."""
        tiles = np.stack([np.asarray(self.image(index)) for index in self.filters])
        return channels_figure(tiles, self.layer, self.filters, columns)

    def to_json(self) -> dict[str, Any]:
        """What was asked, the size, and a filter's numbers, status and what it means."""
        listed = [
            {
                "filter": index,
                "start": float(self.start[row]),
                "end": float(self.end[row]),
                "of_start": float(self.of_start[row]),
                "status": self.status[row],
                "meaning": STATUS[self.status[row]],
            }
            for row, index in enumerate(self.filters)
        ]
        size, request = list(self.images.shape[1:3]), self.provenance.get("request")
        return {"layer": self.layer, "size": size, "filters": listed, "request": request}


def ranges(numbers: Sequence[int]) -> str:
    """Numbers as words, runs of them as first-last."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
