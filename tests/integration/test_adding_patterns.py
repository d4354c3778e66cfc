"""The page on adding objectives and images of patterns, followed to the letter in a copy of the project."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import convlens

ROOT = Path(__file__).parents[2]
RECIPES = "src/convlens/techniques/patterns/recipes.py"
SECTIONS = ("An objective", "An image parametrization")


def section(title: str) -> tuple[str, list[str]]:
    """The path of the file that a section shows, and its code: the file, the import, the row."""
    page = (ROOT / "docs" / "adding.md").read_text()
    (text,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    place = re.findall(r"`(src/\S+\.py)`:\n\n```python", text)[0]
    return place, re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with the files and rows of the page."""
    home = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "src", home / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for title in SECTIONS:
        place, (code, line, row) = section(title)
        assert not (home / place).exists()
        (home / place).write_text(code)
        text = (home / RECIPES).read_text()
        tree = ast.parse(text).body
        (rows,) = (
            node
            for node in tree
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "ROWS"
        )
        last_import = max(node.end_lineno or 0 for node in tree if isinstance(node, ast.ImportFrom))
        lines = text.splitlines(keepends=True)
        lines.insert((rows.end_lineno or 0) - 1, f"{row.rstrip()},\n")
        lines.insert(last_import, line)
        (home / RECIPES).write_text("".join(lines))
    return home


def command(project: Path, *arguments: str) -> Any:
    environment = {**os.environ, "PYTHONPATH": str(project / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    line = [sys.executable, "-m", "convlens", *arguments, "--json"]
    run = subprocess.run(line, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_the_rows_are_listed(project: Path) -> None:
    listed = {row["name"]: row for row in command(project, "methods")["patterns"]}
    assert listed["peak"]["steps"] == listed["grey"]["steps"] == 64
    assert {"ascent", "fourier"} <= set(listed)


@pytest.mark.parametrize("method", ["peak", "grey"])
def test_the_command_draws_with_it_what_it_says(method: str, project: Path) -> None:
    """The number told is Keras's own for the picture written, but for the rounding of its pixels."""
    line = f"filters bundled -l conv2d_7 -f 3,5 --size 150 --steps 20 --method {method} --out {method}"
    (told,) = command(project, *line.split())["patterns"]
    network = convlens.load("bundled")
    features = keras.Model(network.model.inputs[0], network.model.get_layer("conv2d_7").output)
    assert network.preprocessing is not None
    for entry in told["filters"]:
        assert entry["end"] > 1.5 * entry["start"] > 0
        shown = np.asarray(Image.open(project / method / f"filters/conv2d_7/{entry['filter']}.png").convert("RGB"))
        if method == "grey":
            assert (shown == shown[..., :1]).all()
        inputs = network.preprocessing(shown[None].astype("float32"))
        (seen,) = keras.ops.convert_to_numpy(features(inputs))
        value = seen[..., entry["filter"]]
        assert entry["end"] == pytest.approx(value.max() if method == "peak" else value.mean(), rel=0.05)
