"""VGG16 (Simonyan & Zisserman 2014, arXiv 1409.1556) with the same seeded weights in Keras and in PyTorch.

The weights are random (He et al. 2015, arXiv 1502.01852), so that the suite runs offline; what a convolution costs
does not depend on its weights.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
DENSE = ((25088, 4096), (4096, 4096), (4096, 1000))


def convolutions() -> Iterator[tuple[str, int, int, int]]:
    """Name, channels in, channels out, and how many times the image was halved before, of each convolution."""
    channels = 3
    for number, (count, width) in enumerate(BLOCKS):
        for place in range(count):
            yield f"block{number + 1}_conv{place + 1}", channels, width, number
            channels = width


def weights(top: bool) -> list[np.ndarray]:
    """Kernels (height, width, in, out) and biases in the order of the layers, float32."""
    rng, values = np.random.default_rng(0), []
    shapes = [(3, 3, before, after) for _, before, after, _ in convolutions()] + (list(DENSE) if top else [])
    for shape in shapes:
        kernel = rng.standard_normal(shape, "float32")
        kernel *= np.float32(np.sqrt(2 / np.prod(shape[:-1])) * (0.1 if shape[-1] == 1000 else 1))
        values += [kernel, np.zeros(shape[-1], "float32")]
    return values


def keras_model(top: bool = False) -> Any:
    import keras

    model = keras.applications.VGG16(weights=None, include_top=top)
    model.set_weights(weights(top))
    return model


def torch_model(top: bool = False) -> Any:
    """As `keras_model`, for channels first; its convolutions and poolings bear the same names."""
    import torch
    from torch import nn

    class Rows(nn.Module):
        """Flattens as Keras does, channels last."""

        def forward(self, x: Any) -> Any:
            return x.permute(0, 2, 3, 1).flatten(1)

    layers: list[tuple[str, Any]] = []
    block = 0
    for name, before, after, halved in convolutions():
        if halved != block:
            layers.append((f"block{block + 1}_pool", nn.MaxPool2d(2)))
            block = halved
        layers += [(name, nn.Conv2d(before, after, 3, padding=1)), (f"{name}_relu", nn.ReLU())]
    layers.append(("block5_pool", nn.MaxPool2d(2)))
    for number, (before, after) in enumerate(DENSE if top else ()):
        layers += [("flatten", Rows())] if number == 0 else [(f"fc{number}_relu", nn.ReLU())]
        layers.append((f"fc{number + 1}" if number < 2 else "predictions", nn.Linear(before, after)))
    model = nn.Sequential()
    for name, layer in layers:
        model.add_module(name, layer)
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), weights(top), strict=True):
            order = (3, 2, 0, 1) if value.ndim == 4 else (1, 0) if value.ndim == 2 else (0,)
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(value.transpose(order))))
    return model.eval()


def flop(layer: str, size: int, last_channels: int | None = None) -> float:
    """Floating-point operations of one image's forward pass through the convolutions up to a layer.

    Args:
        last_channels: how many channels of the layer itself are computed; all by default.
    """
    total = 0.0
    for name, before, after, halved in convolutions():
        side = size // 2**halved
        total += 2 * side * side * 9 * before * (last_channels or after if name == layer else after)
        if name == layer:
            return total
    raise ValueError(f"no convolution {layer!r} in VGG16")


def displayed(image: np.ndarray) -> np.ndarray:
    """An ascent's image as the book chapter shows it: contrast 0.1 around mid-grey, uint8."""
    image = (image - image.mean()) / (image.std() + 1e-5) * 0.1 + 0.5
    return (np.clip(image, 0, 1) * 255).astype("uint8")


def photos(task: dict[str, Any]) -> np.ndarray:
    """What all contestants look at: noise, uint8 (batch, size, size, 3), RGB."""
    shape = (task["batch"], task["size"], task["size"], 3)
    return np.random.default_rng(0).integers(0, 256, shape, "uint8")


def inputs(task: dict[str, Any]) -> np.ndarray:
    """The same as VGG16 takes it: BGR less the mean of ImageNet, float32."""
    return photos(task)[..., ::-1].astype("float32") - np.array([103.939, 116.779, 123.68], "float32")
