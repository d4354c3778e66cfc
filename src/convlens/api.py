"""The public functions: load a network, look into it, write a report."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convlens.data.images import ValueRange
from convlens.results.activations import Activations
from convlens.results.patterns import FilterPatterns
from convlens.techniques.request import ActivationsRequest, Compute, HeatmapRequest, PatternRequest, Progress

if TYPE_CHECKING:
    from convlens.network.network import Network


def load(
    model: Any,
    *,
    preprocess: Any = None,
    labels: Any = None,
    weights: str | Path | None = None,
    architecture: Any = None,
    custom: Sequence[str] = (),
    trust: bool = False,
    partial: bool = False,
    input_shape: Any = None,
    head: str | Mapping[str | int, str] | None = None,
) -> "Network":
    """A network to look into, from what the user has.

    Args:
        model: path of a file, "keras:VGG16", "torchvision:resnet18", "timm:NAME", "bundled", "module:function",
            a `keras.Model` or a `torch.nn.Module`.
        preprocess: "none" (0-255), "rescale" (0-1), "tf" (-1-1), "caffe", "torch", or a function from float32
            (batch, height, width, channels), RGB 0-255, to the network's input; or torchvision's transforms, or a
            member of its Weights, of which the size and what they do to values are taken, and the class names; found
            from the model by default.
        labels: class names, a text file with one a line, or a member of torchvision's Weights; found from the model
            by default.
        weights: a weights file, or "random" for an untrained zoo network.
        architecture: for a file that holds weights only: an architecture file, "keras:NAME" or "module:function".
        custom: classes that the file needs, "module:object" each; importing them runs their code.
        trust: run code that is stored in the file.
        partial: compute through layers for which the file has no weights, too; refused by default.
        input_shape: (height, width, channels) where the model does not know it, None for sides of any size, in which
            photos keep their own; a list for several inputs, or a dict where the model takes them by name.
        head: what the output means, where the model does not tell: "classes" (that exclude one another),
            "independent" (classes that do not), "binary" (one unit: class 1 against class 0), "score" (values in
            their own unit), "map" (classes at each position) or "embedding" (features; no classes). For several
            outputs, a mapping of their numbers or names to these.

    Raises:
        ModelError: the model cannot be loaded.
        PreprocessingError, LabelsError: unknown preprocessing; labels that do not fit the output.
        OptionError: unknown head, or one that the output cannot be.
        BackendError: no framework is installed, or not the one the model needs.
    """
    from convlens.loading.opening import open_network

    return open_network(model, preprocess, labels, input_shape, weights, architecture, custom, trust, partial, head)


def _network(network: Any) -> "Network":
    """The network itself; anything else is loaded first."""
    if "convlens.network.network" in sys.modules:
        from convlens.network.network import Network

        if isinstance(network, Network):
            return network
    return load(network)


def activations(
    network: Any,
    images: Any,
    layers: str | Iterable[str] | None = None,
    *,
    value_range: ValueRange = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Activations:
    """What each layer makes of an image, from one forward pass that stops after the last layer wanted.

    Args:
        network: what `load` gave, or anything that it takes.
        images: an image or a list: paths, Pillow images, arrays (height, width[, channels]). For networks with
            several inputs, a sample is a tuple in their order, or a dict by their names.
        layers: names or globs; every spatial convolution and pooling layer by default.
        value_range: (low, high), the values of black and white in arrays and in files of more than 8 bits a channel,
            or "network" where they are as the network takes them. By default, uint8 is 0-255, floats within 0-1 are
            pixels of 0-1, 16-bit files are 0-65535; other integers need it, other floats go in as they are.
        batch_size: images at once; as many as fit a memory budget by default.
        progress: called with the number of images done and their total.
        cancelled: asked between steps; once it is true, `CancelledError` is raised.

    Returns:
        a mapping of layer paths to float32 (batch, height, width, channels), with statistics and pictures.

    Raises:
        ImageError, LayerError, ModelError.
    """
    from convlens.network.samples import read_samples
    from convlens.techniques.activations import activations as run

    compute = Compute(batch_size, progress, cancelled)
    request = ActivationsRequest(None if layers is None else tuple([layers] if isinstance(layers, str) else layers))
    network = _network(network)
    return run(network, read_samples(network, images, value_range), request, compute)


def filter_patterns(
    network: Any,
    layer: str,
    filters: Iterable[int] | str | int | None = None,
    size: int | tuple[int, int] | None = None,
    *,
    steps: int = PatternRequest.steps,
    step_size: float = PatternRequest.step_size,
    seed: int = PatternRequest.seed,
    method: str = PatternRequest.method,
    batch_size: int | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    precision: str = PatternRequest.precision,
) -> FilterPatterns:
    """An image that each filter of a layer responds to strongly, by gradient ascent from noise on grey.

    Args:
        network: what `load` gave, or anything that it takes.
        layer: its name; the forward pass stops there.
        filters: indices, a range, or text such as "0:64,70"; all by default.
        size: of the images in pixels, a side or (height, width); by default 64 where the layer can be computed on
            it, else the network's own size, or the smallest larger size that goes, which a note says.
        steps: of the ascent, each of size `step_size` in grey levels of 0-255.
        seed: of the noise.
        method: "ascent".
        batch_size: filters at once.
        progress: called with the number of filters done and their total.
        cancelled: asked before each step; once it is true, `CancelledError` is raised.
        precision: of the network's computing, "float32", "bfloat16" or "auto": bfloat16 where the device gains by it.

    Returns:
        images uint8 (filters, height, width, 3), mean activation at start and end, the share of each picture that is
        its start's, and a status a filter: an image means something where it is "ok".

    Raises:
        LayerError, FilterError, OptionError, ModelError.
    """
    from convlens.techniques.patterns.filters import filter_patterns as run

    compute = Compute(batch_size, progress, cancelled)
    request = PatternRequest(layer, filters, size, steps, step_size, seed, method, precision)
    return run(_network(network), request, compute)


def heatmap(
    network: Any,
    images: Any,
    target: int | str | Sequence[int | str] | None = None,
    layer: str | None = None,
    *,
    method: str = HeatmapRequest.method,
    score: str = HeatmapRequest.score,
    top: int | None = None,
    output: int | str = 0,
    value_range: ValueRange = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    precision: str = HeatmapRequest.precision,
) -> Any:
    """Where in an image a class comes from.

    Args:
        network: what `load` gave, or anything that it takes.
        images: as for `activations`.
        target: class index or name, or a list of them; the likeliest class of each image by default. Of an output
            of values: its index, raised, or with a direction: "up", "down", "1 down"; the first one up by default.
        layer: where to look; by default the last spatial tensor that every path to the output crosses.
        method: "grad-cam" (Selvaraju et al. 2017, arXiv 1610.02391).
        score: "logit", before the softmax or sigmoid, or "probability", after it.
        top: as many of each image's likeliest classes.
        output: which of the network's outputs, by number or name.
        value_range: as for `activations`.
        batch_size: images at once.
        progress: called with the number of images done and their total.
        cancelled: asked between steps; once it is true, `CancelledError` is raised.
        precision: of the network's computing, "float32", "bfloat16" or "auto"; the maps are computed in float32 always.

    Returns:
        a `Heatmap` with values float32 (batch, height, width) for one target, a tuple of them for several.

    Raises:
        ImageError, LayerError, TargetError, OptionError.
    """
    from convlens.network.samples import read_samples
    from convlens.techniques.heatmaps import heatmaps

    compute = Compute(batch_size, progress, cancelled)
    several = target is not None and not isinstance(target, int | str | np.integer)
    targets: Any = target if several or target is None else (target,)
    request = HeatmapRequest(targets, layer, method, score, top, output, precision)
    network = _network(network)
    maps = heatmaps(network, read_samples(network, images, value_range), request, compute)
    return maps if several or top is not None else maps[0]


def report(
    network: Any,
    images: Any,
    out: str | Path,
    *,
    single_file: bool = False,
    overwrite: bool = False,
    seed: int = 0,
    value_range: ValueRange = None,
    batch_size: int | None = None,
) -> Path:
    """Writes a page with the three views of a network on some images.

    Args:
        network: what `load` gave, or anything that it takes.
        images: as for `activations`.
        out: the folder to write, which must be new or empty; the page's file for a single file.
        single_file: write one HTML file with everything in it.
        overwrite: replace an earlier run in the folder, or the file.
        seed: of the filter patterns' start.
        value_range: as for `activations`.
        batch_size: images or filters at once.

    Returns:
        the path of the page, which a notebook shows as the page itself.

    Raises:
        OutputError, ImageError, ModelError.
    """
    from convlens.jobs.survey import survey
    from convlens.page.notebook import Report

    given = {"single_file": single_file, "overwrite": overwrite, "seed": seed, "batch_size": batch_size}
    return Report(survey(_network(network), images, out, value_range=value_range, **given).page)
