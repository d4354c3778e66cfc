"""Which pixels a class comes from."""

# pyright: strict
from collections.abc import Iterable, Sequence
from typing import overload

from convlens.api.arguments import names_ours
from convlens.api.heatmaps import as_targets
from convlens.api.load import loaded
from convlens.api.types import Cancelled, Images, Progress, ValueRange
from convlens.results.attributions import Attribution
from convlens.techniques.request import AttributionRequest, Compute


@overload
def attribution(
    network: object,
    images: Images,
    target: int | str | None = None,
    method: str = ...,
    *,
    baselines: str | Sequence[str] | None = ...,
    steps: int | None = ...,
    rule: str | None = ...,
    samples: int | None = ...,
    noise: float | None = ...,
    patch: int | None = ...,
    stride: int | None = ...,
    segments: int | None = ...,
    layer: str | None = ...,
    seed: int = ...,
    score: str = ...,
    top: None = None,
    output: int | str = ...,
    value_range: ValueRange = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    precision: str = ...,
) -> Attribution: ...
@overload
def attribution(
    network: object,
    images: Images,
    target: Sequence[int | str],
    method: str = ...,
    *,
    baselines: str | Sequence[str] | None = ...,
    steps: int | None = ...,
    rule: str | None = ...,
    samples: int | None = ...,
    noise: float | None = ...,
    patch: int | None = ...,
    stride: int | None = ...,
    segments: int | None = ...,
    layer: str | None = ...,
    seed: int = ...,
    score: str = ...,
    top: None = None,
    output: int | str = ...,
    value_range: ValueRange = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    precision: str = ...,
) -> tuple[Attribution, ...]: ...
@overload
def attribution(
    network: object,
    images: Images,
    target: None = None,
    method: str = ...,
    *,
    baselines: str | Sequence[str] | None = ...,
    steps: int | None = ...,
    rule: str | None = ...,
    samples: int | None = ...,
    noise: float | None = ...,
    patch: int | None = ...,
    stride: int | None = ...,
    segments: int | None = ...,
    layer: str | None = ...,
    seed: int = ...,
    score: str = ...,
    top: int,
    output: int | str = ...,
    value_range: ValueRange = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    precision: str = ...,
) -> tuple[Attribution, ...]: ...
@names_ours
def attribution(
    network: object,
    images: Images,
    target: int | str | Sequence[int | str] | None = None,
    method: str = AttributionRequest.method,
    *,
    baselines: str | Sequence[str] | None = AttributionRequest.baselines,
    steps: int | None = AttributionRequest.steps,
    rule: str | None = AttributionRequest.rule,
    samples: int | None = AttributionRequest.samples,
    noise: float | None = AttributionRequest.noise,
    patch: int | None = AttributionRequest.patch,
    stride: int | None = AttributionRequest.stride,
    segments: int | None = AttributionRequest.segments,
    layer: str | None = AttributionRequest.layer,
    seed: int = AttributionRequest.seed,
    score: str = AttributionRequest.score,
    top: int | None = AttributionRequest.top,
    output: int | str = AttributionRequest.output,
    value_range: ValueRange = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    precision: str = AttributionRequest.precision,
) -> Attribution | tuple[Attribution, ...]:
    """How much each pixel speaks for a class, and how much against it.

    A parameter that the method does not take is refused; one that is None has the method's own default. Both stand in
    the table of methods.

    Args:
        network: what `load` gave, or anything that it takes.
        images: as for `activations`.
        target: as for `heatmap`.
        method: "gradient", "gradient-x-input", "integrated-gradients", "guided-ig", "blur-ig", "gradient-shap",
            "smoothgrad", "squaregrad", "vargrad", "guided-backprop", "deconvnet", "guided-grad-cam", "occlusion",
            "rise", "kernel-shap", "lime" or "xrai".
        baselines: what an image is compared with, one or several: "black", "grey", "white" (pixels 0, 127.5 and 255),
            "blur" (the image blurred by a tenth of its longer side) or "noise" (pixels drawn from 0 to 255).
        steps: of a path.
        rule: where the gradient of a step of integrated gradients is taken: "midpoint", "left", "right", "trapezoid" or
            "gauss-legendre".
        samples: noisy or masked images.
        noise: deviation of the noise, as a share of the image's range.
        patch: side of the square that occlusion hides, in pixels of the network's input; an eighth of its shorter side
            by default.
        stride: pixels from one such square to the next; half a patch by default.
        segments: superpixels.
        layer: where guided Grad-CAM's map is taken; as for `heatmap`.
        seed: of all that is drawn; the same for every image.
        score: "logit", before the softmax or sigmoid, or "probability", after it.
        top: as many of each image's likeliest classes.
        output: which of the network's outputs, by number or name.
        value_range: as for `activations`.
        batch_size: images, or variants of them, at once.
        progress: called with the number of images done and their total.
        cancelled: asked between batches; once it is true, `CancelledError` is raised.
        precision: of the network's computing, "float32", "bfloat16" or "auto".

    Returns:
        an `Attribution` with values float32 (batch, height, width) of the network's input for one target, a tuple of
        them for several.

    Raises:
        ImageError, LayerError, TargetError, OptionError, ModelError, PreprocessingError, CancelledError.

    Example:
        >>> attribution = convlens.attribution("bundled", photo(), "cat")
        >>> attribution.status, attribution.values.shape
        (('ok',), (1, 150, 150))
        >>> bool(attribution.completeness[0].share < 0.05)
        True
    """
    from convlens.network.samples import read_samples
    from convlens.techniques.attributions.attribute import attributions

    targets = None if target is None else as_targets(target)
    own = (baselines, steps, rule, samples, noise, patch, stride, segments, layer)
    request = AttributionRequest(targets, method, *own, seed, score, top, output, precision)
    opened = loaded(network)
    compute = Compute(batch_size, progress, cancelled)
    maps = attributions(opened, read_samples(opened, images, value_range), request, compute)
    several = top is not None or (target is not None and isinstance(target, Iterable) and not isinstance(target, str))
    return maps if several else maps[0]
