"""A path, a name or an object -> a model, with all that its source says about it."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from convlens.errors import ConvlensError, ModelError
from convlens.network.loading import sniff
from convlens.network.loading.loaded import Loaded

__all__ = ["Loaded", "framework_needed", "open_model"]

BUNDLED = Path(__file__).parents[2] / "bundled" / "cats_and_dogs_small.keras"


def framework_needed(source: Any) -> str | None:
    """What a source needs, without importing a framework: "torch", "keras", or None where it cannot be told."""
    if isinstance(source, str | Path):
        prefix = str(source).partition(":")[0]
        if prefix in ("torchvision", "timm"):
            return "torch"
        if prefix == "keras" or str(source) == "bundled":
            return "keras"
        if not Path(source).exists():
            return None
        return "torch" if sniff.sniff(Path(source)) in sniff.TORCH_KINDS else "keras"
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(source, torch.nn.Module):
        return "torch"
    return "keras"


def open_model(
    source: Any,
    *,
    weights: str | Path | None = None,
    architecture: Any = None,
    custom: Sequence[str] = (),
    trust: bool = False,
) -> Loaded:
    """Opens a network.

    Args:
        source: the path of a file, "keras:NAME", "torchvision:NAME", "timm:NAME", "module:function", "bundled", a
            `keras.Model` or a `torch.nn.Module`.
        weights: a file of weights; for a network by name also "random", for an untrained one.
        architecture: for a file of weights: a file, a name, or a module in memory.
        custom: "module:object" of classes and functions that a Keras file names.
        trust: run the code that the file brings along.

    Raises:
        ModelError: it cannot be opened; the message says what would help.
        BackendError: the model needs another backend than the one that runs.
    """
    try:
        if isinstance(source, str | Path):
            return _named(source, weights, architecture, custom, trust)
        return _in_memory(source)
    except ConvlensError:
        raise
    except (Exception, RecursionError) as error:
        reason = (str(error).strip().splitlines() or [""])[0][:300]
        raise ModelError(f"{source} cannot be loaded: {type(error).__name__}: {reason}") from error


def _in_memory(source: Any) -> Loaded:
    from convlens.backend import keras_ready

    name = type(source).__name__
    if framework_needed(source) == "torch":
        keras_ready("torch")
        return Loaded(source, "torch", name)
    keras = keras_ready()
    if isinstance(source, keras.Model):
        return Loaded(source, "keras", source.name)
    raise ModelError(f"expected a path, a name, a keras.Model or a torch.nn.Module, got {name}")


def _named(source: str | Path, weights: Any, architecture: Any, custom: Sequence[str], trust: bool) -> Loaded:
    from convlens.network.loading import zoo

    text = str(source)
    prefix = text.partition(":")[0]
    if prefix == "keras":
        return zoo.keras_zoo(text, weights)
    if prefix in zoo.ZOOS:
        return zoo.torch_zoo(text, weights)
    path = BUNDLED if text == "bundled" else Path(source)
    if not path.exists() and ":" in text:
        return replace(_in_memory(_call(text)), source=text)
    return _file(path, text)


def _file(path: Path, text: str) -> Loaded:
    from convlens.network.loading.keras_files import load_keras
    from convlens.network.loading.metadata import sha256, with_surroundings

    sniff.sniff(path)
    return replace(with_surroundings(load_keras(path), path), source=text, sha256=sha256(path))


def _call(text: str) -> Any:
    """What the function of "module:function" returns."""
    module, _, name = text.rpartition(":")
    try:
        found: ModuleType = importlib.import_module(module)
        return getattr(found, name)()
    except (ImportError, AttributeError) as error:
        raise ModelError(f"{text}: {error}; {sniff.EXPECTED}") from error
