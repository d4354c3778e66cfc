"""The public face: what is exported, how it is typed, and what a wrong argument is told."""

import doctest
import inspect
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import convlens
from convlens.bundled import photo

ROOT = Path(__file__).parents[2] / "src" / "convlens"
PUBLIC = [getattr(convlens, name) for name in convlens.__all__ if name != "__version__"]
FUNCTIONS = [thing for thing in PUBLIC if inspect.isfunction(thing)]
CLASSES = [thing for thing in PUBLIC if inspect.isclass(thing) and not issubclass(thing, Exception)]


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "py.typed").exists()


def test_all_is_what_there_is() -> None:
    assert dir(convlens) == sorted(convlens.__all__)
    assert len(PUBLIC) == len({id(thing) for thing in PUBLIC})
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        convlens.nope  # noqa: B018


@pytest.mark.parametrize("thing", [*FUNCTIONS, *CLASSES], ids=lambda thing: thing.__name__)
def test_every_public_docstring_has_an_example_that_runs(
    thing: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"convlens": convlens, "photo": photo}
    examples = [test for test in doctest.DocTestFinder(recurse=False).find(thing, globs=names) if test.examples]
    assert examples, f"{thing} shows no example"
    for example in examples:
        assert doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example).failed == 0


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_every_public_function_names_what_goes_in_and_what_is_raised(function: object) -> None:
    text, signature = inspect.getdoc(function), inspect.signature(function)  # pyright: ignore[reportArgumentType]
    for name in signature.parameters:
        assert f"\n    {name}: " in text, f"{name} is not explained"
    assert "\nRaises:" in text


@pytest.mark.parametrize(
    ("function", "argument", "ours"),
    [
        ("heatmap", "class_idx", "target"),
        ("heatmap", "pred_index", "target"),
        ("heatmap", "target_layer", "layer"),
        ("heatmap", "layer_name", "layer"),
        ("heatmap", "target_layers", "layer"),
        ("activations", "layer", "layers"),
        ("activations", "layer_name", "layers"),
        ("filter_patterns", "filter_index", "filters"),
        ("filter_patterns", "iterations", "steps"),
        ("filter_patterns", "img_size", "size"),
        ("report", "output_dir", "out"),
        ("load", "class_names", "labels"),
        ("load", "preprocess_input", "preprocess"),
    ],
)
def test_the_names_of_other_tools_get_ours(function: str, argument: str, ours: str) -> None:
    with pytest.raises(convlens.ArgumentError) as raised:
        getattr(convlens, function)("bundled", **{argument: 1})
    assert f"{function}() has no argument {argument!r}: it is called {ours!r} here" == str(raised.value)
    assert isinstance(raised.value, TypeError)
    assert isinstance(raised.value, convlens.ConvlensError)


def test_a_mistyped_argument_gets_near_names_and_a_missing_one_gets_the_list() -> None:
    with pytest.raises(convlens.ArgumentError, match=r"no argument 'methd': did you mean method\?"):
        convlens.heatmap("bundled", photo(), methd="grad-cam")  # pyright: ignore[reportCallIssue]
    with pytest.raises(convlens.ArgumentError, match=r"heatmap\(\): missing .*'images'; it takes network, images, "):
        convlens.heatmap("bundled")  # pyright: ignore[reportCallIssue]


def test_requests_are_values_with_keys_that_last(tmp_path: Path) -> None:
    from convlens.techniques.request import ActivationsRequest, HeatmapRequest, PatternRequest

    requests = [
        ActivationsRequest(("conv*", "pool1")),
        PatternRequest("conv2d_7", range(4), (32, 48), 12, 2, 7),
        PatternRequest("conv2d_7", "0:4"),
        HeatmapRequest(["cat", 1], "conv2d_8", score="probability"),
        HeatmapRequest(top=3),
    ]
    for request in requests:
        assert type(request).from_json(request.to_json()) == request
        assert pickle.loads(pickle.dumps(request)) == request
        assert hash(request) == hash(pickle.loads(pickle.dumps(request)))
        with pytest.raises(AttributeError):
            request.technique = "other"  # pyright: ignore[reportAttributeAccessIssue]
    # SHA-256 of the canonical JSON, by another program: printf '...' | sha256sum
    assert requests[4].key == "aa39efef3ba656df198f617eae8c1224"
    assert len({request.key for request in requests}) == len(requests)
    assert PatternRequest("a", [0, 1], step_size=1).key == PatternRequest("a", (0, 1), step_size=1.0).key
    script = "from convlens.techniques.request import HeatmapRequest; print(HeatmapRequest(top=3).key)"
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT.parent)},
        )
        assert run.stdout.strip() == requests[4].key
    with pytest.raises(convlens.OptionError, match="expected 'heatmap'"):
        HeatmapRequest.from_json(requests[0].to_json())
