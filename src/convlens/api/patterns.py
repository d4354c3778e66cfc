"""What each filter looks for."""

# pyright: strict
from collections.abc import Iterable

from convlens.api.arguments import names_ours
from convlens.api.load import loaded
from convlens.api.types import Cancelled, Progress
from convlens.results.patterns import FilterPatterns
from convlens.techniques.request import Compute, PatternRequest


@names_ours
def filter_patterns(
    network: object,
    layer: str,
    filters: Iterable[int] | str | int | None = None,
    size: int | tuple[int, int] | None = None,
    *,
    steps: int | None = None,
    step_size: float | None = None,
    seed: int = PatternRequest.seed,
    method: str = PatternRequest.method,
    batch_size: int | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    precision: str = PatternRequest.precision,
) -> FilterPatterns:
    """An image that each filter of a layer responds to strongly, by gradient ascent from noise on grey.

    From an image x of noise, with a the mean of the filter's feature map over space and g = da/dx:
    x <- x + step_size * g / (rms(g) + 1e-5), `steps` times. Erhan et al. 2009, "Visualizing higher-layer features of a
    deep network"; the normalized gradient is that of Chollet, "Deep learning with Python".

    Args:
        network: what `load` gave, or anything that it takes.
        layer: its name; the forward pass stops there.
        filters: indices, a range, or text such as "0:64,70"; all by default.
        size: of the images in pixels, a side or (height, width); by default 64 where the layer can be computed on
            it, else the network's own size, or the smallest larger size that goes, which a note says.
        steps: how many steps of ascent; by default 40 with "ascent", 128 with "fourier".
        step_size: with "ascent" in grey levels of 0-255, 1 by default; with "fourier" Adam's, 0.05 by default.
        seed: of the noise.
        method: "ascent", or "fourier": the spectrum is optimized, with Adam, in colours as photos have them, and seen
            moved, turned and resized; 128 pixels a side by default (Olah et al. 2017, "Feature visualization").
        batch_size: filters at once.
        progress: called with the number of filters done and their total.
        cancelled: asked before each step; once it is true, `CancelledError` is raised.
        precision: of the network's computing, "float32", "bfloat16" or "auto": bfloat16 where the device gains by it.

    Returns:
        images uint8 (filters, height, width, 3), mean activation at start and end, the share of each picture that is
        its start's, and one status per filter: an image means something where it is "ok".

    Raises:
        LayerError, FilterError, OptionError, ModelError, CancelledError.

    Example:
        >>> patterns = convlens.filter_patterns("bundled", "conv2d_7", [3, 5], 32, steps=10)
        >>> patterns.images.shape
        (2, 32, 32, 3)
        >>> bool((patterns.end > patterns.start).all())
        True
    """
    from convlens.techniques.patterns.filters import filter_patterns as run

    compute = Compute(batch_size, progress, cancelled)
    request = PatternRequest(layer, filters, size, steps, step_size, seed, method, precision)
    opened = loaded(network)
    with opened.exclusive():
        return run(opened, request, compute)
