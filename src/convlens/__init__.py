"""See what a convolutional network has learned.

    network = convlens.load("model.keras")
    network.predict("cat.jpg")                          what it says of the image
    convlens.activations(network, "cat.jpg")            what each layer makes of an image
    convlens.filter_patterns(network, "conv2d_5")       what each filter looks for
    convlens.heatmap(network, "cat.jpg")                where in the image a class comes from
    convlens.report(network, ["cat.jpg"], "report/")    all of it on a page

Importing convlens imports no framework; that happens at the first call.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convlens.api import activations as activations
    from convlens.api import filter_patterns as filter_patterns
    from convlens.api import heatmap as heatmap
    from convlens.api import load as load
    from convlens.api import report as report
    from convlens.data.predictions import Prediction as Prediction
    from convlens.data.predictions import Predictions as Predictions
    from convlens.errors import ConvlensError as ConvlensError

__version__ = "0.1.0"

_HOMES = {
    **dict.fromkeys(["load", "activations", "filter_patterns", "heatmap", "report"], "convlens.api"),
    **dict.fromkeys(["Prediction", "Predictions"], "convlens.data.predictions"),
    "ConvlensError": "convlens.errors",
}
__all__ = [
    "ConvlensError",
    "Prediction",
    "Predictions",
    "__version__",
    "activations",
    "filter_patterns",
    "heatmap",
    "load",
    "report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'convlens' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
