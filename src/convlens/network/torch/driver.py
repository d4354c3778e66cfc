"""Any PyTorch module, through forward hooks."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from convlens.network.driver import Driver, OnOutput
from convlens.network.layers import SIGMOID, SOFTMAX, InputSpec, LayerDescription, base_path
from convlens.network.torch.facts import find_facts
from convlens.network.torch.modules import described, laid_out
from convlens.network.torch.runner import Runner
from convlens.network.torch.tokens import FIRST, LAST, Sides, Tokens, spread


class TorchDriver(Driver):
    """An `nn.Module` that takes images (batch, channels, height, width).

    Args:
        source: how the user named the module.
        input_shape: the user's shapes of the inputs.
        input_size: height and width in pixels that the module's makers say.

    Raises:
        ModelError: its layers cannot be seen, or it runs on no size that was tried.
    """

    framework = "torch"

    def __init__(self, model: Any, source: str, *, input_shape: Any = None, input_size: Sides | None = None) -> None:
        names = list(input_shape) if isinstance(input_shape, dict) else None
        self._runner = Runner(model, source, names)
        self._by_path = self._runner.by_path
        self._facts = find_facts(self._runner, source, input_shape, input_size)
        self.model, self.input_size, self.notes = model, self._facts.input_size, self._facts.notes

    def to_last(self, tensor: Any, call: str | None = None) -> Any:
        layout = self._facts.layouts.get(call or "", FIRST)
        if isinstance(layout, Tokens):
            grid = layout.grid(tensor.shape[1], self._runner.running) if len(tensor.shape) == 3 else None
            return spread(tensor, layout.prefix, grid) if grid else tensor
        return tensor if layout == LAST else super().to_last(tensor)

    def from_last(self, tensor: Any, call: str | None = None, raw: Any = None) -> Any:
        layout = self._facts.layouts.get(call or "", FIRST)
        if isinstance(layout, Tokens) and len(tensor.shape) == 4:
            tensor = torch.cat([raw[:, : layout.prefix], tensor.flatten(1, 2)], 1)
        elif layout == FIRST:
            tensor = super().from_last(tensor)
        return laid_out(tensor, raw) if raw is not None or self._facts.in_order else tensor

    def with_batch_axis(self, outputs: list[Any], images: int) -> list[Any]:
        axes = self._facts.axes
        if images > 1 or len(outputs) != len(axes):
            return outputs
        # an image alone has lost its axis where the module squeezes
        return [
            output[None] if output.ndim == count - 1 else output for output, count in zip(outputs, axes, strict=True)
        ]

    def prefix(self, call: str) -> int:
        layout = self._facts.layouts.get(call)
        return layout.prefix if isinstance(layout, Tokens) else 0

    @property
    def paths(self) -> list[str]:
        return list(self._by_path)

    def path_of(self, layer: Any) -> str:
        return next((path for path, module in self._by_path.items() if module is layer), "")

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return self._facts.inputs

    @property
    def channels_first(self) -> bool:
        return True

    @property
    def variables(self) -> list[Any]:
        return []

    def probe_size(self) -> tuple[int, int]:
        return self._facts.sides

    def describe(self, path: str) -> LayerDescription:
        return described(self._by_path[base_path(path, self.paths)])

    def tap(self, paths: Iterable[str], on_output: OnOutput) -> AbstractContextManager[None]:
        return self._runner.tap(paths, on_output)

    def run(self, inputs: Sequence[Any]) -> Any:
        return self._runner.run(inputs)

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

    def can_compute_only(self, path: str) -> bool:
        module = self._by_path.get(path)
        return type(module) is nn.Conv2d and module.groups == 1 and "forward" not in vars(module)

    @contextmanager
    def only_channels(self, path: str, channels: Any) -> Iterator[None]:
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

    def weights(self, path: str) -> dict[str, np.ndarray]:
        values = self._by_path[path].state_dict()
        return {name: value.detach().float().cpu().numpy() for name, value in values.items() if torch.is_tensor(value)}

    def inner_preprocessing(self) -> tuple[str, str] | None:
        return None

    def linear_head(self, path: str) -> AbstractContextManager[None]:
        return self.tap([path], lambda path, arguments, raw: arguments[0])
