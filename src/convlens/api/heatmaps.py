"""Where in an image a class comes from."""

# pyright: strict
from collections.abc import Iterable, Sequence
from typing import overload

from convlens.api.arguments import names_ours
from convlens.api.load import loaded
from convlens.api.types import Cancelled, Images, Progress, ValueRange
from convlens.results.heatmaps import Heatmap
from convlens.techniques.request import Compute, HeatmapRequest


@overload
def heatmap(
    network: object,
    images: Images,
    target: int | str | None = None,
    layer: str | None = None,
    *,
    method: str = ...,
    score: str = ...,
    top: None = None,
    output: int | str = ...,
    value_range: ValueRange = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    precision: str = ...,
) -> Heatmap: ...
@overload
def heatmap(
    network: object,
    images: Images,
    target: Sequence[int | str],
    layer: str | None = None,
    *,
    method: str = ...,
    score: str = ...,
    top: None = None,
    output: int | str = ...,
    value_range: ValueRange = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    precision: str = ...,
) -> tuple[Heatmap, ...]: ...
@overload
def heatmap(
    network: object,
    images: Images,
    target: None = None,
    layer: str | None = None,
    *,
    method: str = ...,
    score: str = ...,
    top: int,
    output: int | str = ...,
    value_range: ValueRange = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    precision: str = ...,
) -> tuple[Heatmap, ...]: ...
@names_ours
def heatmap(
    network: object,
    images: Images,
    target: int | str | Sequence[int | str] | None = None,
    layer: str | None = None,
    *,
    method: str = HeatmapRequest.method,
    score: str = HeatmapRequest.score,
    top: int | None = HeatmapRequest.top,
    output: int | str = HeatmapRequest.output,
    value_range: ValueRange = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    precision: str = HeatmapRequest.precision,
) -> Heatmap | tuple[Heatmap, ...]:
    """Where in an image a class comes from.

    With A the layer's feature maps and y the score of the target, Grad-CAM is
    ReLU(sum_k mean_ij(dy/dA_ijk) * A_k): Selvaraju et al. 2017, arXiv 1610.02391, equations 1 and 2.

    Args:
        network: what `load` gave, or anything that it takes.
        images: as for `activations`.
        target: class index or name, or a list of them; the likeliest class of each image by default. Of an output
            of values: its index, raised, or with a direction: "up", "down", "1 down"; the first one up by default.
        layer: where to look; by default the last spatial tensor that every path to the output crosses.
        method: "grad-cam", or another that `convlens methods` lists, such as "hirescam", "layercam", "score-cam".
        score: "logit", before the softmax or sigmoid, or "probability", after it.
        top: as many of each image's likeliest classes.
        output: which of the network's outputs, by number or name.
        value_range: as for `activations`.
        batch_size: images at once.
        progress: called with the number of images done and their total.
        cancelled: asked between batches; once it is true, `CancelledError` is raised.
        precision: of the network's computing, "float32", "bfloat16" or "auto"; the maps are computed in float32 always.

    Returns:
        a `Heatmap` with values float32 (batch, height, width) for one target, a tuple of them for several.

    Raises:
        ImageError, LayerError, TargetError, OptionError, ModelError, CancelledError.

    Example:
        >>> heatmap = convlens.heatmap("bundled", photo(), "cat")
        >>> heatmap.status, heatmap.values.shape
        (('ok',), (1, 15, 15))
        >>> [each.names for each in convlens.heatmap("bundled", photo(), top=2)]
        [('cat',), ('dog',)]
    """
    from convlens.network.samples import read_samples
    from convlens.techniques.heatmaps.explain import heatmaps

    compute = Compute(batch_size, progress, cancelled)
    targets = None if target is None else as_targets(target)
    request = HeatmapRequest(targets, layer, method, score, top, output, precision)
    opened = loaded(network)
    with opened.exclusive():
        maps = heatmaps(opened, read_samples(opened, images, value_range), request, compute)
    several = top is not None or (target is not None and isinstance(target, Iterable) and not isinstance(target, str))
    return maps if several else maps[0]


def as_targets(target: int | str | Sequence[int | str]) -> tuple[int | str, ...]:
    """One target, or several, as a tuple."""
    if isinstance(target, str) or not isinstance(target, Iterable):
        return (target,)
    return tuple(target)
