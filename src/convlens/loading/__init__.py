"""A path, a name or an object -> a model, with all that its source says about it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from convlens.data.labels import imagenet_names
from convlens.errors import ConvlensError, ModelError
from convlens.loading import memory, sniff
from convlens.loading.files import RANDOM, UNTRAINED, Request, open_file
from convlens.loading.loaded import Loaded

__all__ = ["Loaded", "framework_needed", "open_model"]

CALL = re.compile(r"[\w./\\~ -]+:[A-Za-z_][\w.]*")  # module:function; "C:\\model.h5" is none
BUNDLED = Path(__file__).parents[1] / "bundled" / "cats_and_dogs_small.keras"


def framework_needed(source: Any) -> str | None:
    """The framework of a source, found without importing any.

    Returns:
        "torch" for a PyTorch file, name or module, "keras" for a Keras one, None where it cannot be told.

    Raises:
        ModelError: it is a file, but not of a model.
    """
    if not isinstance(source, str | Path):
        return "torch" if memory.is_torch_module(source) else "keras"
    text = str(source)
    prefix = text.partition(":")[0]
    if prefix in ("torchvision", "timm"):
        return "torch"
    if prefix == "keras" or text == "bundled":
        return "keras"
    if not Path(source).exists():
        return None
    return "torch" if sniff.sniff(Path(source)) in sniff.TORCH_KINDS else "keras"


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
        source: the path of a file, "keras:NAME", "torchvision:NAME", "timm:NAME", "module:function", "bundled",
            a `keras.Model` or a `torch.nn.Module`.
        weights: a file of weights; for a network by name also "random", for an untrained one.
        architecture: for a file of weights: a file, a name, or a model in memory, which is not changed.
        custom: "module:object" of classes and functions that a Keras file names.
        trust: run the code that the file brings along.

    Raises:
        ModelError: it cannot be opened; the message says what would help.
        BackendError: the model needs another backend than the one that runs.
    """
    request = Request(weights, architecture, custom, trust)
    try:
        loaded = _named(source, request) if isinstance(source, str | Path) else memory.in_memory(source)
    except ConvlensError:
        raise
    except (Exception, RecursionError) as error:
        reason = (str(error).strip().splitlines() or [""])[0][:300]
        raise ModelError(f"{source} cannot be loaded: {type(error).__name__}: {reason}") from error
    return _with_usual_names(loaded)


def _named(source: str | Path, request: Request) -> Loaded:
    text = str(source)
    prefix = text.partition(":")[0]
    if prefix in ("keras", "torchvision", "timm") and ":" in text:
        return _zoo(text, prefix, request)
    path = BUNDLED if text == "bundled" else Path(source)
    if not path.exists() and CALL.fullmatch(text):
        loaded = replace(memory.called(text), source=text)
        return _filled(loaded, request) if request.weights and str(request.weights) != RANDOM else loaded
    return replace(open_file(path, request), source=text)


def _zoo(text: str, prefix: str, request: Request) -> Loaded:
    """A network by name: with its own weights, untrained, or with the weights of a file."""
    from convlens.loading import zoo

    if request.weights is None or str(request.weights) == RANDOM:
        loaded = zoo.keras_zoo(text, request.weights) if prefix == "keras" else zoo.torch_zoo(text, request.weights)
        return replace(loaded, notes=(*loaded.notes, UNTRAINED)) if request.weights else loaded
    return _filled(Loaded(None, prefix, text), request)


def _filled(loaded: Loaded, request: Request) -> Loaded:
    """The architecture of a source with the weights of a file."""
    architecture = loaded.model if loaded.model is not None else loaded.source
    path = Path(request.weights or "")
    return replace(open_file(path, replace(request, weights=None, architecture=architecture)), source=loaded.source)


def _with_usual_names(loaded: Loaded) -> Loaded:
    """ImageNet's names for a Keras model with 1000 outputs of which nothing else is known."""
    shape = getattr(loaded.model, "output_shape", None) if loaded.framework == "keras" else None
    if loaded.labels is not None or not isinstance(shape, tuple) or len(shape) != 2 or shape[-1] != 1000:
        return loaded
    return replace(loaded, labels=imagenet_names(), labels_source="ImageNet's 1000 classes, by their number")
