"""Interleaved timing of contestants that live in processes of their own."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
PAUSE = 1.0  # seconds, in which the threads of the one before go to sleep
SHOWN = 8  # pictures of each contestant in the montage


@dataclass
class Contestant:
    """Who takes part: a module of `contestants`, what it is told, the backend and the Python that it runs under.

    Attributes:
        flop: operations that one unit of its work needs; 0 where nobody asks.
        precision: "float32" or "bfloat16", for the limit that its rate is held against.
    """

    name: str
    module: str
    task: dict[str, Any]
    backend: str = "tensorflow"
    python: str = sys.executable
    flop: float = 0.0
    precision: str = "float32"
    rates: list[float] = field(default_factory=list)
    error: str | None = None
    seen: Any = None
    first: float = 0.0
    peak_mib: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        """Starts the process, prepares, and runs twice to warm up."""
        paths = [str(ROOT / "src"), str(ROOT), *filter(None, [os.environ.get("CONVLENS_PEERS")])]
        env = {**os.environ, "KERAS_BACKEND": self.backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        env["PYTHONPATH"] = os.pathsep.join(paths)
        self.process = subprocess.Popen(
            [self.python, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=env,
            cwd=ROOT,
        )
        ready = self._ask({"do": "prepare", "contestant": self.module, "task": self.task})
        if ready and (warm := self._ask({"do": "run"})):
            self.first = warm["seconds"]
            self._ask({"do": "run"})  # the second is often slow as well, while memory is still being laid out

    def _ask(self, what: dict[str, Any]) -> dict[str, Any] | None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the process ended"}
        if "error" in answer:
            self.error = answer["error"]
            return None
        self.peak_mib = answer["peak_mib"]
        return answer

    def time_once(self) -> None:
        """One timed run, kept as units a second."""
        if self.error is None and (answer := self._ask({"do": "run"})):
            self.rates.append(answer["units"] / answer["seconds"])
            self.notes = {key: answer[key] for key in answer.keys() - {"units", "seconds", "peak_mib"}}

    def stop(self) -> None:
        """Asks for the pictures it made, and ends the process."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "seen.npy"
            if self.error is None and self._ask({"do": "draw", "path": str(path)}):
                seen = np.load(path, allow_pickle=True)
                self.seen = seen if seen.ndim > 2 else None
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(timeout=60)

    def to_json(self) -> dict[str, Any]:
        names = ("name", "task", "backend", "precision", "flop", "rates", "first", "peak_mib", "notes", "error")
        return {name: getattr(self, name) for name in names}


def hold(contestants: Sequence[Contestant], rounds: int) -> None:
    """Starts all of them, times them in turn A B C, A B C … for some rounds, and ends them."""
    for one in contestants:
        one.start()
    for _ in range(rounds):
        for one in contestants:
            time.sleep(PAUSE)
            one.time_once()
    for one in contestants:
        one.stop()


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, smallest, largest; not a number where there are none."""
    if not values:
        return (float("nan"),) * 3
    return statistics.median(values), min(values), max(values)


def ratios(one: Contestant, other: Contestant) -> tuple[float, float, float]:
    """How many times as fast as another, round by round: median, smallest, largest."""
    return spread([a / b for a, b in zip(one.rates, other.rates, strict=False)])
