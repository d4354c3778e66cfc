"""Picks the framework, and gives the few things that differ between TensorFlow, JAX and PyTorch.

The frameworks' modules all provide:
    gradients(fn, relu=None): fn(x, *arguments) -> (scores, rest) becomes (x, *arguments) -> (scores, rest, grads), with
        the gradients (scores, *x.shape) of a vector of scores by x; with a rule of RELU_RULES, ReLUs pass back other
        gradients than theirs, or ModelError is raised.
    compiled(fn, variables): the same function, traced once for each shape; `variables` are those that fn reads.
    trace(fn, tensors): runs fn for what it notes on its way, computing as little as the framework allows.
    forward_only(): a context in which nothing is kept for gradients.
    differentiable(model): a context in which gradients by inputs work, whatever the caller or the model's flags
        say, and in which no gradient by weights is prepared.
    seeded(seed): a context in which the framework's own random numbers start from a seed.
    optimized_call(layer, channels=None): a better `call` for a Keras layer, faster or where its own does not run;
        None where there is none.
    gains_by_bfloat16(): whether the device computes faster in bfloat16 than in float32.
    calls_at_once(): how many compiled functions are best under way at the same time.
    versions(), device(): words for the provenance.
"""

import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType

from convlens.errors import BackendError, ModelError

BACKENDS = ("tensorflow", "jax", "torch")
RELU_RULES = ("guided", "deconvnet")  # max(g, 0) where the ReLU's input is above 0, and everywhere
INSTALL = 'pip install "convlens[cpu]" (TensorFlow), "convlens[jax]" or "convlens[torch]"'


def _installed(name: str) -> bool:
    return name in sys.modules or importlib.util.find_spec(name) is not None


def _configured() -> str | None:
    """The backend of Keras's own configuration file, if there is one."""
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        return json.loads((home / "keras.json").read_text()).get("backend")
    except (OSError, ValueError, AttributeError):
        return None


def choose(need: str | None = None) -> str:
    """The backend to use: KERAS_BACKEND, else Keras's configuration, else the first that is installed.

    Keras writes its configuration file by itself, so an entry there for a framework that is not installed is
    no wish of the user's and is passed over.

    Args:
        need: "torch" for a PyTorch model, which runs under no other backend.

    Raises:
        BackendError: none is installed, or another one is set than the model needs.
    """
    wanted = os.environ.get("KERAS_BACKEND")
    if wanted:
        if wanted not in BACKENDS:
            raise BackendError(f"KERAS_BACKEND is {wanted!r}; expected one of {', '.join(BACKENDS)}")
        if not _installed(wanted):
            raise BackendError(f"KERAS_BACKEND is {wanted!r}, which is not installed; install it: {INSTALL}")
    elif need == "torch":
        wanted = "torch"
        if not _installed(wanted):
            raise BackendError('a PyTorch model needs PyTorch, which is not installed: pip install "convlens[torch]"')
    else:
        order = [_configured(), *BACKENDS]
        wanted = next((name for name in order if name in BACKENDS and _installed(name)), None)
        if wanted is None:
            raise BackendError(f"no backend is installed (looked for {', '.join(BACKENDS)}): {INSTALL}")
    return wanted


def keras_ready(need: str | None = None) -> ModuleType:
    """Keras, imported under the backend that `choose` picks.

    Args:
        need: "torch" for a PyTorch model.

    Raises:
        BackendError: no backend can be used, or Keras already runs on another one than the model needs.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = choose(need)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        keras = importlib.import_module("keras")
    except ImportError as error:
        raise BackendError(f"Keras cannot be imported ({error}): {INSTALL}") from error
    running = keras.backend.backend()
    if need == "torch" and running != "torch":
        raise BackendError(
            f"a PyTorch model needs the torch backend, and Keras already runs on {running}; set"
            " KERAS_BACKEND=torch before Keras is imported, in a new process"
        )
    if running not in BACKENDS:
        raise BackendError(f"Keras runs on {running!r}; convlens works on {', '.join(BACKENDS)}")
    return keras


def unchanged_relus(what: str) -> ModelError:
    """The error of a rule for ReLUs that cannot be followed.

    Args:
        what: was found instead.
    """
    return ModelError(
        f"guided backprop and deconvnet change what ReLUs pass back, and {what}; the plain gradient is method gradient"
    )


def current() -> ModuleType:
    """The module of the backend that Keras runs on."""
    return importlib.import_module(f"convlens.backend.{keras_ready().backend.backend()}")
