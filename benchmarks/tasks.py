"""What is measured: who takes part in what."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
    """

    title: str
    unit: str
    contestants: Sequence[Contestant]
    limits: Sequence[Contestant]
    rounds: int = 3


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


def patterns(layer: str = "block3_conv1", filters: int = 64, size: int = 64, steps: int = 40) -> Task:
    """Filter patterns of VGG16, convlens against the book chapter's own loop."""
    task = {"view": "patterns", "layer": layer, "filters": filters, "size": size, "steps": steps}
    contestants = [
        Contestant("convlens", "convlens_tool", task, flop=pattern_flop(layer, size, steps)),
        Contestant("seed's loop", "seed_loop", {**task, "filters": 2}, flop=pattern_flop(layer, size, steps)),
    ]
    title = f"patterns: VGG16 {layer}, {filters} filters at {size}x{size}, {steps} steps (random weights)"
    return Task(title, "filters", contestants, limits())


TASKS: dict[str, Callable[[], Task]] = {"patterns-quick": patterns}
