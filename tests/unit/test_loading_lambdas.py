"""Lambda layers read without running them. The bytecode in the JSON file beside this was written by the Pythons
themselves, 2.7 and 3.6 to 3.13; that of 3.5 is put together by hand."""

import base64
import json
import marshal
import random
import struct
from pathlib import Path

import numpy as np
import pytest

from convlens.loading.bytecode.affine import Affine, NotAffine, combine
from convlens.loading.bytecode.instructions import disassembly
from convlens.loading.bytecode.lambdas import code_bytes, read_affine
from convlens.loading.bytecode.marshal_reader import Unreadable, read_code

CODES = json.loads(Path(__file__).with_suffix(".json").read_text())
# what the functions compute, written down again
TWINS = {
    "tf_input": lambda x: x / 127.5 - 1,
    "per_pixel": lambda x: x / 255.0 - 0.5,
    "doubled": lambda x: 2 * x - 1,
    "called": lambda x: (x - 127.5) / 128.0,
    "stepwise": lambda x: (x / 255.0 - 0.5) * 2,
}


def python_3_5(instructions: bytes, constants: bytes) -> bytes:
    """A marshalled function of one argument `x`, in the layout of Python 3.5."""
    integers = struct.pack("<5i", 1, 0, 1, 2, 83)
    strings = b")\x00" + b")\x01\xda\x01x" + b")\x00" + b")\x00" + b"\xfa\x04m.py" + b"\xda\x08<lambda>"
    return (
        b"\xe3"
        + integers
        + b"s"
        + struct.pack("<i", len(instructions))
        + instructions
        + constants
        + strings
        + struct.pack("<i", 1)
        + b"s\x00\x00\x00\x00"
    )


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("version", CODES)
def test_scalings_are_read_from_every_python(version, name):
    found = read_affine(base64.b64decode(CODES[version][name]), None, None, {})
    x = np.linspace(-3, 300, 7)
    np.testing.assert_allclose(found.scale * x + found.offset, TWINS[name](x), rtol=1e-12)


def test_scaling_of_python_3_5():
    # LOAD_FAST 0, LOAD_CONST 1, BINARY_TRUE_DIVIDE, LOAD_CONST 2, BINARY_SUBTRACT, RETURN_VALUE, in 1 and 3 bytes
    steps = b"|\x00\x00d\x01\x00\x1bd\x02\x00\x18S"
    constants = b")\x03N\xe7" + struct.pack("<d", 127.5) + b"\xe7" + struct.pack("<d", 1.0)
    found = read_affine(python_3_5(steps, constants), None, None, {})
    assert (found.scale, found.offset) == (1 / 127.5, -1.0)


@pytest.mark.parametrize("version", CODES)
def test_other_code_is_refused_and_shown(version, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = base64.b64decode(CODES[version]["malicious"])
    with pytest.raises(NotAffine, match=r"is more than a scaling|calls os\.system"):
        read_affine(data, None, None, {})
    shown = disassembly(data)
    assert "'os'" in shown
    assert "'system'" in shown
    assert "echo pwned" in shown
    assert list(tmp_path.iterdir()) == []


def test_free_variables_and_arguments_come_from_the_file():
    def outer(factor):
        return lambda x, shift: x * factor - shift

    code = marshal.dumps(outer(3).__code__)
    found = read_affine(code, None, [0.25], {"shift": 2})
    assert (found.scale, found.offset) == (0.25, -2)
    with pytest.raises(NotAffine, match="no value in the file"):
        read_affine(code, None, None, {"shift": 2})


def test_one_number_a_channel():
    found = read_affine(marshal.dumps((lambda x: (x - [1.0, 2.0, 3.0]) / 2).__code__), None, None, {})
    np.testing.assert_array_equal(found.scale, 0.5)
    np.testing.assert_array_equal(found.offset, [-0.5, -1, -1.5])
    assert str(found) == "x / 2 - (0.5, 1, 1.5)"


def test_what_is_no_scaling():
    for function in (lambda x: x * x, lambda x: 1 / x, lambda x: x[0], lambda x: 5, lambda x: x // 2, lambda x: x**2):
        with pytest.raises(NotAffine):
            read_affine(marshal.dumps(function.__code__), None, None, {})
    with pytest.raises(NotAffine, match="whole numbers"):
        read_affine(marshal.dumps((lambda x: tf.cast(x, "uint8")).__code__), None, None, {})  # noqa: F821
    with pytest.raises(NotAffine):
        combine("TRUE_DIVIDE", Affine(1.0, 0.0), 0.0)


@pytest.mark.parametrize(
    ("scaling", "mode"),
    [
        (Affine(1 / 127.5, -1.0), "none"),  # takes 0 to 255
        (Affine(1 / 255, 0.0), "none"),
        (Affine(2.0, -1.0), "rescale"),  # takes 0 to 1
        (Affine(1.0, np.array([-103.9, -116.8, -123.7])), "none"),
        (Affine(1.0, 0.0), None),  # does not tell
        (Affine(255.0, 0.0), None),
    ],
)
def test_what_a_scaling_says_of_its_input(scaling, mode):
    assert scaling.input_range() == mode


def test_hostile_bytes_end_quickly():
    """Changed, cut and made-up bytes: `marshal.loads` may crash on them, the reader only ends."""
    generator = random.Random(0)
    good = [base64.b64decode(code) for version in CODES.values() for code in version.values()]
    read = refused = 0
    for _ in range(3000):
        data = bytearray(generator.choice(good))
        for _ in range(generator.choice([1, 2, 8])):
            data[generator.randrange(len(data))] = generator.randrange(256)
        try:
            read_affine(bytes(data[: generator.randrange(len(data) // 2, len(data) + 1)]), None, None, {})
            read += 1
        except NotAffine:
            refused += 1
    assert refused > 2000
    assert read > 0
    for bomb in (b"(\xff\xff\xff\x7f" + b"N" * 10, b")\x01" * 500 + b"N", b"l\xff\xff\xff\x7f", b"r\x00\x00\x00\x00"):
        with pytest.raises(Unreadable):
            read_code(bomb, "3.8")


def test_the_two_writings_of_code():
    data = bytes(range(256))
    assert code_bytes(base64.encodebytes(data).decode()) == data
    assert code_bytes(data.decode("raw_unicode_escape")) == data
