"""The network that a command works on."""

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import convlens
from convlens.cli.output import stages
from convlens.cli.quiet import hushed
from convlens.cli.shapes import parse_shapes
from convlens.cli.timings import lap

if TYPE_CHECKING:
    from convlens.loading import Source
    from convlens.network.network import Network


LOADING = ("preprocess", "labels", "weights", "architecture", "custom", "trust", "partial", "head")


def load(model: str, options: dict[str, Any]) -> "Network":
    from convlens.loading import find_source

    with stages() as begin:
        begin(f"loading {model}")
        source = find_source(model)
        _start_framework(source)
        lap("import of the framework")
        with redirect_stdout(sys.stderr):  # Keras says there what it downloads, and stdout may be for JSON
            given = {name: options[name] for name in LOADING}
            network = convlens.load(source, input_shape=parse_shapes(options["input_shape"]), **given)
    lap("loading the network")
    return network


def _start_framework(source: "Source") -> None:
    """Imports the framework that the model needs, without what it writes on its way."""
    from convlens.backend import keras_ready

    needed = "torch" if source.framework == "torch" else None
    with hushed():
        keras_ready(needed).ops.zeros(1)
