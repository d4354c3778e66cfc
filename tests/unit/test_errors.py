"""The family of errors: one line for people, fields for programs; and the words that messages share."""

import pickle
import re
from pathlib import Path

import pytest

import convlens
from convlens import errors
from convlens.data.images import checked_range
from convlens.data.labels import Labels, checked, imagenet_names, usual_names
from convlens.data.preprocessing import preprocessing
from convlens.errors import ConvlensError, LabelsError, OptionError, TargetError, listing, reason

SOURCES = sorted((Path(errors.__file__).parent).rglob("*.py"))


def test_an_error_has_a_line_and_fields():
    error = OptionError("size 0: expected at least 1", expected="at least 1", received=0, available=[1, 2], advice="x")
    assert str(error) == "size 0: expected at least 1"
    assert (error.expected, error.received, error.available, error.advice) == ("at least 1", 0, (1, 2), "x")
    bare = ConvlensError("it failed")
    assert (bare.expected, bare.received, bare.available, bare.advice) == (None, None, (), None)


def test_errors_pass_between_processes():
    error = pickle.loads(pickle.dumps(TargetError.unknown("no class 'cta'", "cta", ["cat", "dog"])))
    assert type(error) is TargetError
    assert str(error) == "no class 'cta': did you mean cat?"
    assert (error.received, error.available) == ("cta", ("cat", "dog"))


@pytest.mark.parametrize(
    ("call", "kind", "message", "expected", "received", "available"),
    [
        (
            lambda: preprocessing("torhc", "given"),
            errors.PreprocessingError,
            "unknown preprocessing 'torhc': did you mean torch? (or a function)",
            None,
            "torhc",
            ("none", "rescale", "tf", "caffe", "torch"),
        ),
        (
            lambda: Labels(("cat", "dog"), "").index("emu"),
            TargetError,
            "no class is named 'emu': available: cat, dog",
            None,
            "emu",
            ("cat", "dog"),
        ),
        (
            lambda: Labels(("red fox", "grey fox", "cat"), "").index("fox"),
            TargetError,
            "class name 'fox' is ambiguous: 0 (red fox), 1 (grey fox); give the index",
            "the name of one class",
            "fox",
            ("0 (red fox)", "1 (grey fox)"),
        ),
        (
            lambda: checked(["cat"], 2, "the list of labels"),
            LabelsError,
            "the list of labels has 1 names, but the network has 2 classes; give one name a class",
            2,
            1,
            (),
        ),
        (
            lambda: checked_range((5, 1)),
            OptionError,
            'value range (5, 1): expected two numbers, the lower first, or "network"',
            'two numbers, the lower first, or "network"',
            (5, 1),
            (),
        ),
    ],
)
def test_fields_where_they_are_known(call, kind, message, expected, received, available):
    with pytest.raises(kind) as raised:
        call()
    error = raised.value
    assert str(error) == message
    assert (error.expected, error.received, error.available) == (expected, received, available)


def test_the_fields_of_a_layer_and_a_filter_that_there_is_not():
    network = convlens.load("bundled")
    with pytest.raises(errors.LayerError) as raised:
        convlens.activations(network, _black(), layers="conv2d_55")
    assert raised.value.received == "conv2d_55"
    assert "conv2d_5" in raised.value.available
    with pytest.raises(errors.FilterError) as raised:
        convlens.filter_patterns(network, "conv2d_5", filters=[500])
    assert raised.value.received == 500


def _black():
    import numpy as np

    return np.zeros((150, 150, 3), "uint8")


def test_names_in_a_message():
    assert listing("abc") == "a, b, c"
    assert listing("abc", 3) == "a, b, c"
    assert listing("abcd", 3) == "a, b, c and 1 more"
    assert listing(range(20)) == "0, 1, 2, 3, 4, 5, 6, 7 and 12 more"
    assert listing((word for word in ("LOAD x", "ADD", "RETURN")), 2, "; ") == "LOAD x; ADD and 1 more"
    assert listing([]) == ""


def test_a_reason_with_its_kind():
    assert reason(ValueError("bad"), named=True) == "ValueError: bad"
    assert reason(ValueError(), named=True) == "ValueError"
    assert reason(KeyError("conv"), named=True) == "KeyError: 'conv'"


def test_the_classes_that_a_number_of_outputs_tells():
    assert usual_names(1000) == imagenet_names()
    assert [usual_names(count) for count in (1, 2, 999, 1001, None)] == [None] * 5


@pytest.mark.parametrize(
    ("pattern", "home"),
    [
        (r"splitlines\(\) or \[(?!\"\"\]:)", None),  # the first line of an error: `reason`
        (r"and \{[^}]*\} more\b(?! layers)", "errors.py"),  # `listing`
        (r"\b(==|!=) 1000\b", None),  # `usual_names`
        (r"cats_and_dogs_small\.keras", "bundled/__init__.py"),
    ],
)
def test_what_is_written_once(pattern, home):
    """What had many copies has one home: `errors` for words, `data.labels` for names, `bundled` for the model."""
    root = Path(errors.__file__).parent
    assert {str(path.relative_to(root)) for path in SOURCES if re.search(pattern, path.read_text())} == (
        {home} if home else set()
    )
