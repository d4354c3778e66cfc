"""Models that Python code makes: an object in memory, or what a function returns."""

import os
import sys
from typing import Any

from convlens.backend import choose, keras_ready
from convlens.errors import ConvlensError, ModelError, reason
from convlens.loading.imports import import_object
from convlens.loading.loaded import Loaded
from convlens.loading.objects import described


def is_torch_module(source: Any) -> bool:
    """Whether an object is a `torch.nn.Module` and no Keras model, without importing a framework for the question."""
    torch, keras = sys.modules.get("torch"), sys.modules.get("keras")
    if keras is not None and isinstance(source, keras.Model):
        return False  # under the torch backend it is a module of PyTorch, too
    return torch is not None and isinstance(source, torch.nn.Module)


def in_memory(source: Any) -> Loaded:
    """A model in memory.

    Raises:
        ModelError: it is no model.
        BackendError: it is a PyTorch module, and Keras runs on another backend.
    """
    name = type(source).__name__
    if is_torch_module(source):
        keras_ready("torch")
        from convlens.network.torch.modules import unwrapped

        inner = unwrapped(source)
        return Loaded(source, "torch", type(inner).__name__, **described(inner))
    keras = keras_ready()
    if isinstance(source, keras.Model):
        return Loaded(source, "keras", source.name, loss=getattr(source, "loss", None))
    expected = "a path, a name, a keras.Model or a torch.nn.Module"
    raise ModelError(f"expected {expected}, got {name}", expected=expected, received=name)


def called(text: str) -> Loaded:
    """The model that the function of "module:function" or "file.py:function" returns.

    Raises:
        ModelError: there is no such function, it fails, or it returns something else.
        BackendError: it returns a PyTorch module, and Keras runs on another backend.
    """
    unset = "keras" not in sys.modules and "KERAS_BACKEND" not in os.environ
    if unset:
        os.environ["KERAS_BACKEND"] = choose()  # the module may import Keras
    try:
        function = import_object(text)
        model = function() if callable(function) and not is_torch_module(function) else function
    except ConvlensError:
        raise
    except Exception as error:
        raise ModelError(f"{text} failed: {reason(error, named=True)}") from error
    finally:
        if unset and "keras" not in sys.modules:
            del os.environ["KERAS_BACKEND"]  # it did not, so that the model may still choose
    return in_memory(model)
