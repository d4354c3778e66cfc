"""From what the user has to a network."""

# pyright: strict
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from convlens.api.arguments import names_ours

if TYPE_CHECKING:
    from convlens.network.network import Network

Shape: TypeAlias = tuple[int | None, ...]


@names_ours
def load(
    model: object,
    *,
    preprocess: str | Callable[..., object] | object | None = None,
    labels: str | PathLike[str] | Sequence[str] | object | None = None,
    weights: str | PathLike[str] | None = None,
    architecture: object = None,
    custom: Sequence[str] = (),
    trust: bool = False,
    partial: bool = False,
    input_shape: Shape | Sequence[Shape] | Mapping[str, Shape] | None = None,
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

    Example:
        >>> network = convlens.load("bundled")
        >>> network.labels.names
        ('cat', 'dog')
        >>> print(network.preprocessing)
        rescale (RGB 0 to 1), metadata file cats_and_dogs_small.json
    """
    from convlens.loading.opening import LoadOptions, open_network

    file = Path(weights) if isinstance(weights, PathLike) else weights
    options = LoadOptions(preprocess, labels, file, architecture, custom, trust, partial, input_shape, head)
    return open_network(model, options)


def loaded(network: object) -> "Network":
    """The network itself; anything else is loaded first."""
    from convlens.network.network import Network

    return network if isinstance(network, Network) else load(network)
