"""Filter patterns: the seed's ascent as a whole, the network's own units, and filters that nothing activates."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import convlens
from convlens.backend import keras_ready
from convlens.errors import FilterError, OptionError
from convlens.results.patterns import STATUS, FilterPatterns
from convlens.techniques.patterns.images.pixel import STARTS, start_image
from convlens.techniques.patterns.selection import parse_filters
from convlens.techniques.patterns.verdict import share_of_start
from tests.contract import twin


def conv_network(kernel: np.ndarray, bias: np.ndarray, preprocess: Any = "none", activation: str = "relu") -> Any:
    keras = keras_ready()
    conv = keras.layers.Conv2D(kernel.shape[-1], 3, activation=activation, name="conv")
    model = keras.Sequential([keras.Input((16, 16, kernel.shape[2])), conv, keras.layers.GlobalAveragePooling2D()])
    conv.set_weights([kernel, bias])
    return convlens.load(model, preprocess=preprocess)


def kernel(channels: int = 3, filters: int = 4) -> np.ndarray:
    return np.random.default_rng(4).normal(0, 0.2, (3, 3, channels, filters)).astype("float32")


def start_images(filters: list[int], sides: tuple[int, int], channels: int, seed: int, attempts: list[int]) -> Any:
    """The starts of the book's ascent, by its filter, seed and attempt."""
    pairs = zip(filters, attempts, strict=True)
    return np.stack([start_image(np.random.default_rng([seed, *pair]), sides, channels, pair[1]) for pair in pairs])


def latents(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Collects the images that ascents end with, before they are scaled for display."""
    kept: list[np.ndarray] = []
    own = FilterPatterns.from_latents
    monkeypatch.setattr(FilterPatterns, "from_latents", lambda images, *rest: kept.append(images) or own(images, *rest))
    return kept


def test_the_ascent_is_the_seeds_from_start_to_picture() -> None:
    weights = replace(twin.weights(), one_bias=np.full(4, 1500, "float32"))  # so that grey activates them
    network = conv_network(weights.one, weights.one_bias)
    patterns = convlens.filter_patterns(network, "conv", [2, 0], size=9, steps=5, seed=3, precision="float32")
    images = start_images([2, 0], (9, 9), 3, 3, [0, 0])
    assert images.min() >= 128
    assert 147 < images.max() < 148  # uniform noise x 20 + 128
    one = np.maximum(twin.conv(images, weights.one, weights.one_bias), 0).mean((1, 2))
    np.testing.assert_allclose(patterns.start, [one[0, 2], one[1, 0]], rtol=1e-5)
    for _ in range(5):
        images = twin.ascent_step(images, weights, "one", [2, 0])
    one = np.maximum(twin.conv(images, weights.one, weights.one_bias), 0).mean((1, 2))
    np.testing.assert_allclose(patterns.end, [one[0, 2], one[1, 0]], rtol=1e-4)
    for shown, image in zip(patterns.images, images, strict=True):
        image = image - image.mean()
        image = np.clip(image / (image.std() + 1e-5) * 0.1 + 0.5, 0, 1) * 255
        assert np.abs(shown.astype(int) - image.astype("uint8")).max() <= 1


def test_what_is_reached_is_measured_in_float32_whatever_the_ascent_is_computed_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = replace(twin.weights(), one_bias=np.full(4, 1500, "float32"))
    network = conv_network(weights.one, weights.one_bias)
    kept = latents(monkeypatch)
    patterns = convlens.filter_patterns(network, "conv", [2], size=9, steps=3, seed=3, precision="bfloat16")
    start, end = (
        np.maximum(twin.conv(images, weights.one, weights.one_bias), 0).mean((1, 2))[0, 2]
        for images in (start_images([2], (9, 9), 3, 3, [0]), kept[0])
    )
    np.testing.assert_allclose(patterns.end, [end], rtol=1e-5)
    np.testing.assert_allclose(patterns.start, [start], rtol=1e-2)  # as the first step saw it


def test_a_step_is_a_grey_level_in_the_units_of_the_network() -> None:
    seen = kernel()
    # the same function of the pixels, once of 0 to 1 and once of -1 to 1
    shares = conv_network(seen, np.full(4, 3.0), "rescale")
    signed = conv_network(seen / 2, np.full(4, 3.0) + seen.sum((0, 1, 2)) / 2, "tf")
    first, second = (
        convlens.filter_patterns(network, "conv", size=12, steps=4, precision="float32") for network in (shares, signed)
    )
    np.testing.assert_allclose(first.start, second.start, rtol=1e-4)
    np.testing.assert_allclose(first.end - first.start, second.end - second.start, rtol=1e-2)
    assert np.abs(first.images.astype(int) - second.images.astype(int)).max() <= 3


def test_patterns_of_a_bgr_network_are_shown_in_rgb() -> None:
    reddish = np.zeros((3, 3, 3, 1), "float32")
    reddish[1, 1, 0] = 1.0  # red alone, one pixel
    rgb = conv_network(reddish, np.zeros(1), "none")
    bgr = conv_network(reddish[:, :, ::-1], np.full(1, 200.0), "caffe")
    for network in (rgb, bgr):
        (image,) = convlens.filter_patterns(network, "conv", size=10, steps=30).images
        red, green, blue = image[1:-1, 1:-1].mean((0, 1))
        assert red > green + 20
        assert red > blue + 20


def test_a_filter_that_no_start_reaches_is_called_unreached() -> None:
    network = conv_network(kernel(filters=3), np.array([500, -1e9, 500]))
    patterns = convlens.filter_patterns(network, "conv", size=16, steps=20)
    assert patterns.status == ("ok", "unreached", "ok")
    assert patterns.start[1] == patterns.end[1] == 0
    alive, crossed = (np.asarray(patterns.image(index)) for index in (0, 1))
    assert len(np.unique(crossed.reshape(-1, 3), axis=0)) < 40 < len(np.unique(alive.reshape(-1, 3), axis=0))
    entry = patterns.to_json()["filters"][1]
    assert entry["meaning"] == "no start of this ascent reached it; it may still fire on photos"
    assert "dead" not in str(patterns.to_json())


def test_a_filter_that_grey_does_not_activate_is_tried_from_another_start() -> None:
    dark = np.full((3, 3, 3, 1), -1.0, "float32")
    network = conv_network(dark, np.array([27 * 100.0]))  # on where the mean is under 100; grey is over 128
    patterns = convlens.filter_patterns(network, "conv", size=32, steps=3)
    assert patterns.end[0] > patterns.start[0] > 0
    assert patterns.status == ("mostly its start",)  # three grey levels are little beside the contrast of that start
    assert patterns.of_start[0] > 0.9


@pytest.mark.parametrize("steps", [1, 2, 6])
def test_a_filter_that_starts_again_takes_all_its_steps_and_the_others_no_more(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = kernel(filters=4)
    some[..., 1:3] = -1
    weights = replace(twin.weights(), one=some, one_bias=np.array([500, 27 * 115, 27 * 60, -1e9], "float32"))
    kept = latents(monkeypatch)
    patterns = convlens.filter_patterns(
        conv_network(some, weights.one_bias), "conv", size=32, steps=steps, precision="float32"
    )
    assert patterns.status[3] == "unreached"
    assert (patterns.end[:3] > patterns.start[:3]).all()
    used = []
    for index in range(4):
        for attempt in range(len(STARTS)):
            image = start_images([index], (32, 32), 3, 0, [attempt])
            seen = np.maximum(twin.conv(image, some, weights.one_bias), 0)[..., index]
            if seen.any() or attempt == len(STARTS) - 1:
                break
        used.append(attempt)
        np.testing.assert_allclose(patterns.start[index], seen.mean(), rtol=1e-5)
        for _ in range(steps if seen.any() else 0):
            image = twin.ascent_step(image, weights, "one", [index])
        np.testing.assert_allclose(kept[0][index], image[0], atol=2e-3)
    assert used[0] == 0 < used[1] < used[2] <= used[3] == len(STARTS) - 1


def test_values_that_are_not_finite_are_named() -> None:
    patterns = convlens.filter_patterns(conv_network(kernel() * np.inf, np.zeros(4)), "conv", [0], size=8, steps=2)
    assert patterns.status == ("non-finite",)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_networks_of_other_channels_than_three(channels: int) -> None:
    network = conv_network(kernel(channels), np.full(4, 900.0))
    patterns = convlens.filter_patterns(network, "conv", size=(9, 14), steps=3)
    assert patterns.images.shape == (4, 9, 14, 3)
    assert (patterns.end > patterns.start).all()
    grey = (patterns.images[..., 0] == patterns.images[..., 1]).all()
    assert grey == (channels < 3)


def test_a_filters_start_does_not_depend_on_its_company() -> None:
    together, alone = start_images([1, 7, 9], (6, 5), 3, 2, [0] * 3), start_images([7], (6, 5), 3, 2, [0])
    np.testing.assert_array_equal(together[1], alone[0])
    assert (start_images([7], (6, 5), 3, 3, [0]) != alone).any()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0:3", (0, 1, 2)),
        ("5", (5,)),
        ("0:10:4,2", (0, 4, 8, 2)),
        (":2,9", (0, 1, 9)),
        ("8:", (8, 9)),
        ("all", tuple(range(10))),
        (None, tuple(range(10))),
        (range(2, 4), (2, 3)),
        (np.int64(3), (3,)),
        ([4, 4, 1], (4, 1)),
    ],
)
def test_filters_as_people_write_them(text: Any, expected: tuple[int, ...]) -> None:
    assert parse_filters(text, 10, "conv") == expected


@pytest.mark.parametrize("text", ["10", "-1", "0:11", "a", "1:2:3:4", "", "3:3", "0:4:0", [], [10]])
def test_filters_that_are_not_there(text: Any) -> None:
    with pytest.raises(FilterError, match=r"conv|filters"):
        parse_filters(text, 10, "conv")


def of_one(activation: Any, bias: float, weight: float = 1.0, **options: Any) -> FilterPatterns:
    """One filter that sums over a window of 3 x 3 pixels in grey, with a checkerboard's signs."""
    signs = np.where(np.indices((3, 3)).sum(0) % 2, -1.0, 1.0)[..., None, None] * weight
    network = conv_network(signs.astype("float32"), np.array([bias]), "none", activation)
    given: dict[str, Any] = {"size": 16, **options}
    return convlens.filter_patterns(network, "conv", **given)


def hat(x: Any) -> Any:
    return keras_ready().ops.relu(200 - abs(x - 190))


@pytest.mark.parametrize(
    ("status", "activation", "bias", "options"),
    [
        ("ok", "relu", 0.0, {}),
        ("fell", hat, 0.0, {"steps": 3, "step_size": 400.0}),  # leaps over what it looks for
        ("hardly rose", "linear", 1e7, {}),
        ("mostly its start", "relu", 0.0, {"step_size": 0.02}),
        ("zero gradient", "relu", 5.0, {"weight": 0.0}),  # always on, whatever the image
        ("zero gradient", "sigmoid", 400.0, {"weight": 0.01}),
        ("unreached", "relu", -1e9, {}),
        ("unreached", "sigmoid", -400.0, {"weight": 0.01}),
        ("non-finite", "linear", np.nan, {}),
        ("non-finite", "linear", np.inf, {}),
    ],
)
def test_each_way_that_an_image_means_nothing_has_its_word(
    status: str, activation: Any, bias: float, options: dict[str, Any]
) -> None:
    found = of_one(activation, bias, **options)
    assert found.status == (status,)
    if status == "fell":
        assert 0 <= found.end[0] < found.start[0]


@pytest.mark.parametrize(("size", "status"), [(1, "constant"), (24, "mostly its start")])
def test_what_only_turns_brighter_has_no_pattern(size: int, status: str) -> None:
    """A filter for brightness adds the same to each pixel, and the display takes the mean away: noise is left."""
    keras = keras_ready()
    model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 1, name="conv")])
    model.layers[0].set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    found = convlens.filter_patterns(convlens.load(model, preprocess="none"), "conv", size=size)
    assert found.end[0] == pytest.approx(found.start[0] + 40, abs=0.5)
    assert found.status == (status,)


@pytest.mark.parametrize("step_size", [0, -1.0, np.nan, np.inf])
def test_steps_of_none_are_refused(step_size: float) -> None:
    with pytest.raises(OptionError, match=r"step size .*more than 0"):
        of_one("relu", 0.0, step_size=step_size)


def test_the_share_of_the_start_is_the_squared_correlation() -> None:
    generator = np.random.default_rng(5)
    starts = generator.uniform(0, 255, (4, 9, 7, 3)).astype("float32")
    images = starts * 0.3 + generator.normal(0, [[[[10]]], [[[40]]], [[[90]]], [[[1]]]], starts.shape)
    images[3, 0, 0, 0] = np.nan
    found = share_of_start(starts, images)
    expected = [np.corrcoef(a.ravel(), b.ravel())[0, 1] ** 2 for a, b in zip(starts[:3], images[:3], strict=True)]
    np.testing.assert_allclose(found[:3], expected, rtol=1e-5)
    assert 0.9 > found[0] > found[1] > found[2] > 0
    assert found[3] == 0
    assert share_of_start(starts[:1], np.full_like(starts[:1], 7)) == 0


def test_filters_that_come_to_the_same_picture_are_said_to_be_alike() -> None:
    one = np.zeros((3, 3, 3, 3), "float32")
    one[:, :, 0], one[:, :, 2] = 1.0, -1.0  # three filters for red without blue
    alike = convlens.filter_patterns(conv_network(one, np.full(3, 9e3)), "conv", size=24)
    assert alike.status == ("ok",) * 3
    pairs = np.corrcoef(alike.images.reshape(3, -1))
    assert any(f"correlate with {pairs[np.triu_indices(3, 1)].mean():.2f}" in note for note in alike.notes)
    assert alike.notes == FilterPatterns.joined([alike]).notes
    various = convlens.filter_patterns(conv_network(kernel(), np.full(4, 900.0)), "conv", size=24)
    assert not [note for note in various.notes if "hardly differ" in note]


def test_no_sentence_says_that_a_filter_never_fires() -> None:
    assert set(STATUS) >= {"ok", "unreached", "fell"}
    words = " ".join(STATUS.values())
    assert "may still fire on photos" in STATUS["unreached"]
    assert not [word for word in ("dead", "never", "nothing activates", "cannot") if word in words]
