"""All three views of a network in one run, with a page that shows them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convlens.images import Photo
from convlens.network.base import Network
from convlens.network.feed import read_samples
from convlens.network.layers import CONVOLUTION, LayerInfo
from convlens.network.provenance import provenance
from convlens.report import page
from convlens.store import Run
from convlens.techniques.activations import activations
from convlens.techniques.heatmaps import heatmaps
from convlens.techniques.patterns.ascent import filter_patterns

PATTERN_LAYERS = 5
PATTERNS = 64

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


def survey(
    network: Network,
    images: Any,
    out: str | Path,
    *,
    command: str = "report",
    overwrite: bool = False,
    seed: int = 0,
    batch_size: int | None = None,
    top: int = 2,
    size: int = 64,
    stage: Stage | None = None,
) -> list[Path]:
    """Writes activations, filter patterns and heatmaps of a network into a folder, and a page that shows them.

    Args:
        network: the network to look into.
        images: as `convlens.activations` takes them.
        out: the folder.
        command: the name of the run in its manifest.
        overwrite: replace an earlier run in the folder.
        seed: of the patterns' start.
        batch_size: images or filters at once.
        top: heatmaps for so many of the likeliest classes.
        size: of the patterns in pixels.
        stage: gets the name of a stage as it begins, and gives the progress function for it.

    Returns:
        the files written; the page is index.html.

    Raises:
        OutputError, ImageError, ModelError.
    """
    begin = stage or (lambda name: None)
    with Run(Path(out), command, overwrite, provenance(network, seed=seed)) as run:
        try:
            photos, arrays = read_samples(network, images)
            run.note("network", facts(network))
            _views(network, photos, arrays, run, begin, seed, batch_size, top, size)
        finally:
            run.note("notes", list(network.notes))
            run.write_text("index.html", page(run.manifest()))
    return run.files


def _views(
    network: Network,
    photos: Sequence[Photo],
    arrays: Sequence[np.ndarray],
    run: Run,
    begin: Stage,
    seed: int,
    batch_size: int | None,
    top: int,
    size: int,
) -> None:
    found = activations(network, photos, arrays, None, batch_size, begin("activations"))
    run.note("activations", found.to_json())
    found.write(run)
    classes = network.head().classes
    made = heatmaps(network, photos, arrays, top=min(top, classes), batch_size=batch_size, progress=begin("heatmaps"))
    for heatmap in made:
        heatmap.write(run)
    run.note("heatmaps", [heatmap.to_json() for heatmap in made])
    listed = []
    for layer in pattern_layers(network):
        wanted = range(min(PATTERNS, layer.output_shape[-1] or 0))
        progress = begin(f"patterns of {layer.path}")
        patterns = filter_patterns(
            network, layer.path, wanted, size, seed=seed, batch_size=batch_size, progress=progress
        )
        patterns.write(run)
        listed.append(patterns.to_json())
        run.note("patterns", listed)


def facts(network: Network) -> dict[str, Any]:
    """What the network is, for the manifest: source, layers, preprocessing, class names."""
    return {
        "source": network.source,
        "sha256": network.sha256,
        "framework": network.framework,
        "preprocessing": str(network.preprocessing) if network.preprocessing else None,
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
