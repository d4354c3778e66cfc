"""The layers of the design: who may import whom, and what importing loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "src" / "convlens"
FRAMEWORKS = {"keras", "tensorflow", "jax", "torch"}
# module -> what of convlens it may import, whether in a function or not
ALLOWED = {
    "errors": set(),
    "images": {"errors"},
    "predictions": set(),
    "render": {"errors", "render"},
    "store": {"errors"},
    "results": {"errors", "images", "predictions", "render", "store", "results"},
    "page": {"errors", "predictions", "render", "store", "page"},
    "backend": {"errors", "backend"},
    "network": {"errors", "images", "predictions", "backend", "network"},
    "techniques": {"errors", "images", "predictions", "results", "backend", "network", "techniques"},
    "bundled": {"errors", "images"},
}
FRAMEWORK_FREE = {
    "errors",
    "images",
    "predictions",
    "render",
    "store",
    "results",
    "page",
    "bundled",
    "cli",
    "api",
    "survey",
    "__init__",
}


def imported(path: Path) -> set[str]:
    """The full names of all modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


FILES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    names = imported(path)
    own = {name.split(".")[1] for name in names if name.startswith("convlens.")} - {"__version__"}
    if part in ALLOWED:
        assert own <= ALLOWED[part] | ({part} if (ROOT / part).is_dir() else set())
    loaded = {name.split(".")[0] for name in names} & FRAMEWORKS
    if part in FRAMEWORK_FREE:
        assert not loaded
    if part == "techniques":
        assert loaded <= {"keras"}
        assert {name for name in names if name.startswith("keras.")} <= {"keras.ops"}
    assert not {name for name in names if name.startswith("keras.src")}


@pytest.mark.parametrize(
    "code",
    [
        "import convlens",
        "from convlens.cli import main; main(['--help'])",
        "import convlens.render.overlay, convlens.store, convlens.page, convlens.results.heatmaps",
        "import convlens; convlens.ConvlensError",
    ],
)
def test_no_framework_is_loaded(code: str) -> None:
    check = f"{code}\nimport sys; found = {sorted(FRAMEWORKS)!r}\nsys.exit(any(name in sys.modules for name in found))"
    run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            doc = ast.get_docstring(node)
            body = node.end_lineno - node.lineno + 1 - (len(doc.splitlines()) + 1 if doc else 0)
            assert body <= 40, f"{node.name} has {body} lines"
