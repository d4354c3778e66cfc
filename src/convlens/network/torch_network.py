"""Any PyTorch module, through forward hooks."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from keras import tree
from torch import nn

from convlens.errors import ModelError
from convlens.network.base import Network, OnOutput
from convlens.network.head import SIGMOID, SOFTMAX, Head
from convlens.network.layers import CONVOLUTION, OTHER, POOLING, Calls, InputSpec, base_path, given_specs
from convlens.network.tokens import FIRST, LAST, Layout, Sides, Tokens, find_layouts, spread

# sides in pixels of the inputs that published networks take, the commonest first
SIDES = (224, 32, 28, 64, 96, 128, 100, 227, 299, 256, 150, 48, 112, 160, 384, 512)
TALLER = 32  # pixels that a second, taller input has more: as many as most networks shrink by


class TorchNetwork(Network):
    """An `nn.Module` that takes images (batch, channels, height, width)."""

    framework = "torch"

    def __init__(
        self, model: Any, source: str, *, input_shape: Any = None, input_size: Any = None, **options: Any
    ) -> None:
        super().__init__(model, source, **options)
        self._module = model.module if isinstance(model, nn.DataParallel) else model
        self._by_path = {path: module for path, module in self._module.named_modules() if path}
        self._running: Sides = (1, 1)
        self._layouts: dict[str, Layout] = {}
        self._sides: Sides = tuple(input_size or SIDES[:1] * 2)  # pyright: ignore[reportAttributeAccessIssue]
        if input_shape is None:
            self._specs = (InputSpec("input", (None, None, self._channels())),)
            self._find_sides()
        else:
            self._specs = given_specs(input_shape)
        self._find_layouts()

    def _channels(self) -> int:
        """The channels that the first convolution takes."""
        for module in self._by_path.values():
            weight = getattr(module, "weight", None)
            if isinstance(module, nn.modules.conv._ConvNd) or (weight is not None and weight.ndim == 4):
                return weight.shape[1] * getattr(module, "groups", 1)
        raise ModelError(
            f"{self.source} has no convolution to tell its input by; give input_shape=(height, width, channels)"
        )

    def _find_sides(self) -> None:
        """Takes the first usual size on which the network runs: modules do not tell what they were trained on.

        Raises:
            ModelError: it runs on none of them.
        """
        problem = ""
        for height, width in (self._sides, *((side, side) for side in SIDES)):
            try:
                self._output_shapes(height, width)
            except Exception as error:  # whatever the user's modules raise
                problem = problem or (str(error).splitlines() or [type(error).__name__])[0]
                continue
            self._sides = height, width
            return
        raise ModelError(
            f"{self.source} runs on none of the usual input sizes ({problem});"
            " give input_shape=(height, width, channels)"
        )

    def _output_shapes(self, height: int, width: int) -> dict[str, tuple[int, ...]]:
        """What each call of a layer puts out for one image of this size."""
        shapes: dict[str, tuple[int, ...]] = {}
        calls = Calls()

        def note(path: str, arguments: tuple, raw: Any) -> Any:
            call = calls.name(path)
            first = next((part for part in tree.flatten(raw) if isinstance(part, torch.Tensor)), None)
            if first is not None:
                shapes[call] = tuple(first.shape)
            return raw

        with self.reading(), self.tap(self.paths, note):
            outputs = self.forward(self.tensors(self.input_arrays(1, height, width)))
        if any(len(output.shape) and output.shape[0] != 1 for output in outputs or []):
            raise ValueError(f"an image of {height}x{width} comes out as several")  # view(-1, features) does that
        return shapes

    def _find_layouts(self) -> None:
        """How the outputs lie in memory, and whether inputs of any size go, from two sizes of the input."""
        if not any(spec.is_image for spec in self._specs):
            return
        height, width = self.input_arrays(1)[self.image_input].shape[1:3]
        taller: dict[str, tuple[int, ...]] = {}
        try:
            shapes = self._output_shapes(height, width)
        except Exception:  # said by whoever looks next, with the size that was asked for
            return
        try:
            taller = self._output_shapes(height + TALLER, width)
        except Exception:
            self._specs = tuple(
                InputSpec(spec.name, (height, width, spec.shape[2])) if None in spec.shape else spec
                for spec in self._specs
            )
        hints = {call: self._hint(call) for call in shapes}
        self._layouts = find_layouts(shapes, taller, (height, width), {c: h for c, h in hints.items() if h})

    def _hint(self, call: str) -> str | None:
        """The layout in which a layer's class works, where it is sure."""
        module = self._by_path[base_path(call, self.paths)]
        if isinstance(module, nn.modules.conv._ConvNd | nn.modules.batchnorm._BatchNorm | nn.GroupNorm):
            return FIRST
        return LAST if type(module) in (nn.Linear, nn.LayerNorm) else None

    def to_last(self, tensor: Any, call: str | None = None) -> Any:
        layout = self._layouts.get(call or "", FIRST)
        if isinstance(layout, Tokens):
            grid = layout.grid(tensor.shape[1], self._running) if len(tensor.shape) == 3 else None
            return spread(tensor, layout.prefix, grid) if grid else tensor
        return tensor if layout == LAST else super().to_last(tensor)

    def from_last(self, tensor: Any, call: str | None = None, raw: Any = None) -> Any:
        layout = self._layouts.get(call or "", FIRST)
        if isinstance(layout, Tokens):
            return torch.cat([raw[:, : layout.prefix], tensor.flatten(1, 2)], 1) if len(tensor.shape) == 4 else tensor
        return tensor if layout == LAST else super().from_last(tensor)

    def prefix(self, call: str) -> int:
        layout = self._layouts.get(call)
        return layout.prefix if isinstance(layout, Tokens) else 0

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
        return self._sides

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
        self._running = next((tuple(tensor.shape[2:]) for tensor in inputs if len(tensor.shape) == 4), (1, 1))
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

    def weights(self, path: str) -> dict[str, np.ndarray]:
        found = self._by_path[path].state_dict()
        return {name: value.detach().float().cpu().numpy() for name, value in found.items() if torch.is_tensor(value)}

    def inner_preprocessing(self) -> tuple[str, str] | None:
        return None

    @contextmanager
    def linear_head(self, head: Head) -> Iterator[None]:
        if head.layer is None:
            yield
        else:
            with self.tap([head.layer], lambda path, arguments, raw: arguments[0]):
                yield
