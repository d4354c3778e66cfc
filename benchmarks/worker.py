"""A contestant in a process of its own: reads a JSON line, does what it says, answers with one.

What a run gives as "seen", maps or pictures, is kept for a montage and not timed.
"""

import importlib
import json
import os
import resource
import sys
import time
from typing import Any

import numpy as np


def main() -> None:
    """Serves until the input ends; what the contestants print goes to the error output."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    run: Any = None
    seen: Any = None
    for line in sys.stdin:
        asked = json.loads(line)
        begin = time.perf_counter()
        try:
            if asked["do"] == "prepare":
                module = importlib.import_module(f"benchmarks.contestants.{asked['contestant']}")
                run = module.prepare(asked["task"])
                answer: dict[str, Any] = {}
            elif asked["do"] == "draw":
                np.save(asked["path"], seen)
                answer = {}
            else:
                answer = run()
                seen = answer.pop("seen", None)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        answers.write(json.dumps({**answer, "seconds": time.perf_counter() - begin, "peak_mib": peak}) + "\n")


if __name__ == "__main__":
    main()
