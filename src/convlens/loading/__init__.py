"""A path, a name or an object -> a model, with all that its source says about it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from convlens.errors import ConvlensError, ModelError, reason
from convlens.loading.files import open_file
from convlens.loading.loaded import Loaded
from convlens.loading.memory import called, in_memory
from convlens.loading.request import Request
from convlens.loading.sniff import sniffed
from convlens.loading.source import FUNCTION, OBJECT, Source, find_source
from convlens.loading.zoo import named_network

__all__ = ["Loaded", "Source", "find_source", "open_model"]


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
            a `keras.Model` or a `torch.nn.Module`; or the `Source` that was found for one of these.
        weights: a file of weights; for a network by name also "random", for an untrained one.
        architecture: for a file of weights: a file, a name, or a model in memory, which is not changed.
        custom: "module:object" of classes and functions that a Keras file names.
        trust: run the code that the file brings along.

    Raises:
        ModelError: it cannot be opened; the message says what would help.
        BackendError: the model needs another backend than the one that runs.
    """
    try:
        return _opened(find_source(source), Request(weights, architecture, custom, trust))
    except ConvlensError:
        raise
    except Exception as error:  # whatever a framework makes of a damaged file
        raise ModelError(f"{source} cannot be loaded: {reason(error, 300, named=True)}") from error


def _opened(source: Source, request: Request) -> Loaded:
    if source.kind == OBJECT:
        return in_memory(source.value)
    if source.file is not None:
        loaded = open_file(source.file, request)
    elif request.weights_file is not None:
        loaded = open_file(sniffed(request.weights_file), replace(request, weights=None, architecture=source))
    elif source.kind == FUNCTION:
        loaded = called(source.value)
    else:
        loaded = named_network(source.value, request.untrained)
    return replace(loaded, source=source.value)
