"""What a run found, in words."""

from benchmarks.contest import Contestant, ratios, spread
from benchmarks.tasks import Task


def limit(task: Task, precision: str) -> float:
    """The machine's rate of matrix products in 1e9 operations a second: the best framework's median."""
    return max([spread(one.rates)[0] for one in task.limits if one.precision == precision and one.rates] or [0.0])


def table(task: Task) -> str:
    """Rates, ratios to the baseline as median (smallest-largest), and the share of the machine's limit."""
    base = task.contestants[-1]
    rows = [("", f"{task.unit}/s", f"times {base.name}", "GFLOP/s", "of the limit", "first call", "peak MiB")]
    rows += [_row(task, one, base) for one in task.contestants]
    for one in task.limits:
        rows.append((one.name, "", "", _words(spread(one.rates), ".0f") if one.rates else str(one.error), "", "", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([task.title, *lines])


def _row(task: Task, one: Contestant, base: Contestant) -> tuple[str, ...]:
    if one.error:
        return (one.name, one.error, "", "", "", "", "")
    rate, top = spread(one.rates)[0], limit(task, one.precision)
    speed = rate * one.flop / 1e9
    share = f"{speed / top:.0%} {one.precision}" if top and one.flop else ""
    done = f"{speed:.0f}" if one.flop else ""
    times = _words(ratios(one, base), ".2f")
    return (one.name, _words(spread(one.rates), ".3g"), times, done, share, f"{one.first:.1f} s", f"{one.peak_mib:.0f}")


def _words(values: tuple[float, float, float], form: str) -> str:
    middle, low, high = (format(value, form) for value in values)
    return f"{middle} ({low}-{high})"
