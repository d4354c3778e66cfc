"""The table of metrics is complete, true and quick to import."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from convlens.techniques.metrics.table import METRICS, ROWS

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
HEAVY = ("numpy", "scipy", "skimage", "PIL", "keras", "torch", "tensorflow", "jax")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_names_a_function_of_that_paper(row) -> None:
    module, name = row.function.split(":")
    home = import_module(f"convlens.techniques.metrics.{module}")
    assert row.paper.rpartition(" ")[2] in getattr(home, name).__doc__ + home.__doc__
    assert f"| {row.name} |" in DOCS.read_text()
    low, high = row.range
    assert low is None or high is None or low < high


def test_names_are_told_apart() -> None:
    assert len(METRICS) == len(ROWS)


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        (["table"], HEAVY),
        (
            ["faithfulness", "road", "localization", "perturbation", "randomization", "statistics"],
            HEAVY[1:3] + HEAVY[4:],
        ),
    ],
)
def test_importing_is_quick(modules, absent) -> None:
    names = ", ".join(f"convlens.techniques.metrics.{module}" for module in modules)
    code = f"import sys, {names}; print(*(name for name in {absent!r} if name in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
