"""A contestant in a process of its own: reads a JSON line, does what it says, answers with one."""

import importlib
import json
import os
import resource
import sys
import time
from typing import Any


def main() -> None:
    """Serves until the input ends; what the contestants print goes to the error output."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    run: Any = None
    for line in sys.stdin:
        asked = json.loads(line)
        begin = time.perf_counter()
        try:
            if asked["do"] == "prepare":
                module = importlib.import_module(f"benchmarks.contestants.{asked['contestant']}")
                run = module.prepare(asked["task"])
                answer: dict[str, Any] = {}
            else:
                answer = run()
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        answers.write(json.dumps({**answer, "seconds": time.perf_counter() - begin, "peak_mib": peak}) + "\n")


if __name__ == "__main__":
    main()
