"""Any PyTorch module, through forward hooks."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from convlens.errors import ModelError
from convlens.network.base import Network, OnOutput
from convlens.network.head import SIGMOID, SOFTMAX, Head
from convlens.network.layers import CONVOLUTION, OTHER, POOLING, InputSpec, base_path

# sides in pixels of the inputs that published networks take, the commonest first
SIDES = (224, 32, 28, 64, 96, 128, 100, 227, 299, 256, 150, 48, 112, 160, 384, 512)


class TorchNetwork(Network):
    """An `nn.Module` that takes images (batch, channels, height, width)."""

    framework = "torch"

    def __init__(self, model: Any, source: str, *, input_shape: Any = None, **options: Any) -> None:
        super().__init__(model, source, **options)
        self._module = model.module if isinstance(model, nn.DataParallel) else model
        self._by_path = {path: module for path, module in self._module.named_modules() if path}
        if input_shape is None:
            self._specs = (InputSpec("input", (None, None, self._channels())),)
            self._side = self._find_side()
        else:
            shapes = input_shape if isinstance(input_shape[0], list | tuple) else [input_shape]
            self._specs = tuple(InputSpec(f"input_{number}", tuple(shape)) for number, shape in enumerate(shapes))
            self._side = SIDES[0]

    def _channels(self) -> int:
        """The channels that the first convolution takes."""
        for module in self._by_path.values():
            weight = getattr(module, "weight", None)
            if isinstance(module, nn.modules.conv._ConvNd) or (weight is not None and weight.ndim == 4):
                return weight.shape[1] * getattr(module, "groups", 1)
        raise ModelError(
            f"{self.source} has no convolution to tell its input by; give input_shape=(height, width, channels)"
        )

    def _find_side(self) -> int:
        """The first usual side on which the network runs: modules do not tell what they were trained on."""
        problem = ""
        for side in SIDES:
            self._side = side
            try:
                with self.reading():
                    self.forward(self.tensors(self.input_arrays(1)))
            except Exception as error:
                problem = problem or str(error).splitlines()[0]
                continue
            return side
        raise ModelError(
            f"{self.source} runs on none of the usual input sizes ({problem});"
            " give input_shape=(height, width, channels)"
        )

    @property
    def paths(self) -> list[str]:
        return list(self._by_path)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return self._specs

    @property
    def channels_first(self) -> bool:
        return True

    @property
    def variables(self) -> list[Any]:
        return []

    def probe_size(self) -> tuple[int, int]:
        return self._side, self._side

    def describe(self, path: str) -> tuple[str, str, int, bool]:
        module = self._by_path[base_path(path, self.paths)]
        kind, inside = type(module).__name__, next(module.children(), None) is not None
        role = OTHER
        if not inside and "pool" in kind.lower():
            role = POOLING
        elif not inside and any(weight.ndim == 4 for weight in module.parameters()):
            role = CONVOLUTION
        return kind, role, sum(weight.numel() for weight in module.parameters()), inside

    @contextmanager
    def tap(self, paths: Iterable[str], on_output: OnOutput) -> Iterator[None]:
        def hook(path: str) -> Any:
            return lambda module, arguments, raw: on_output(path, arguments, raw)

        with ExitStack() as stack:
            for path in paths:
                stack.callback(self._by_path[path].register_forward_hook(hook(path)).remove)
            yield

    def run(self, inputs: Sequence[Any]) -> Any:
        training = [module for module in self.model.modules() if module.training]
        weight = next(self.model.parameters(), None)
        if weight is not None:
            inputs = [tensor.to(weight.device, weight.dtype) for tensor in inputs]
        try:
            for module in training:
                module.training = False
            return self._module(*inputs)
        finally:
            for module in training:
                module.training = True

    @contextmanager
    def computing(self, precision: str) -> Iterator[None]:
        halves = [*self.model.parameters(), *self.model.buffers()]
        before = [(weight, weight.data) for weight in halves if weight.dtype in (torch.float16, torch.bfloat16)]
        kind = halves[0].device.type if halves else "cpu"
        try:
            for weight, data in before:
                weight.data = data.float()
            with torch.autocast(kind, torch.bfloat16, enabled=precision == "bfloat16"):
                yield
        finally:
            for weight, data in before:
                weight.data = data

    @property
    def takes_bfloat16(self) -> bool:
        return True  # autocast keeps in float32 what needs it

    def can_narrow(self, path: str) -> bool:
        module = self._by_path.get(path)
        return (
            type(module) is nn.Conv2d
            and module.groups == 1
            and "forward" not in vars(module)
            and f"{path}:1" not in self.observe().shapes
        )

    @contextmanager
    def narrowed(self, path: str, channels: Any) -> Iterator[None]:
        module: Any = self._by_path[path]

        def forward(inputs: Any) -> Any:
            bias = None if module.bias is None else module.bias[channels]
            return module._conv_forward(inputs, module.weight[channels], bias)

        module.forward = forward
        try:
            yield
        finally:
            del module.forward

    def final_activation(self, path: str) -> str | None:
        module = self._by_path.get(path)
        if isinstance(module, nn.Softmax | nn.LogSoftmax | nn.Softmax2d):
            return SOFTMAX
        return SIGMOID if isinstance(module, nn.Sigmoid) else None

    def inner_preprocessing(self) -> tuple[str, str] | None:
        return None

    @contextmanager
    def linear_head(self, head: Head) -> Iterator[None]:
        if head.layer is None:
            yield
        else:
            with self.tap([head.layer], lambda path, arguments, raw: arguments[0]):
                yield
