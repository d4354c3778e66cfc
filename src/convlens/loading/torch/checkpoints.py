"""PyTorch files -> a module: weights out of the file, the architecture from the user."""

import copy
import pickle
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from convlens.errors import ModelError, reason
from convlens.loading import sniff
from convlens.loading.loaded import Filling, Loaded
from convlens.loading.memory import called, in_memory
from convlens.loading.request import Request
from convlens.loading.sniff import ModelFile
from convlens.loading.source import FUNCTION, NAME, Source, find_source
from convlens.loading.torch import archives
from convlens.loading.torch.archives import QUANTIZED
from convlens.loading.zoo import torch_zoo
from convlens.network.torch.modules import unwrapped

WRAPPINGS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "params_ema",
             "ema", "weights", "params")  # fmt: skip
COUNTERS = ("num_batches_tracked", "total_ops", "total_params")  # the last two are left behind by a profiler
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.")


def open_torch_file(file: ModelFile, request: Request) -> Loaded:
    """The module in a PyTorch file, or its weights in the architecture that the user gives.

    Raises:
        ModelError: it cannot be opened.
    """
    path, content = file.path, read_content(file, request.trust)
    whole = [content, *(content.values() if isinstance(content, dict) else [])]
    module = next((part for part in whole if isinstance(part, torch.nn.Module)), None)
    if module is not None:
        if has_integer_layers(module):
            raise ModelError(f"{path} {QUANTIZED}")
        return replace(in_memory(module.eval()), source=str(path))
    weights = state_dict_in(content)
    if any(value.is_quantized for value in weights.values()) or has_packed_weights(content):
        raise ModelError(f"{path} {QUANTIZED}")
    if not weights:
        raise ModelError(
            f"{path} holds no weights by name (it holds {_shown(content)}); expected a state_dict, as"
            " torch.save(model.state_dict(), FILE) writes it"
        )
    if request.architecture is None:
        raise ModelError(_without_architecture(file, list(weights)), expected="an architecture")
    return _into(find_source(request.architecture), weights, path)


def has_integer_layers(module: Any) -> bool:
    """Whether a module has layers of torch's quantized kinds in it, at any depth."""
    inner = vars(module).get("_modules", {}).values()  # not .modules(): pickled layers of these kinds come out broken
    return ".quantized." in type(module).__module__ or any(has_integer_layers(part) for part in inner if part)


def has_packed_weights(content: Any, depth: int = 0) -> bool:
    """Whether a checkpoint has the weights of quantized layers, which are no tensors, in it."""
    if not isinstance(content, dict) or depth > 3:
        return False
    return any(
        str(key).endswith("_packed_params") or has_packed_weights(part, depth + 1) for key, part in content.items()
    )


def _shown(content: Any) -> str:
    if isinstance(content, dict):
        return "a dict of " + (", ".join(str(key) for key in list(content)[:5]) or "nothing")
    return type(content).__name__


def _without_architecture(file: ModelFile, names: list[str]) -> str:
    what = {
        sniff.TORCHSCRIPT: "is TorchScript: its layers are compiled into one program, which cannot be looked into",
        sniff.TORCH_EXPORT: "is a torch.export file: its layers are dissolved into one list of operations",
    }.get(file.kind, "holds weights alone")
    return (
        f"{file.path} {what}; give architecture=module:function, torchvision:NAME, timm:NAME or a torch.nn.Module for"
        f" the network that its weights are of ({len(names)} of them: {', '.join(names[:3])}, ...)"
    )


def read_content(file: ModelFile, trust: bool) -> Any:
    """What a PyTorch file holds: tensors by name, whatever else lies around them, or with `trust` a module.

    Raises:
        ModelError: it is damaged, or a pickle that would run code.
    """
    if file.kind == sniff.TORCHSCRIPT:
        return archives.script_weights(file.path)
    if file.kind == sniff.TORCH_EXPORT:
        return archives.exported_weights(file.path)
    if file.kind == sniff.SAFETENSORS:
        return archives.safetensors_weights(file.path)
    return _unpickled(file.path, trust)


def _unpickled(path: Path, trust: bool) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL\s+`?([\w.]*\w)|(?:class|type)\s+`?([\w.]*\w)", str(error))
        asked = f"it asks for {named.group(1) or named.group(2)}" if named else reason(error)
        raise ModelError(
            f"{path} is a pickle that would run code to be opened ({asked}); if you trust the file, load it with"
            " trust=True (--trust), or save model.state_dict() instead"
        ) from error
    except Exception as error:
        raise ModelError(f"{path} is a damaged PyTorch file ({reason(error)}); get the file again") from error


def state_dict_in(content: Any, depth: int = 0) -> dict[str, Any]:
    """The tensors by name in a checkpoint: in itself, or in one of its entries."""
    if not isinstance(content, dict) or depth > 3:
        return {}
    direct = {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}
    if direct and any("." in key for key in direct):
        return direct
    entries = [content[key] for key in WRAPPINGS if key in content]
    entries += [value for key, value in content.items() if key not in WRAPPINGS]
    for value in entries:
        inner = state_dict_in(value, depth + 1)
        if inner:
            return inner
    return direct


def _into(architecture: Source, weights: dict[str, Any], path: Path) -> Loaded:
    """The weights in an architecture, which is a name, a function, or a module that is left as it is."""
    loaded = _architecture(architecture, None)
    try:
        filling = load_state(loaded.model, weights, path.name)
    except _OtherClasses as other:
        if architecture.kind != NAME:
            raise
        loaded = replace(_architecture(architecture, other.classes), labels=None, labels_source=None)
        filling = load_state(loaded.model, weights, path.name)
    notes = (*loaded.notes, *filling.notes)
    return replace(loaded, source=str(path), notes=notes, untrained=filling.layers)


def _architecture(architecture: Source, classes: int | None) -> Loaded:
    if architecture.kind == NAME and architecture.framework == "torch":
        return torch_zoo(architecture.value, True, classes)
    if architecture.file is not None:
        raise ModelError(
            f"the weights are of a PyTorch module, and {architecture} is a file; give architecture=module:function,"
            " torchvision:NAME, timm:NAME or a torch.nn.Module"
        )
    if architecture.kind != NAME:
        by_function = architecture.kind == FUNCTION
        loaded = called(architecture.value) if by_function else in_memory(architecture.value)
        if loaded.framework == "torch":
            return loaded if by_function else replace(loaded, model=copy.deepcopy(loaded.model))
    raise ModelError(f"the weights are of a PyTorch module, and {architecture} gives a keras model")


class _OtherClasses(ModelError):
    """All weights fit but those of the last layer, which has another number of classes."""

    def __init__(self, message: str, classes: int) -> None:
        super().__init__(message)
        self.classes = classes


def load_state(model: Any, weights: dict[str, Any], name: str) -> Filling:
    """Puts weights into a module, in place.

    Args:
        model: a `torch.nn.Module`; what wraps one is looked into.
        weights: tensors by name, with or without the prefixes that wrappers add.
        name: of the file, for messages.

    Raises:
        ModelError: nothing fits, a weight has another shape, or layers go without while weights are left over.
    """
    inner = unwrapped(model)
    own = inner.state_dict()
    stored = unprefixed(weights, set(own))
    shared = [key for key in own if key in stored]
    if not shared:
        raise ModelError(
            f"no weight of the architecture is in {name} (its weights: {', '.join(list(weights)[:3])}, ...; the"
            f" architecture's: {', '.join(list(own)[:3]) or 'none'}); give the architecture that the weights are of"
        )
    wrong = [key for key in shared if own[key].shape != stored[key].shape]
    if wrong:
        key = wrong[-1]
        message = (
            f"the weights do not fit: {wrong[0]} takes {tuple(own[wrong[0]].shape)}, {name} has"
            f" {tuple(stored[wrong[0]].shape)}; give the architecture that the weights are of"
        )
        last = {key.rsplit(".", 1)[0] for key in wrong}
        if len(last) == 1 and stored[key].ndim and own[key].shape[1:] == stored[key].shape[1:]:
            raise _OtherClasses(message, int(stored[key].shape[0]))
        raise ModelError(message)
    filling = _filling(inner, own, stored, name)
    inner.load_state_dict({key: stored[key] for key in shared}, strict=False)
    return filling


def _filling(model: Any, own: dict[str, Any], stored: dict[str, Any], name: str) -> Filling:
    """What is left over on either side. Whole numbers and counters are no weights: indices, masks, statistics."""

    def owners(keys: list[str], tensors: dict[str, Any]) -> list[str]:
        weights = [key for key in keys if tensors[key].is_floating_point() and key.rpartition(".")[2] not in COUNTERS]
        return list(dict.fromkeys(key.rpartition(".")[0] for key in weights))

    missing = owners([key for key in own if key not in stored], own)
    unused = owners([key for key in stored if key not in own], stored)
    return Filling(name, tuple((path or "itself", model.get_submodule(path)) for path in missing), tuple(unused))


def unprefixed(weights: dict[str, Any], wanted: set[str]) -> dict[str, Any]:
    """The same weights without the prefixes of DataParallel, torch.compile and the like, as far as that helps."""
    stripped = weights
    for _ in range(3):  # wrappers lie around wrappers
        peeled = [
            {key.removeprefix(prefix): value for key, value in stripped.items()}
            for prefix in PREFIXES
            if all(key.startswith(prefix) for key in stripped)
        ]
        options = [stripped, *peeled, *({k.removeprefix(p): v for k, v in stripped.items()} for p in PREFIXES)]
        best = max(options, key=lambda option: len(wanted & set(option)))
        if not wanted & set(best) and peeled:
            best = peeled[0]
        stripped = best
    return stripped
