"""Networks as strangers write them: what convlens says of each is true, or it says that it does not know.

300 networks are drawn, a hundred a backend, always the same ones.
"""

from collections import Counter
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import convlens
from convlens.errors import TargetError
from tests.contract import strangers
from tests.contract.strangers import SPELLINGS, Stranger

TORCH = keras.backend.backend() == "torch"
STYLES = ["functional", "sequential", "subclass", *(["module"] * 3 if TORCH else [])]
PLAIN = ("fused", "layer", "raw", "pooled")  # what a Sequential can be made of
PROBABILITY, RAW = "probability", ("logit", "value")
counts: Counter[str] = Counter()


@st.composite
def drawn(draw: Any) -> Stranger:
    head, style = draw(st.sampled_from(sorted(SPELLINGS))), draw(st.sampled_from(STYLES))
    spelling = draw(st.sampled_from([one for one in SPELLINGS[head] if style != "sequential" or one in PLAIN]))
    units = {"binary": st.just(1), "score": st.sampled_from([1, 3]), "embedding": st.just(1)}
    tail = draw(st.sampled_from(["mean", "flat"]))
    return Stranger(
        head=head,
        spelling=spelling,
        style=style,
        units=1 if spelling == "raw, squeezed" else draw(units.get(head, st.integers(2, 5))),
        side=draw(st.sampled_from([8, 9, 12])),
        channels=draw(st.sampled_from([1, 3])),
        tail=tail,
        flattened=draw(st.sampled_from(["view -1", "view size", "reshape", "flatten"])),
        first=style in ("functional", "sequential") and head not in ("map", "embedding") and draw(st.booleans()),
        scaled_inside=style != "module" and draw(st.booleans()),
        two_inputs=style == "functional" and draw(st.booleans()),
        told=draw(st.booleans()),
        seed=draw(st.integers(0, 10**6)),
    )


def opened(one: Stranger) -> Any:
    model = strangers.torch_model(one) if one.style == "module" else strangers.keras_model(one)
    options = {"head": one.head} if one.told else {}
    if one.style == "module":
        options["input_shape"] = (one.side, one.side, one.channels)
    return convlens.load(model, preprocess="none" if one.scaled_inside else "rescale", **options)


def photos(one: Stranger) -> np.ndarray:
    return np.random.default_rng(one.seed).integers(0, 256, (2, one.side, one.side, one.channels)).astype("uint8")


def expected(one: Stranger, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The true probabilities (or values, where there are none) and the numbers that the network itself puts out."""
    z = strangers.logits(one, x)
    exclusive = one.head == "classes" or (one.head == "map" and one.units > 1)
    p = strangers.softmax(z) if exclusive else strangers.sigmoid(z)
    if one.head in ("score", "embedding"):
        p = z
    out = {"raw": z, "raw, squeezed": z, "log": np.log(np.maximum(p, 1e-300)) if p is not z else z}.get(one.spelling, p)
    return (p.mean((1, 2)), out.mean((1, 2))) if one.head == "map" else (p, out)


@settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(drawn())
def check_all(one: Stranger) -> None:
    network, images = opened(one), photos(one)
    x = images.astype("float64") / 255
    head = network.head()
    samples = [(image, np.zeros(2, "float32")) for image in images] if one.two_inputs else list(images)
    if head.sure:
        assert head.kind == one.head, str(head)
    else:
        assert not one.told
        assert head.notes
    counts["told" if head.sure else "unsure"] += 1
    _check_numbers(one, network, head, samples, x)
    if one.head != "embedding":
        _check_map(one, network, head, samples, x)


def _check_numbers(one: Stranger, network: Any, head: Any, samples: list[Any], x: np.ndarray) -> None:
    """A number called a probability is the true one, any other is what the network itself puts out."""
    p, out = expected(one, x)
    for shown, truth, raw in zip(network.predict(samples, top=None), p, out, strict=True):
        for number in shown:
            if one.head == "embedding":
                continue
            if number.unit == PROBABILITY:
                assert one.head not in ("score", "embedding")
                whole = truth if one.units > 1 else np.array([1 - truth[0], truth[0]])
                assert number.score == pytest.approx(whole[number.index], abs=2e-5)
            else:
                assert number.unit in RAW
                assert number.score == pytest.approx(raw[number.index], rel=1e-4, abs=1e-4)


def _check_map(one: Stranger, network: Any, head: Any, samples: list[Any], x: np.ndarray) -> None:
    """Grad-CAM at the convolution is the one derived by hand."""
    layer = (
        next(path for path in network.observe().shapes if path.endswith("relu")) if one.style == "module" else "conv"
    )
    unit = one.seed % one.units
    target = unit if one.units > 1 or not head.has_classes else 1
    try:
        found = convlens.heatmap(network, samples, target, layer)
    except TargetError:
        assert not head.has_classes
        counts["refused"] += 1
        return
    # what is explained is said: where no layer puts out the logits, it is the logarithm of the probability
    of_log = head.scored.startswith(("logarithm", "log-probabilities"))
    truth = strangers.class_map(one, x, unit, of_log)
    np.testing.assert_allclose(found.values, truth, rtol=1e-3, atol=1e-4 * max(float(truth.max()), 1e-3))
    for status, values in zip(found.status, truth, strict=True):
        assert (status == "ok") == (float(values.max()) > 0 and values.max() > values.min())


def test_what_is_said_of_a_stranger_is_true_or_said_to_be_unknown() -> None:
    counts.clear()
    check_all()
    print(dict(counts))
    assert counts["told"] + counts["unsure"] >= 100
    assert counts["told"] > counts["unsure"]
