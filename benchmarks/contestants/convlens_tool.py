"""convlens itself, through its public functions."""

from collections.abc import Callable
from typing import Any


def prepare(task: dict[str, Any]) -> Callable[[], dict[str, float]]:
    """One of the three views; the task says which."""
    return {"patterns": _patterns}[task["view"]](task)


def _network(task: dict[str, Any], top: bool) -> Any:
    import convlens
    from benchmarks.vgg import keras_model, torch_model

    model = torch_model(top) if task.get("model") == "torch" else keras_model(top)
    shape = {"input_shape": (task["size"], task["size"], 3)} if task.get("model") == "torch" else {}
    return convlens.load(model, preprocess="caffe", **shape)


def _patterns(task: dict[str, Any]) -> Callable[[], dict[str, float]]:
    import convlens

    network, options = _network(task, top=False), task.get("options", {})

    def run() -> dict[str, float]:
        found = convlens.filter_patterns(
            network, task["layer"], range(task["filters"]), task["size"], steps=task["steps"], **options
        )
        return {"units": len(found.filters), "dead": sum(word != "ok" for word in found.status)}

    return run
