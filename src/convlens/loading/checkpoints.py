"""PyTorch files -> a module: weights out of the file, the architecture from the user."""

import copy
import pickle
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from convlens.backend import keras_ready
from convlens.errors import ModelError
from convlens.loading import sniff
from convlens.loading.files import RANDOM, Request
from convlens.loading.loaded import Filling, Loaded
from convlens.loading.memory import called, in_memory

WRAPPINGS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "params_ema",
             "ema", "weights", "params")  # fmt: skip
COUNTERS = ("num_batches_tracked", "total_ops", "total_params")  # the last two are left behind by a profiler
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.")


def open_torch_file(path: Path, kind: str, request: Request) -> Loaded:
    """The module in a PyTorch file, or its weights in the architecture that the user gives.

    Raises:
        ModelError: it cannot be opened.
        BackendError: Keras already runs on another backend than torch.
    """
    keras_ready("torch")
    import torch

    from convlens.loading.torch_archives import QUANTIZED

    content = read_content(path, kind, request.trust)
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
        raise ModelError(_without_architecture(path, kind, list(weights)))
    return _into(request.architecture, weights, path, request)


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


def _without_architecture(path: Path, kind: str, names: list[str]) -> str:
    what = {
        sniff.TORCHSCRIPT: "is TorchScript: its layers are compiled into one program, which cannot be looked into",
        sniff.TORCH_EXPORT: "is a torch.export file: its layers are dissolved into one list of operations",
    }.get(kind, "holds weights alone")
    return (
        f"{path} {what}; give architecture=module:function, torchvision:NAME, timm:NAME or a torch.nn.Module for the"
        f" network that its weights are of ({len(names)} of them: {', '.join(names[:3])}, ...)"
    )


def read_content(path: Path, kind: str, trust: bool) -> Any:
    """What a PyTorch file holds: tensors by name, whatever else lies around them, or with `trust` a module.

    Raises:
        ModelError: it is damaged, or a pickle that would run code.
    """
    from convlens.loading import torch_archives

    if kind == sniff.TORCHSCRIPT:
        return torch_archives.script_weights(path)
    if kind == sniff.TORCH_EXPORT:
        return torch_archives.exported_weights(path)
    if kind == sniff.SAFETENSORS:
        return torch_archives.safetensors_weights(path)
    return _unpickled(path, trust)


def _unpickled(path: Path, trust: bool) -> Any:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL\s+`?([\w.]*\w)|(?:class|type)\s+`?([\w.]*\w)", str(error))
        asked = f"it asks for {named.group(1) or named.group(2)}" if named else str(error).splitlines()[0][:120]
        raise ModelError(
            f"{path} is a pickle that would run code to be opened ({asked}); if you trust the file, load it with"
            " trust=True (--trust), or save model.state_dict() instead"
        ) from error
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise ModelError(f"{path} is a damaged PyTorch file ({reason}); get the file again") from error


def state_dict_in(content: Any, depth: int = 0) -> dict[str, Any]:
    """The tensors by name in a checkpoint: in itself, or in one of its entries."""
    import torch

    if not isinstance(content, dict) or depth > 3:
        return {}
    direct = {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}
    if direct and any("." in key for key in direct):
        return direct
    entries = [content[key] for key in WRAPPINGS if key in content]
    entries += [value for key, value in content.items() if key not in WRAPPINGS]
    for value in entries:
        found = state_dict_in(value, depth + 1)
        if found:
            return found
    return direct


def _into(architecture: Any, weights: dict[str, Any], path: Path, request: Request) -> Loaded:
    """The weights in an architecture, which is a name, a function, or a module that is left as it is."""
    loaded = _architecture(architecture, None)
    try:
        filling = load_state(loaded.model, weights, path.name)
    except _OtherClasses as other:
        if not isinstance(architecture, str) or not architecture.startswith(("torchvision:", "timm:")):
            raise
        loaded = replace(_architecture(architecture, other.classes), labels=None, labels_source=None)
        filling = load_state(loaded.model, weights, path.name)
    notes = (*loaded.notes, *filling.notes)
    return replace(loaded, source=str(path), notes=notes, untrained=filling.layers)


def _architecture(architecture: Any, classes: int | None) -> Loaded:
    from convlens.loading import zoo

    if isinstance(architecture, str) and architecture.startswith(("torchvision:", "timm:")):
        return zoo.torch_zoo(architecture, RANDOM, classes)
    by_name = isinstance(architecture, str | Path)
    loaded = called(architecture) if by_name else in_memory(copy.deepcopy(architecture))
    if loaded.framework != "torch":
        raise ModelError(f"the weights are of a PyTorch module, and {architecture} gives a {loaded.framework} model")
    return loaded


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
    from convlens.network.torch.modules import unwrapped

    inner = unwrapped(model)
    own = inner.state_dict()
    given = unprefixed(weights, set(own))
    shared = [key for key in own if key in given]
    if not shared:
        raise ModelError(
            f"no weight of the architecture is in {name} (its weights: {', '.join(list(weights)[:3])}, ...; the"
            f" architecture's: {', '.join(list(own)[:3]) or 'none'}); give the architecture that the weights are of"
        )
    wrong = [key for key in shared if own[key].shape != given[key].shape]
    if wrong:
        key = wrong[-1]
        message = (
            f"the weights do not fit: {wrong[0]} takes {tuple(own[wrong[0]].shape)}, {name} has"
            f" {tuple(given[wrong[0]].shape)}; give the architecture that the weights are of"
        )
        last = {key.rsplit(".", 1)[0] for key in wrong}
        if len(last) == 1 and given[key].ndim and own[key].shape[1:] == given[key].shape[1:]:
            raise _OtherClasses(message, int(given[key].shape[0]))
        raise ModelError(message)
    filling = _filling(inner, own, given, name)
    inner.load_state_dict({key: given[key] for key in shared}, strict=False)
    return filling


def _filling(model: Any, own: dict[str, Any], given: dict[str, Any], name: str) -> Filling:
    """What is left over on either side. Whole numbers and counters are no weights: indices, masks, statistics."""

    def owners(keys: list[str], tensors: dict[str, Any]) -> list[str]:
        weights = [key for key in keys if tensors[key].is_floating_point() and key.rpartition(".")[2] not in COUNTERS]
        return list(dict.fromkeys(key.rpartition(".")[0] for key in weights))

    missing = owners([key for key in own if key not in given], own)
    unused = owners([key for key in given if key not in own], given)
    return Filling(name, tuple((path or "itself", model.get_submodule(path)) for path in missing), tuple(unused))


def unprefixed(weights: dict[str, Any], wanted: set[str]) -> dict[str, Any]:
    """The same weights without the prefixes of DataParallel, torch.compile and the like, as far as that helps."""
    found = weights
    for _ in range(3):  # wrappers lie around wrappers
        peeled = [
            {key.removeprefix(prefix): value for key, value in found.items()}
            for prefix in PREFIXES
            if all(key.startswith(prefix) for key in found)
        ]
        options = [found, *peeled, *({k.removeprefix(p): v for k, v in found.items()} for p in PREFIXES)]
        best = max(options, key=lambda option: len(wanted & set(option)))
        if not wanted & set(best) and peeled:
            best = peeled[0]
        found = best
    return found
