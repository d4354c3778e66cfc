"""convlens itself, through its public functions."""

from collections.abc import Callable
from typing import Any

from benchmarks.contest import SHOWN


def prepare(task: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """One of the three views; the task says which."""
    return {"patterns": _patterns, "heatmaps": _heatmaps, "activations": _activations}[task["view"]](task)


def _network(task: dict[str, Any], top: bool) -> Any:
    import convlens
    from benchmarks.vgg import keras_model, torch_model

    model = torch_model(top) if task.get("model") == "torch" else keras_model(top)
    shape = {"input_shape": (task["size"], task["size"], 3)} if task.get("model") == "torch" else {}
    return convlens.load(model, preprocess="caffe", **shape)


def _patterns(task: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    import convlens

    network, options = _network(task, top=False), task.get("options", {})

    def run() -> dict[str, Any]:
        found = convlens.filter_patterns(
            network, task["layer"], range(task["filters"]), task["size"], steps=task["steps"], **options
        )
        not_ok = sum(word != "ok" for word in found.status)
        return {"units": len(found.filters), "not_ok": not_ok, "seen": found.images[:SHOWN]}

    return run


def _heatmaps(task: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    import convlens
    from benchmarks.vgg import photos

    layer = "block5_conv3_relu" if task.get("model") == "torch" else "block5_conv3"  # after the ReLU, as the peers
    network, images, options = _network(task, top=True), list(photos(task)), task.get("options", {})

    def run() -> dict[str, Any]:
        found = convlens.heatmap(network, images, 386, layer, batch_size=task["batch"], **options)
        return {"units": len(found.values), "seen": found.values[:SHOWN]}

    return run


def _activations(task: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    import convlens
    from benchmarks.vgg import photos

    network, images = _network(task, top=False), list(photos(task))

    def run() -> dict[str, Any]:
        found = convlens.activations(network, images, batch_size=task["batch"])
        return {"units": len(images), "layers": len(found)}

    return run
