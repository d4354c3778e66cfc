"""python -m benchmarks: how fast convlens is, as tables of ratios with spread, as JSON and in pictures."""

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from benchmarks.contest import Contestant, hold
from benchmarks.figures import cost, montage
from benchmarks.tables import table
from benchmarks.tasks import TASKS, Task


def main() -> None:
    """Runs the tasks asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the first task alone, in under three minutes")
    parser.add_argument("--tasks", nargs="*", choices=list(TASKS), help="by name; all by default")
    parser.add_argument("--rounds", type=int, help="of A B A B")
    parser.add_argument("--out", type=Path, default=Path("benchmarks-out"), help="folder")
    options = parser.parse_args()
    names = ["patterns-quick"] if options.quick else options.tasks or [name for name in TASKS if "quick" not in name]
    options.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"machine": _machine(), "weights": "random, seeded", "tasks": {}}
    for name in names:
        task: Task = TASKS[name]()
        begin = time.perf_counter()
        contestants: list[Contestant] = [*task.contestants, *task.limits]
        hold(contestants, options.rounds or task.rounds)
        print(table(task), f"({time.perf_counter() - begin:.0f} s)\n", flush=True)
        found["tasks"][name] = {"title": task.title, "contestants": [one.to_json() for one in contestants]}
        (options.out / "results.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        if task.varied:
            cost(task, options.out / f"{name}.png")
        else:
            montage(task, options.out / f"{name}.png")
    print(f"written to {options.out}")


def _machine() -> dict[str, Any]:
    return {"system": platform.platform(), "processors": os.cpu_count(), "python": platform.python_version()}


if __name__ == "__main__":
    main()
