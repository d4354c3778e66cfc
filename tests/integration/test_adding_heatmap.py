"""The page on adding a heatmap method, followed to the letter in a copy of the project."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import pytest
from PIL import Image

from convlens.bundled import photo as bundled_photo

ROOT = Path(__file__).parents[2]
NAME = "position-ablation"
BLOCK = re.compile(r"\*\*The (\w+)\.\*\*(.*?)```python\n(.*?)```", re.DOTALL)


def blocks() -> dict[str, tuple[str, str]]:
    """What the section shows, by what it is called: the last path named before it, and the code."""
    page = (ROOT / "docs/adding.md").read_text()
    (section,) = re.findall(r"^## A heatmap method\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    return {
        word: (re.findall(r"`((?:src|tests)/\S+\.py)`", before)[-1], code)
        for word, before, code in BLOCK.findall(section)
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with the file, the row and the twin of the page."""
    home = tmp_path_factory.mktemp("project")
    unneeded = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src", home / "src", ignore=unneeded)
    shutil.copytree(ROOT / "tests/contract", home / "tests/contract", ignore=unneeded)
    for name in ("tests/__init__.py", "tests/conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, home / name)
    shown = blocks()
    place, code = shown["file"]
    assert not (home / place).exists()
    (home / place).write_text(code)
    place, row = shown["row"]
    lines = (home / place).read_text().splitlines(keepends=True)
    (rows,) = (
        node
        for node in ast.parse("".join(lines)).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "ROWS"
    )
    lines.insert((rows.end_lineno or 0) - 1, f"{indent(row.rstrip(), ' ' * 4)},\n")
    (home / place).write_text("".join(lines))
    place, twin = shown["twin"]
    with (home / place).open("a") as file:
        file.write(f"\n\n{twin}")
    return home


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(project / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=project, env=environment, capture_output=True, text=True, check=False
    )


def test_the_command_line_has_it(project: Path) -> None:
    listed = json.loads(run(project, "convlens", "methods", "--json").stdout)
    assert listed["heatmaps"][-1]["name"] == NAME
    assert NAME in run(project, "convlens", "heatmap", "--help").stdout.replace("\n", "")
    photo = project / "chelsea.png"
    Image.fromarray(bundled_photo().pixels).save(photo)
    drawn = run(project, "convlens", "heatmap", "bundled", str(photo), "--method", NAME, "--out", "out", "--json")
    assert drawn.returncode == 0, drawn.stderr
    told = json.loads(drawn.stdout)
    assert (told["method"], told["status"]) == (NAME, ["ok"])
    assert (project / "out/manifest.json").is_file()


def test_the_contract_holds_it_to_its_twin(project: Path) -> None:
    suite = "tests/contract/test_heatmap_methods.py"
    chosen = f"({NAME} and (relu or functional or two)) or has_a_twin"
    done = run(project, "pytest", suite, "-q", "-p", "no:cacheprovider", "-k", chosen)
    assert done.returncode == 0, done.stdout[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 5, done.stdout[-3000:]


def test_a_wrong_method_does_not_pass(project: Path, tmp_path: Path) -> None:
    """The contract can fail: with the wrong sign, it does."""
    copy = tmp_path / "project"
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns("out"))
    place, code = blocks()["file"]
    wrong = code.replace("probe.values - probe", "-probe.values + probe")
    assert wrong != code
    (copy / place).write_text(wrong)
    suite = "tests/contract/test_heatmap_methods.py"
    done = run(copy, "pytest", suite, "-q", "-p", "no:cacheprovider", "-k", f"{NAME} and relu and twins")
    assert done.returncode == 1, done.stdout[-3000:]
