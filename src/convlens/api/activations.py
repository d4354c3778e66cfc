"""What each layer makes of an image."""

# pyright: strict
from collections.abc import Iterable

from convlens.api.arguments import names_ours
from convlens.api.load import loaded
from convlens.api.types import Cancelled, Images, Progress, ValueRange
from convlens.results.activations import Activations
from convlens.techniques.request import ActivationsRequest, Compute


@names_ours
def activations(
    network: object,
    images: Images,
    layers: str | Iterable[str] | None = None,
    *,
    value_range: ValueRange = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Activations:
    """What each layer makes of an image, from one forward pass that stops after the last layer wanted.

    A feature map is a layer's output a = f(x) for an image x as it is, after the layer's own activation function;
    its statistics are the share of positions with a > 0, the mean and the maximum of a.

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
        cancelled: asked between batches; once it is true, `CancelledError` is raised.

    Returns:
        a mapping of layer paths to float32 (batch, height, width, channels), with statistics and pictures.

    Raises:
        ImageError, LayerError, ModelError, CancelledError.

    Example:
        >>> activations = convlens.activations("bundled", photo(), "conv2d_5")
        >>> activations["conv2d_5"].shape
        (1, 148, 148, 32)
        >>> print(f"{activations.statistics['conv2d_5'][0].active:.2f}")
        0.39
    """
    from convlens.network.samples import read_samples
    from convlens.techniques.activations import activations as run

    compute = Compute(batch_size, progress, cancelled)
    request = ActivationsRequest(None if layers is None else (layers,) if isinstance(layers, str) else tuple(layers))
    opened = loaded(network)
    with opened.exclusive():
        return run(opened, read_samples(opened, images, value_range), request, compute)
