"""What a run found, in pictures: what each contestant made, and how the cost grows."""

from pathlib import Path

import matplotlib

matplotlib.use("agg")

from matplotlib import pyplot

from benchmarks.contest import SHOWN, spread
from benchmarks.tasks import Task


def montage(task: Task, path: Path) -> None:
    """The first pictures or maps of each contestant, a row each."""
    rows = [one for one in task.contestants if one.seen is not None]
    if not rows:
        return
    figure, axes = pyplot.subplots(len(rows), SHOWN, figsize=(1.4 * SHOWN, 2.0 * len(rows)), squeeze=False)
    for line, one in zip(axes, rows, strict=True):
        for place, axis in enumerate(line):
            axis.axis("off")
            if place < len(one.seen):
                axis.imshow(one.seen[place], cmap="inferno")
        line[0].set_title(one.name, loc="left", fontsize=9)
    figure.suptitle(task.title, fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def cost(task: Task, path: Path) -> None:
    """Seconds of a whole call against what the task varies, with the spread of the rounds."""
    points = []
    for one in task.contestants:
        if one.rates:
            middle, low, high = (one.task[task.counted] / rate for rate in spread(one.rates))
            points.append((one.task[task.varied], middle, middle - high, low - middle))
    if not points:
        return
    x, y, below, above = zip(*sorted(points), strict=True)
    figure, axis = pyplot.subplots(figsize=(5, 3.5))
    axis.errorbar(x, y, [below, above], marker="o", capsize=3)
    axis.set(xlabel=task.axis, ylabel="seconds a call", xlim=(0, None), ylim=(0, None))
    axis.set_title(task.title, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
