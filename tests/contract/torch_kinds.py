"""The twin's network as PyTorch modules."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from tests.contract import kinds, twin

PATHS = {"one": "relu_one", "pool": "pool", "two": "relu_two", "classes": "softmax"}


class Plain(nn.Module):
    def __init__(self, inplace: bool = False, softmax: bool = True) -> None:
        super().__init__()
        w = twin.weights()
        self.one, self.relu_one = nn.Conv2d(3, 4, 3), nn.ReLU(inplace)
        self.pool = nn.MaxPool2d(2)
        self.two, self.relu_two = nn.Conv2d(4, 6, 3), nn.ReLU(inplace)
        self.dense = nn.Linear(6, twin.CLASSES)
        self.softmax: nn.Module = nn.Softmax(-1) if softmax else nn.Identity()
        with torch.no_grad():
            for conv, kernel, bias in ((self.one, w.one, w.one_bias), (self.two, w.two, w.two_bias)):
                conv.weight.copy_(torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))))
                conv.bias.copy_(torch.from_numpy(bias))
            self.dense.weight.copy_(torch.from_numpy(np.ascontiguousarray(w.dense.T)))
            self.dense.bias.copy_(torch.from_numpy(w.dense_bias))

    def forward(self, x: Any) -> Any:
        x = self.pool(self.relu_one(self.one(x)))
        return self.softmax(self.dense(self.relu_two(self.two(x)).mean((2, 3))))


class SharedReLU(Plain):
    """One ReLU for both convolutions, as ResNet blocks have."""

    def forward(self, x: Any) -> Any:
        x = self.pool(self.relu_one(self.one(x)))
        return self.softmax(self.dense(self.relu_one(self.two(x)).mean((2, 3))))


def made(model: nn.Module, paths: dict[str, str] | None = None, **more: Any) -> "kinds.Kind":
    shape = {"input_shape": (*twin.SIDES, 3)}
    return kinds.Kind(model, paths or PATHS, options=shape, **more)


def frozen() -> "kinds.Kind":
    return made(Plain().requires_grad_(False))


def wrapped() -> "kinds.Kind":
    return made(nn.DataParallel(Plain()))


TORCH_KINDS: dict[str, Callable[[], Any]] = {
    "module": lambda: made(Plain().train()),
    "module in place": lambda: made(Plain(inplace=True)),
    "module shared relu": lambda: made(SharedReLU(inplace=True), {**PATHS, "two": "relu_one:1"}),
    "module frozen": frozen,
    "module data parallel": wrapped,
    "module under no_grad": lambda: made(Plain(), caller=torch.no_grad),
    "module under inference_mode": lambda: made(Plain(inplace=True), caller=torch.inference_mode),
    "module bfloat16": lambda: made(Plain().bfloat16(), tolerance=2e-2, exact=False),
    "module float16": lambda: made(Plain().half(), tolerance=3e-3, exact=False),
}
