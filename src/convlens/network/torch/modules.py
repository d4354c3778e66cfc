"""PyTorch modules as they come: wrapped, compiled, quantized, random."""

import inspect
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.parameter import UninitializedParameter
from torch.optim.swa_utils import AveragedModel

from convlens.errors import ModelError, listing
from convlens.network.layers import LayerDescription, role_of
from convlens.network.torch.tokens import FIRST, LAST

WRAPPERS = (nn.DataParallel, DistributedDataParallel, AveragedModel)
COMPILED = "_orig_mod"  # where torch.compile keeps the module that it wraps


def argument_names(module: nn.Module) -> list[str]:
    """The names of the arguments that a module takes one after the other."""
    try:
        arguments = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):  # of compiled code
        return []
    positional = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [argument.name for argument in arguments if argument.kind in positional]


def unwrapped(model: Any) -> Any:
    """The module inside of torch.compile, DataParallel and the like, which only pass on what it puts out."""
    while True:
        if isinstance(getattr(model, COMPILED, None), nn.Module):
            model = getattr(model, COMPILED)
        elif isinstance(model, WRAPPERS):
            model = model.module
        else:
            return model


def modules_by_path(module: Any) -> dict[str, Any]:
    """All modules inside of one by their path; one that was compiled by itself has the path that it had before."""
    modules = {}
    for path, inner in module.named_modules():
        parts = [part for part in path.split(".") if part != COMPILED]
        if path and parts:
            modules[".".join(parts)] = inner
    return modules


def check_can_be_looked_into(module: Any, source: str) -> None:
    """
    Raises:
        ModelError: its layers cannot be seen or differentiated, or have no weights yet.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise ModelError(
            f"{source} is TorchScript: its layers are compiled into one program, which cannot be looked into; give the"
            " torch.nn.Module that it was made of"
        )
    quantized = [
        f"{path or 'the module itself'} ({type(inner).__name__})"
        for path, inner in module.named_modules()
        if "quantized" in type(inner).__module__.split(".")
    ]
    if quantized:
        raise ModelError(
            f"{source} is quantized: {listing(quantized, 3)} compute with integers, which have no gradients to look by;"
            " give the float module that it was made of"
        )
    if any(isinstance(weight, UninitializedParameter) for weight in module.parameters()):
        raise ModelError(
            f"{source} has lazy layers that have no weights yet; run it once on an input of the right size, or load"
            " its weights, before it is looked into"
        )


def uncompiled(module: Any) -> AbstractContextManager[None]:
    """A context in which modules that were compiled by torch.compile run as they were written, so that hooks act.

    Raises:
        ModelError: PyTorch is too old for it.
    """
    compiled = any(
        hasattr(inner, COMPILED) or getattr(inner, "_compiled_call_impl", None) is not None
        for inner in module.modules()
    )
    if not compiled:
        return nullcontext()
    if not hasattr(torch.compiler, "set_stance"):
        raise ModelError(
            f"a part of the network is compiled by torch.compile, which PyTorch {torch.__version__} cannot undo; give"
            " the module as it was before, or install PyTorch 2.6 or later"
        )
    return torch.compiler.set_stance("force_eager")


def random_state() -> bytes:
    """Changes whenever a random number is drawn."""
    states = [torch.get_rng_state()]
    if torch.cuda.is_initialized():
        states += torch.cuda.get_rng_state_all()
    return b"".join(state.numpy().tobytes() for state in states)


def laid_out(tensor: Any, like: Any = None) -> Any:
    """The same values in memory as another tensor of its shape has them, or one axis after the other.

    `contiguous()` is not enough: it takes the strides of an axis of one channel as they are, and a convolution then
    takes the tensor for one with its channels last.
    """
    if like is None:
        strides, step = [], 1
        for side in reversed(tensor.shape):
            strides.append(step)
            step *= side
        same = list(tensor.stride()) == strides[::-1]
        return tensor if same else tensor.clone(memory_format=torch.contiguous_format)
    if tensor.shape != like.shape or tensor.stride() == like.stride():
        return tensor
    return torch.empty_like(like, dtype=tensor.dtype, requires_grad=False).copy_(tensor)


def alike(first: list[Any], second: list[Any]) -> bool:
    """Whether outputs are the same but for rounding."""
    if [tensor.shape for tensor in first] != [tensor.shape for tensor in second]:
        return False
    for output, other in zip(first, second, strict=True):
        share = 5e-2 if output.dtype in (torch.float16, torch.bfloat16) else 1e-3
        output, other = output.double(), other.double()
        most = float(output[output.isfinite()].abs().max()) if output.isfinite().any() else 0.0
        if not torch.allclose(output, other, rtol=0, atol=share * most, equal_nan=True):
            return False
    return True


def class_layout(module: nn.Module) -> str | None:
    """The layout in which a layer's class works, where it is sure."""
    if isinstance(module, nn.modules.conv._ConvNd | nn.modules.batchnorm._BatchNorm | nn.GroupNorm):
        return FIRST
    return LAST if type(module) in (nn.Linear, nn.LayerNorm) else None


def described(module: nn.Module) -> LayerDescription:
    """What PyTorch says of a layer without running it."""
    kind, container = type(module).__name__, next(module.children(), None) is not None
    role = role_of(kind, container, [weight.ndim for weight in module.parameters()])
    return LayerDescription(kind, role, sum(weight.numel() for weight in module.parameters()), container)
