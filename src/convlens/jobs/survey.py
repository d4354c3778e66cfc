"""All three views of a network in one run, with a page that shows them."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from convlens import page
from convlens.data.images import ValueRange
from convlens.errors import CancelledError, reason
from convlens.jobs.facts import facts
from convlens.jobs.patterns import patterns_in_units
from convlens.network.budget import chunks, images_at_once
from convlens.network.layers import CONVOLUTION, POOLING, LayerInfo
from convlens.network.network import Network
from convlens.network.provenance import provenance
from convlens.network.samples import Samples, read_samples
from convlens.output.folder import Folder
from convlens.output.names import safe_name
from convlens.output.sink import Sink
from convlens.render.sprites import photo_picture
from convlens.results.patterns import FilterPatterns
from convlens.techniques.activations import activations
from convlens.techniques.heatmaps.explain import heatmaps
from convlens.techniques.request import (
    PLAIN,
    ActivationsRequest,
    Compute,
    HeatmapRequest,
    PatternRequest,
    ReportRequest,
)

PATTERN_LAYERS = 5
PATTERNS = 64
HEATMAP_LAYERS = 3  # one coarse, two finer
FINER = 1.5  # times as many positions a side as the heatmap before
USUAL = ReportRequest()

Stage = Callable[[str], Callable[[int, int], None] | None]


def pattern_layers(network: Network) -> list[LayerInfo]:
    """The convolutions whose patterns are shown: the first at each resolution, at most five, spread over depth."""
    firsts: dict[Any, LayerInfo] = {}
    shapes = network.observe().shapes
    for layer in network.select(None):
        if layer.role == CONVOLUTION:
            firsts.setdefault(shapes[layer.path][1:3], layer)
    layers = list(firsts.values())
    spread = np.unique(np.linspace(0, len(layers) - 1, min(PATTERN_LAYERS, len(layers))).round().astype(int))
    return [layers[place] for place in spread]


def heatmap_layers(network: Network, arrays: Sequence[np.ndarray]) -> list[str]:
    """The default layer for heatmaps, then the last ones before it at finer resolutions."""
    chosen = [network.default_layer]
    shapes = network.observe(arrays).shapes
    order = list(network.select("*"))
    before = order[: [layer.path for layer in order].index(chosen[0])]
    for layer in reversed(before):
        side, last = min(shapes[layer.path][1:3] or [0]), min(shapes[chosen[-1]][1:3])
        moved = layer.role == POOLING or "pad" in layer.kind.lower()  # their maps do not lie straight on the photo
        if layer.is_spatial and not moved and side >= FINER * last and len(chosen) < HEATMAP_LAYERS:
            chosen.append(layer.path)
    return chosen


@dataclass(frozen=True)
class Survey:
    """What is looked at, what is asked, and where it is written."""

    network: Network
    samples: Samples
    request: ReportRequest
    compute: Compute
    sink: Sink
    begin: Stage

    def run(self) -> None:
        """Everything, one stage after the other; a stage that fails is noted, and the others go on.

        Raises:
            CancelledError: the caller cancelled it.
            Exception: the first stage's own, where no stage succeeded.
        """
        self._introduce()
        stages: list[tuple[str, Callable[[str], None]]] = [
            ("activations", self._activations),
            ("heatmaps", self._heatmaps),
            *((f"patterns of {layer.path}", partial(self._patterns, layer)) for layer in self._pattern_layers()),
        ]
        seconds: dict[str, float] = {}
        errors: list[Exception] = []
        for name, make in stages:
            started = time.perf_counter()
            try:
                make(name)
            except CancelledError:
                raise
            except Exception as error:  # of any framework: hours of work must not be lost to the last layer
                errors.append(error)
                self.sink.failure(name, reason(error, 500))
            seconds[name] = round(time.perf_counter() - started, 2)
            self.sink.note("seconds", seconds)
        if len(errors) == len(stages):
            raise errors[0]

    def _introduce(self) -> None:
        """The network and the photos."""
        network, samples = self.network, self.samples
        asked = {"technique": self.request.technique, "images": samples.origins, "seed": self.request.seed}
        asked["request"] = self.request.to_json()
        self.sink.origin(provenance(network, samples.preprocessing, samples.notes, **asked))
        self.sink.notes([*network.notes, *samples.notes, *network.head().notes])
        self.sink.note("network", facts(network, samples.preprocessing))
        listed = []
        for photo in samples.photos:
            place, picture = f"photos/{safe_name(photo.name)}.webp", photo_picture(photo.pixels)
            place = self.sink.web_picture(place, picture, exact=False, view="photo")
            listed.append({"name": photo.name, "size": photo.size, "note": photo.remark, "picture": place})
        self.sink.note("photos", listed)

    def _pattern_layers(self) -> list[LayerInfo]:
        layers = pattern_layers(self.network)
        planned = {"photos": len(self.samples), "patterns": [layer.path for layer in layers]}
        self.sink.note("planned", planned)
        return layers

    def _stage(self, name: str) -> Compute:
        """How it is computed, with the progress of a stage."""
        return replace(self.compute, progress=self.begin(name))

    def _activations(self, name: str) -> None:
        compute, total = self._stage(name), len(self.samples)
        size = compute.batch_size or images_at_once(self.network, self.samples.arrays)
        for chunk in chunks(total, size):  # raw values of all images at once would not fit into memory
            part = activations(self.network, self.samples[chunk], ActivationsRequest(), replace(compute, progress=None))
            part.write(self.sink, page=True)
            compute.report(chunk.stop, total)

    def _heatmaps(self, name: str) -> None:
        top = min(self.request.top, self.network.head().classes)
        for layer in heatmap_layers(self.network, self.samples.arrays):
            request = HeatmapRequest(top=top, layer=layer)
            maps = heatmaps(self.network, self.samples, request, self._stage(f"{name} at {layer}"))
            for heatmap in maps:
                heatmap.write(self.sink, page=True, others=maps)

    def _patterns(self, layer: LayerInfo, name: str) -> None:
        filters = tuple(range(min(PATTERNS, layer.output_shape[-1] or 0)))
        request = PatternRequest(layer.path, filters, self.request.size, seed=self.request.seed)
        write: Callable[[FilterPatterns], None] = partial(FilterPatterns.write, sink=self.sink, page=True)
        patterns_in_units(self.network, request, write, self._stage(name))


@dataclass(frozen=True)
class Written:
    """What a survey wrote: the page, all files, what could not be made and why, and what the user should know."""

    page: Path
    files: list[Path]
    failures: list[dict[str, str]]
    notes: list[str]


def survey(
    network: Network,
    images: Any,
    out: str | Path,
    request: ReportRequest = USUAL,
    compute: Compute = PLAIN,
    *,
    value_range: ValueRange = None,
    command: str = "report",
    single_file: bool = False,
    overwrite: bool = False,
    stage: Stage | None = None,
) -> Written:
    """Writes activations, filter patterns and heatmaps of a network, and a page that shows them.

    What fails is named in the manifest and on the page; the rest is made all the same.

    Args:
        network: the network to look into.
        images: as `convlens.activations` takes them.
        out: the folder; the page's file for a single file.
        request: what is asked for.
        compute: how; its progress is that of `stage`.
        value_range: as `convlens.activations` takes it.
        command: the name of the run in its manifest.
        single_file: write nothing but the page, with all pictures in it.
        overwrite: replace an earlier run in the folder.
        stage: gets the name of a stage as it begins, and gives the progress function for it.

    Raises:
        OutputError, ImageError, ModelError, CancelledError.
    """

    def write(folder: Folder) -> dict[str, Any]:
        with folder as sink:
            samples = read_samples(network, images, value_range)
            status = "interrupted"
            try:
                Survey(network, samples, request, compute, sink, stage or (lambda name: None)).run()
                status = "complete"
            finally:
                sink.settle()
                sink.text(page.PAGE, page.html({**sink.manifest.to_json(), "status": status}))
        return folder.manifest.to_json()

    if not single_file:
        folder = Folder(out, command, overwrite)
        manifest = write(folder)
        return Written(folder.out / page.PAGE, folder.files, manifest["failures"], manifest["notes"])
    page.check_file(Path(out), overwrite)
    with tempfile.TemporaryDirectory() as home:
        folder = Folder(Path(home) / "run", command)
        try:
            manifest = write(folder)
        finally:
            if folder.out.is_dir():  # also of an interrupted run
                page.build(folder.out, out, single_file=True, overwrite=overwrite)
    return Written(Path(out), [Path(out)], manifest["failures"], manifest["notes"])
