"""See what a convolutional network has learned.

    network = convlens.load("model.keras")
    network.predict("cat.jpg")                          what it says of the image
    convlens.activations(network, "cat.jpg")            what each layer makes of an image
    convlens.filter_patterns(network, "conv2d_5")       what each filter looks for
    convlens.heatmap(network, "cat.jpg")                where in the image a class comes from
    convlens.attribution(network, "cat.jpg")            which pixels speak for a class, and which against it
    convlens.report(network, ["cat.jpg"], "report/")    all of it on a page

Importing convlens imports no framework; that happens at the first call.
"""

# pyright: strict
import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convlens.api.activations import activations as activations
    from convlens.api.attributions import attribution as attribution
    from convlens.api.heatmaps import heatmap as heatmap
    from convlens.api.load import load as load
    from convlens.api.patterns import filter_patterns as filter_patterns
    from convlens.api.report import report as report
    from convlens.data.images import Photo as Photo
    from convlens.data.predictions import Prediction as Prediction
    from convlens.data.predictions import Predictions as Predictions
    from convlens.errors import ArgumentError as ArgumentError
    from convlens.errors import BackendError as BackendError
    from convlens.errors import CancelledError as CancelledError
    from convlens.errors import ConvlensError as ConvlensError
    from convlens.errors import FilterError as FilterError
    from convlens.errors import ImageError as ImageError
    from convlens.errors import LabelsError as LabelsError
    from convlens.errors import LayerError as LayerError
    from convlens.errors import ModelError as ModelError
    from convlens.errors import OptionError as OptionError
    from convlens.errors import OutputError as OutputError
    from convlens.errors import PreprocessingError as PreprocessingError
    from convlens.errors import TargetError as TargetError
    from convlens.network.network import Network as Network
    from convlens.results.activations import Activations as Activations
    from convlens.results.attributions import Attribution as Attribution
    from convlens.results.heatmaps import Heatmap as Heatmap
    from convlens.results.patterns import FilterPatterns as FilterPatterns

__version__ = "0.1.0"

# where each public name is, which is imported when it is first asked for
_HOMES = {
    "load": "api.load",
    "activations": "api.activations",
    "filter_patterns": "api.patterns",
    "heatmap": "api.heatmaps",
    "attribution": "api.attributions",
    "report": "api.report",
    "Network": "network.network",
    "Photo": "data.images",
    "Prediction": "data.predictions",
    "Predictions": "data.predictions",
    "Activations": "results.activations",
    "FilterPatterns": "results.patterns",
    "Heatmap": "results.heatmaps",
    "Attribution": "results.attributions",
    **dict.fromkeys(
        [
            *("ArgumentError", "BackendError", "CancelledError", "ConvlensError", "FilterError", "ImageError"),
            *("LabelsError", "LayerError", "ModelError", "OptionError", "OutputError", "PreprocessingError"),
            "TargetError",
        ],
        "errors",
    ),
}
__all__ = [
    "Activations",
    "ArgumentError",
    "Attribution",
    "BackendError",
    "CancelledError",
    "ConvlensError",
    "FilterError",
    "FilterPatterns",
    "Heatmap",
    "ImageError",
    "LabelsError",
    "LayerError",
    "ModelError",
    "Network",
    "OptionError",
    "OutputError",
    "Photo",
    "Prediction",
    "Predictions",
    "PreprocessingError",
    "TargetError",
    "__version__",
    "activations",
    "attribution",
    "filter_patterns",
    "heatmap",
    "load",
    "report",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'convlens' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"convlens.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
