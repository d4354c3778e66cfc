"""The gradient of the score by the pixels, and what it is multiplied by."""

from typing import Any

from convlens.techniques.attributions.settings import Maps, Settings
from convlens.techniques.probe import ClassProbe


def gradient(probe: ClassProbe, settings: Settings) -> Maps:
    """g = dy/dx: how the score changes with each colour of each pixel.

    Simonyan et al. 2013, arXiv 1312.6034, section 3, where its largest size among the colours is shown; here its sign
    is kept.
    """
    return Maps(probe.input_gradients())


def gradient_x_input(probe: ClassProbe, settings: Settings) -> Maps:
    """g x. Shrikumar et al. 2016, arXiv 1605.01713.

    x is in the network's units, so that a pixel whose value there is 0 gets nothing: black for one network, the mean
    colour of ImageNet for another. Of a network without biases, whose layers are linear or ReLUs, the sum is the score.
    """
    return Maps(probe.input_gradients() * probe.inputs)


def taken(tensor: Any, images: Any) -> Any:
    """The parts of a tensor at places of its first axis, int (n,): (n, ...)."""
    from keras import ops

    return ops.take(tensor, images.astype("int32"), axis=0)
