"""What PyTorch does its own way."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from convlens.backend.memory import freed_memory_kept
from convlens.backend.processor import has_bfloat16
from convlens.backend.torch_layers import optimized_call as optimized_call
from convlens.backend.torch_relus import change_relus


def gradients(fn: Callable, relu: str | None = None) -> Callable:
    def with_gradients(x, *arguments):
        x = x.detach().requires_grad_(True)
        scores, rest = fn(x, *arguments)
        if relu:
            change_relus(scores, relu)
        last = len(scores) - 1
        grads = [
            torch.autograd.grad(score, x, retain_graph=number < last, materialize_grads=True)[0]
            if score.requires_grad
            else torch.zeros_like(x)
            for number, score in enumerate(scores)
        ]
        return scores.detach(), _detached(rest), torch.stack(grads)

    return with_gradients


def _detached(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, dict):
        return {key: _detached(part) for key, part in value.items()}
    return type(value)(_detached(part) for part in value) if isinstance(value, tuple | list) else value


def compiled(fn: Callable, variables: Any = ()) -> Callable:
    return fn  # torch.compile was measured slower here than eager PyTorch, and takes a minute to start


def trace(fn: Callable, tensors: Sequence[Any]) -> None:
    fn(*tensors)


@contextmanager
def forward_only() -> Iterator[None]:
    with torch.inference_mode(False), torch.no_grad():
        yield


@contextmanager
def differentiable(model: Any) -> Iterator[None]:
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in weights:
        weight.requires_grad_(False)
    try:
        kept = nullcontext() if torch.cuda.is_available() else freed_memory_kept()
        with kept, torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)


@contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """A context in which PyTorch's random numbers start from a seed; on leaving they go on as if nothing had been."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


def gains_by_bfloat16() -> bool:
    return torch.cuda.is_bf16_supported(False) if torch.cuda.is_available() else has_bfloat16()


def calls_at_once() -> int:
    return 1  # two would share the hooks of the modules


def versions() -> dict[str, str]:
    return {"torch": torch.__version__}


def device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
