"""What is measured: who takes part in what."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.contest import Contestant
from benchmarks.vgg import flop


@dataclass
class Task:
    """One contest.

    Attributes:
        title: in words.
        unit: of the work.
        contestants: the last one is the baseline of the ratios.
        limits: measured in the same rounds.
        rounds: of A B A B.
        varied: what differs between the contestants' tasks, where its cost is to be plotted; `axis` in words.
        counted: what of a task says how many units a call makes.
    """

    title: str
    unit: str
    contestants: Sequence[Contestant]
    limits: Sequence[Contestant]
    rounds: int = 3
    varied: str = ""
    axis: str = ""
    counted: str = ""


def limits() -> list[Contestant]:
    """The machine's matrix products, in both precisions and two frameworks."""
    return [
        Contestant(
            f"matrix products, {precision}, {framework}",
            "machine",
            {"precision": precision, "framework": framework},
            framework,
            precision=precision,
        )
        for framework in ("tensorflow", "torch")
        for precision in ("float32", "bfloat16")
    ]


def pattern_flop(layer: str, size: int, steps: int, last_channels: int | None = None) -> float:
    """Operations that one filter's pattern needs: a forward pass and one of gradients to the input, each step."""
    return 2 * steps * flop(layer, size, last_channels)


def patterns(
    layer: str = "block3_conv1", filters: int = 64, size: int = 64, steps: int = 40, peers: bool = True
) -> Task:
    """Filter patterns of VGG16: convlens in both precisions against tf-keras-vis and the book chapter's own loop."""
    task = {"view": "patterns", "layer": layer, "filters": filters, "size": size, "steps": steps}
    least = pattern_flop(layer, size, steps, 1)  # one channel of the layer itself is all that a filter needs
    whole = pattern_flop(layer, size, steps)
    some = {**task, "filters": min(filters, 16)}
    contestants = [
        convlens("convlens, bfloat16", task, "bfloat16", least),
        convlens("convlens, float32", task, "float32", least),
        Contestant("tf-keras-vis, batches of 16", "tf_keras_vis_tool", some, flop=whole),
        Contestant("seed's loop", "seed_loop", {**task, "filters": 2}, flop=whole),
    ]
    title = f"patterns: VGG16 {layer}, {filters} filters at {size}x{size}, {steps} steps (random weights)"
    return Task(title, "filters", contestants if peers else [contestants[0], contestants[-1]], limits())


def convlens(
    name: str, task: dict[str, Any], precision: str, work: float = 0.0, backend: str = "tensorflow"
) -> Contestant:
    """convlens in one precision; work is in operations a unit."""
    given = {**task, "options": {"precision": precision}}
    return Contestant(name, "convlens_tool", given, backend, flop=work, precision=precision)


def backends() -> Task:
    """The same patterns of a Keras model on the three backends, and of a plain PyTorch module."""
    task = {"view": "patterns", "layer": "block3_conv1", "filters": 32, "size": 64, "steps": 20}
    least = pattern_flop("block3_conv1", 64, 20, 1)
    contestants = [
        convlens(f"{name}, {precision}", {**task, "model": model}, precision, least, backend)
        for precision in ("bfloat16", "float32")
        for name, model, backend in (
            ("Keras on TensorFlow", "keras", "tensorflow"),
            ("Keras on JAX", "keras", "jax"),
            ("Keras on PyTorch", "keras", "torch"),
            ("PyTorch module", "torch", "torch"),
        )
        if (backend, precision) != ("jax", "bfloat16")
    ]
    return Task("patterns on the backends: VGG16 block3_conv1, 32 filters, 20 steps", "filters", contestants, limits())


def linear() -> Task:
    """Whether 512 filters cost eight times as much as 64 (few steps; the layer's channels set no limit on it)."""
    task = {"view": "patterns", "layer": "block4_conv1", "size": 64, "steps": 4}
    contestants = [convlens(f"{filters} filters", {**task, "filters": filters}, "bfloat16") for filters in (512, 64)]
    return Task("patterns: VGG16 block4_conv1, 4 steps, 512 filters against 64", "filters", contestants, [])


def cost(varied: str, values: Sequence[int], axis: str) -> Task:
    """How long a call takes as the number of filters or the images' size grows: patterns of 10 steps."""
    task = {"view": "patterns", "layer": "block3_conv1", "filters": 16, "size": 64, "steps": 10}
    contestants = [convlens(f"{axis}: {value}", {**task, varied: value}, "bfloat16") for value in values]
    title = f"cost against {axis}: VGG16 block3_conv1, 10 steps"
    return Task(title, "filters", contestants, [], varied=varied, axis=axis, counted="filters")


def cost_of_batches() -> Task:
    """How long a call for heatmaps takes as the number of images grows."""
    axis = "images"
    contestants = [
        convlens(f"{axis}: {batch}", {"view": "heatmaps", "batch": batch, "size": 224}, "float32")
        for batch in (1, 4, 8, 16)
    ]
    title = "cost against images: Grad-CAM of VGG16 at 224x224"
    return Task(title, "images", contestants, [], varied="batch", axis=axis, counted="batch")


def heatmaps() -> Task:
    """Grad-CAM on TensorFlow against a compiled forward pass."""
    task = {"view": "heatmaps", "batch": 16, "size": 224}
    contestants = [
        convlens("convlens, bfloat16", task, "bfloat16"),
        convlens("convlens, float32", task, "float32"),
        Contestant("tf-keras-vis", "tf_keras_vis_tool", task),
        Contestant("forward pass, float32", "forward_pass", {**task, "framework": "tensorflow"}),
    ]
    return Task("Grad-CAM on TensorFlow: VGG16, 224x224, batch 16 (random weights)", "images", contestants, [])


def torch_heatmaps() -> Task:
    """Grad-CAM on PyTorch against captum, torch-cam, pytorch-grad-cam and a forward pass."""
    task = {"view": "heatmaps", "batch": 16, "size": 224, "model": "torch"}
    # one environment for all of them: a newer PyTorch alone would decide the contest
    python = os.environ.get("CONVLENS_TORCH_PYTHON", sys.executable)
    peers = [Contestant(name, "torch_tools", {**task, "tool": name}, "torch") for name in TORCH_PEERS]
    contestants = [
        convlens("convlens, bfloat16", task, "bfloat16", backend="torch"),
        convlens("convlens, float32", task, "float32", backend="torch"),
        *peers,
        Contestant("forward pass, float32", "forward_pass", {**task, "framework": "torch"}, "torch"),
    ]
    for one in contestants:
        one.python = python
    return Task("Grad-CAM on PyTorch: VGG16, 224x224, batch 16 (random weights)", "images", contestants, [])


def activations() -> Task:
    """All convolutions and poolings of VGG16 with statistics, against a forward pass."""
    task = {"view": "activations", "batch": 4, "size": 224}
    contestants = [
        Contestant("convlens, with statistics", "convlens_tool", task),
        Contestant("forward pass", "forward_pass", {**task, "framework": "tensorflow"}),
    ]
    return Task("activations of VGG16's 18 layers at 224x224 with statistics, batch 4", "images", contestants, [], 5)


TORCH_PEERS = ("captum", "torch-cam", "pytorch-grad-cam")
TASKS: dict[str, Callable[[], Task]] = {
    "patterns-quick": lambda: patterns(peers=False),
    "patterns": patterns,
    "patterns-block1": lambda: patterns("block1_conv1"),
    "patterns-block5": lambda: patterns("block5_conv3", filters=32),
    "backends": backends,
    "linear": linear,
    "cost-filters": lambda: cost("filters", (1, 16, 32, 64, 128, 256), "number of filters"),
    "cost-size": lambda: cost("size", (32, 64, 96, 128, 192), "pixels a side"),
    "cost-batch": cost_of_batches,
    "heatmaps": heatmaps,
    "heatmaps-torch": torch_heatmaps,
    "activations": activations,
}
