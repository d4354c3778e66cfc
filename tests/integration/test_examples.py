"""The tutorial and the examples do what they say."""

import doctest
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"


def test_the_tutorial_runs_as_it_stands_and_its_pictures_are_what_it_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = doctest.testfile(str(TUTORIAL), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert done.attempted > 15
    assert done.failed == 0
    shown = re.findall(r"!\[(.+?)\]\((.+?)\)", TUTORIAL.read_text())
    assert len(shown) == 4
    for _, place in shown:
        with Image.open(ROOT / "docs" / place) as kept, Image.open(tmp_path / Path(place).name) as made:
            assert kept.size == made.size
            apart = np.abs(np.asarray(kept.convert("RGB")).astype(int) - np.asarray(made.convert("RGB")).astype(int))
            assert apart.mean() < 12


def test_every_link_of_the_tutorial_leads_somewhere() -> None:
    for place in re.findall(r"\]\((?!http)(.+?)\)", TUTORIAL.read_text()):
        assert (TUTORIAL.parent / place).exists(), place


@pytest.mark.parametrize(
    ("name", "backend", "least"), [("keras_transfer", "tensorflow", 90), ("pytorch_model", "torch", 80)]
)
def test_an_example_trains_a_network_and_reports_on_it(name: str, backend: str, least: int, tmp_path: Path) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py", "out"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": backend},
    )
    assert run.returncode == 0, run.stderr
    accuracy = re.search(r"not seen before: (\d+)%", run.stdout)
    assert accuracy
    assert int(accuracy[1]) >= least
    assert run.stdout.strip().endswith("index.html")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["status"], manifest["failures"]) == ("complete", [])
    assert {
        one["status"][0] for one in manifest["heatmaps"] if one["predictions"][0][0]["index"] == one["targets"][0]
    } <= {"ok"}
