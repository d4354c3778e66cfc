"""The layers of the design: who may import whom, and what importing loads."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "src" / "convlens"
FRAMEWORKS = {"keras", "tensorflow", "jax", "torch"}
# From the ground up: a module imports from the lines above its own, and from itself. Whether one may load a framework
# when it is used, and which of the lines above it leaves alone, is said beside it.
FREE, KERAS_OPS, ANY = "no framework", "keras.ops and keras.tree", "any framework"
PLAN: tuple[tuple[str, str, frozenset[str]], ...] = (
    ("errors", FREE, frozenset()),
    ("data", FREE, frozenset()),
    ("bundled", FREE, frozenset()),
    ("render", FREE, frozenset({"data", "bundled"})),
    ("output", FREE, frozenset({"data", "bundled", "render"})),
    ("results", FREE, frozenset({"bundled"})),
    ("backend", ANY, frozenset({"data", "bundled", "render", "output", "results"})),
    ("network.layers", FREE, frozenset({"data", "bundled", "render", "output", "results", "backend"})),
    ("network.exclusive", FREE, frozenset({"data", "bundled", "render", "output", "results", "backend"})),
    ("network.driver", KERAS_OPS, frozenset({"data", "bundled", "render", "output", "results"})),
    ("network.passes", KERAS_OPS, frozenset({"data", "bundled", "render", "output", "results"})),
    ("network.inspect", KERAS_OPS, frozenset({"bundled", "render", "output", "results"})),
    ("network", ANY, frozenset({"bundled", "render", "output", "results"})),
    ("loading", ANY, frozenset({"render", "output", "results"})),
    ("techniques", KERAS_OPS, frozenset({"bundled", "render", "output", "loading"})),
    ("page", FREE, frozenset({"bundled", "backend", "network.inspect", "network", "loading", "techniques"})),
    ("jobs", FREE, frozenset({"bundled", "loading"})),
    ("api", FREE, frozenset({"render", "page.view"})),
    ("cli", FREE, frozenset()),
    ("__main__", FREE, frozenset()),
    ("__init__", FREE, frozenset()),
)
PARTS = [part for part, _, _ in PLAN]


def part_of(module: str) -> str:
    """The line of the plan that a module without "convlens." belongs to: the longest that it lies in."""
    fitting = [part for part in PARTS if module == part or module.startswith(f"{part}.")]
    assert fitting, f"{module} has no line in the plan of the house"
    return max(fitting, key=len)


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
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}


def own_imports(module: str) -> set[str]:
    """The modules of convlens, without "convlens.", that one imports anywhere in it."""
    found = set()
    for name in imported(MODULES[module]):
        if name.split(".")[0] == "convlens" and name != "convlens.__version__":
            inner = name.removeprefix("convlens").removeprefix(".")
            while inner and inner not in MODULES:
                inner = inner.rpartition(".")[0]
            found.add(inner or "__init__")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module: str) -> None:
    part = part_of(module)
    place, (_, framework, left_alone) = PARTS.index(part), PLAN[PARTS.index(part)]
    for other in own_imports(module) - {"__init__"}:
        home = part_of(other)
        assert home == part or PARTS.index(home) < place, f"{module} imports {other}, which lies above it"
        assert home not in left_alone, f"{module} imports {other}, which {part} leaves alone"
    names = imported(MODULES[module])
    loaded = {name.split(".")[0] for name in names} & FRAMEWORKS
    if framework == FREE:
        assert not loaded
    if framework == KERAS_OPS:
        assert loaded <= {"keras"}
        assert {name for name in names if name.startswith("keras.")} <= {"keras.ops", "keras.tree"}
    assert not {name for name in names if name.startswith("keras.src")}


def test_no_import_goes_in_a_circle() -> None:
    """Not even one that only a type checker sees, or that waits inside a function."""
    graph = {module: own_imports(module) - {module, "__init__"} for module in MODULES}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize(
    "code",
    [
        "import convlens",
        "from convlens.cli import main; main(['--help'])",
        "import convlens.render.overlay, convlens.output.folder, convlens.page, convlens.results.heatmaps",
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
