"""All three views of a network in one run, with a page that shows them."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from convlens import page
from convlens.data.images import ValueRange
from convlens.data.preprocessing import Preprocessing
from convlens.errors import reason
from convlens.network.budget import chunks, images_at_once
from convlens.network.layers import CONVOLUTION, POOLING, LayerInfo
from convlens.network.network import Network
from convlens.network.provenance import provenance
from convlens.network.samples import Samples, read_samples
from convlens.output.folder import Run, safe_name
from convlens.render.sprites import contrast_cells, photo_picture
from convlens.results.heatmaps import Heatmap
from convlens.techniques.activations import activations
from convlens.techniques.heatmaps.explain import correlation, heatmaps
from convlens.techniques.patterns.filters import filter_patterns
from convlens.techniques.request import ActivationsRequest, Compute, HeatmapRequest, PatternRequest

PATTERN_LAYERS = 5
PATTERNS = 64
HEATMAP_LAYERS = 3  # one coarse, two finer
FINER = 1.5  # times as many positions a side as the heatmap before

Stage = Callable[[str], Callable[[int, int], None] | None]


def pattern_layers(network: Network) -> list[LayerInfo]:
    """The convolutions whose patterns are shown: the first at each resolution, at most five, spread over depth."""
    firsts: dict[Any, LayerInfo] = {}
    shapes = network.observe().shapes
    for layer in network.select(None):
        if layer.role == CONVOLUTION:
            firsts.setdefault(shapes[layer.path][1:3], layer)
    found = list(firsts.values())
    spread = np.unique(np.linspace(0, len(found) - 1, min(PATTERN_LAYERS, len(found))).round().astype(int))
    return [found[place] for place in spread]


def heatmap_layers(network: Network, arrays: Sequence[np.ndarray]) -> list[str]:
    """The default layer for heatmaps, then the last ones before it at finer resolutions."""
    found = [network.default_layer]
    shapes = network.observe(arrays).shapes
    order = list(network.select("*"))
    before = order[: [layer.path for layer in order].index(found[0])]
    for layer in reversed(before):
        side, last = min(shapes[layer.path][1:3] or [0]), min(shapes[found[-1]][1:3])
        moved = layer.role == POOLING or "pad" in layer.kind.lower()  # their maps do not lie straight on the photo
        if layer.is_spatial and not moved and side >= FINER * last and len(found) < HEATMAP_LAYERS:
            found.append(layer.path)
    return found


@dataclass
class Survey:
    """One run: what it looks at, and where it writes."""

    network: Network
    samples: Samples
    run: Run
    begin: Stage
    seed: int
    batch_size: int | None
    top: int
    size: int | None
    seconds: dict[str, float] = field(default_factory=dict)
    errors: list[Exception] = field(default_factory=list)
    patterns: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def look(self) -> None:
        """Everything, one stage after the other; a stage that fails is noted, and the others go on.

        Raises:
            Exception: the first stage's own, where no stage succeeded.
        """
        self._photos()
        stages = [("activations", self._activations), ("heatmaps", self._heatmaps)]
        stages += [(f"patterns of {layer.path}", self._patterns(layer.path)) for layer in self._pattern_layers()]
        for name, make in stages:
            with self._attempt(name):
                make(name)
        if len(self.errors) == len(stages):
            raise self.errors[0]

    @contextmanager
    def _attempt(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        except Exception as error:  # of any framework: hours of work must not be lost to the last layer
            self.errors.append(error)
            self.run.failure(name, reason(error, 500))
        self.seconds[name] = round(time.perf_counter() - started, 2)
        self.run.note("seconds", self.seconds)

    def _pattern_layers(self) -> list[LayerInfo]:
        found = pattern_layers(self.network)
        self.run.note("planned", {"photos": len(self.samples), "patterns": [layer.path for layer in found]})
        return found

    def _photos(self) -> None:
        listed = []
        for photo in self.samples.photos:
            place = self.run.web_picture(
                f"photos/{safe_name(photo.name)}.webp", photo_picture(photo.pixels), exact=False, view="photo"
            )
            listed.append({"name": photo.name, "size": photo.size, "note": photo.remark, "picture": place})
        self.run.note("photos", listed)

    def _activations(self, name: str) -> None:
        progress, total = self.begin(name), len(self.samples)
        layers: dict[str, Any] = {}
        self.run.note("activations", {"images": [photo.name for photo in self.samples.photos], "layers": layers})
        size = self.batch_size or images_at_once(self.network, self.samples.arrays)
        for chunk in chunks(total, size):  # raw values of all images at once would not fit into memory
            found = activations(self.network, self.samples[chunk], ActivationsRequest())
            for layer, entries in found.write_sprites(self.run).items():
                shape = list(found[layer].shape[1:])
                layers.setdefault(layer, {"shape": shape, "images": []})["images"] += entries
            if progress:
                progress(chunk.stop, total)

    def _heatmaps(self, name: str) -> None:
        top = min(self.top, self.network.head().classes)
        listed: list[dict[str, Any]] = []
        for layer in heatmap_layers(self.network, self.samples.arrays):
            compute = Compute(self.batch_size, self.begin(f"{name} at {layer}"))
            made = heatmaps(self.network, self.samples, HeatmapRequest(top=top, layer=layer), compute)
            self.notes += [note for note in made[0].notes if note not in self.notes]
            for heatmap in made:
                pictures = [heatmap.write_layers(self.run, index) for index in range(len(self.samples))]
                for index, entry in enumerate(pictures):
                    entry["contrast"] = self._contrast(heatmap, made, index)
                listed.append({**heatmap.to_json(), "pictures": pictures})
            self.run.note("heatmaps", listed)

    def _contrast(self, heatmap: Heatmap, made: Sequence[Heatmap], index: int) -> dict[str, Any] | None:
        """A class's map minus that of its likeliest rival, where both say something."""
        numbers = heatmap.contrast[index]
        rival = next((one for one in made if numbers and one.targets[index] == numbers["runner_up"]), None)
        if numbers is None or rival is None or {heatmap.status[index], rival.status[index]} != {"ok"}:
            return None
        picture, limit = contrast_cells(heatmap.values[index] - rival.values[index])
        photo, target = self.samples.photos[index].name, heatmap.targets[index]
        place = f"heatmaps/{safe_name(photo)}/{safe_name(heatmap.layer)}-{target}-contrast.webp"
        words = {"layer": heatmap.layer, "photo": photo, "target": target, "view": "heatmap"}
        alike = correlation(heatmap, rival)[index]
        pictured = self.run.web_picture(place, picture, exact=True, **words)
        return {**numbers, "name": rival.names[index], "cells": pictured, "limit": limit, "correlation": alike}

    def _patterns(self, layer: str) -> Callable[[str], None]:
        def make(name: str) -> None:
            filters = tuple(range(min(PATTERNS, self.network.layer(layer).output_shape[-1] or 0)))
            request = PatternRequest(layer, filters, self.size, seed=self.seed)
            made = filter_patterns(self.network, request, Compute(self.batch_size, self.begin(name)))
            self.notes += [line for line in made.notes if line not in self.notes]
            self.patterns.append(made.write_sprite(self.run))
            self.run.note("patterns", self.patterns)

        return make


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
    *,
    command: str = "report",
    single_file: bool = False,
    overwrite: bool = False,
    seed: int = 0,
    batch_size: int | None = None,
    top: int = 3,
    size: int | None = None,
    value_range: ValueRange = None,
    stage: Stage | None = None,
) -> Written:
    """Writes activations, filter patterns and heatmaps of a network, and a page that shows them.

    What fails is named in the manifest and on the page; the rest is made all the same.

    Args:
        network: the network to look into.
        images: as `convlens.activations` takes them.
        out: the folder; the page's file for a single file.
        command: the name of the run in its manifest.
        single_file: write nothing but the page, with all pictures in it.
        overwrite: replace an earlier run in the folder.
        seed: of the patterns' start.
        batch_size: images or filters at once.
        top: heatmaps for so many of the likeliest classes.
        size: of the patterns in pixels, as `filter_patterns` takes it.
        value_range: as `convlens.activations` takes it.
        stage: gets the name of a stage as it begins, and gives the progress function for it.

    Raises:
        OutputError, ImageError, ModelError.
    """
    given = (command, seed, batch_size, top, size, value_range, stage or (lambda name: None))
    if not single_file:
        run = _run(network, images, Path(out), overwrite, *given)
        manifest = run.manifest()
        return Written(Path(out) / page.PAGE, run.files, manifest["failures"], manifest["notes"])
    page.check_file(Path(out), overwrite)
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "run"
        try:
            run = _run(network, images, folder, False, *given)
        finally:
            if folder.is_dir():  # also of an interrupted run
                page.build(folder, out, single_file=True, overwrite=overwrite)
    manifest = run.manifest()
    return Written(Path(out), [Path(out)], manifest["failures"], manifest["notes"])


def _run(
    network: Network,
    images: Any,
    out: Path,
    overwrite: bool,
    command: str,
    seed: int,
    batch_size: int | None,
    top: int,
    size: int | None,
    value_range: ValueRange,
    begin: Stage,
) -> Run:
    with Run(out, command, overwrite) as run:
        samples = read_samples(network, images, value_range)
        run.note("provenance", provenance(network, samples.preprocessing, samples.notes, seed=seed))
        run.note("network", facts(network, samples.preprocessing))
        status = "interrupted"
        made = Survey(network, samples, run, begin, seed, batch_size, top, size)
        made.notes += [*network.notes, *samples.notes, *network.head().notes]
        try:
            made.look()
            status = "complete"
        finally:
            run.note("notes", made.notes)
            run.write_text(page.PAGE, page.html({**run.manifest(), "status": status}))
    return run


def facts(network: Network, preprocessing: Preprocessing) -> dict[str, Any]:
    """What the network is, for the manifest: source, layers, parameters, input, output, preprocessing, class names."""
    head = network.head()
    return {
        "source": network.source,
        "sha256": network.sha256,
        "framework": network.framework,
        "parameters": sum(
            layer.parameters for layer in network.layers if not layer.container and ":" not in layer.path
        ),
        "input": list(network.image_shape),
        **({"classes": head.classes} if head.has_classes else {}),
        "head": {**head.to_json(), "words": str(head)},
        "score": head.scored,
        "preprocessing": str(preprocessing),
        "labels": network.labels.source if network.labels else None,
        "layers": [layer_json(layer) for layer in network.layers],
    }


def layer_json(layer: LayerInfo) -> dict[str, Any]:
    return {
        "path": layer.path,
        "kind": layer.kind,
        "role": layer.role,
        "output_shape": list(layer.output_shape),
        "parameters": layer.parameters,
        "default": layer.default,
    }
