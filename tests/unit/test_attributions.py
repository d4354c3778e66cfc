"""Pixel attributions against closed forms: of a linear network, and of a small one with ReLUs, in NumPy."""

from itertools import product
from math import factorial
from typing import Any

import numpy as np
import pytest

import convlens
from convlens.backend import keras_ready
from convlens.errors import ModelError, OptionError
from convlens.techniques.attributions import superpixels
from convlens.techniques.attributions.blurring import bell
from convlens.techniques.attributions.paths import places
from convlens.techniques.attributions.regions import ranked, regions
from convlens.techniques.attributions.settings import Settings
from convlens.techniques.attributions.table import METHODS

HEIGHT, WIDTH = 12, 10
IMAGE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype("uint8")
QUADRANTS = np.zeros((HEIGHT, WIDTH), int)
QUADRANTS[: HEIGHT // 2, WIDTH // 2 :], QUADRANTS[HEIGHT // 2 :, : WIDTH // 2] = 1, 2
QUADRANTS[HEIGHT // 2 :, WIDTH // 2 :] = 3
COLOURED = np.array([[250, 20, 20], [20, 240, 30], [10, 30, 245], [235, 230, 20]], "uint8")[QUADRANTS]
WEIGHTS = np.random.default_rng(1).normal(0, 0.1, (HEIGHT * WIDTH * 3, 2)).astype("float32")
HIDDEN = np.random.default_rng(2).normal(0, 0.1, (HEIGHT * WIDTH * 3, 6)).astype("float32")
LAST = np.random.default_rng(3).normal(0, 1, (6, 2)).astype("float32")
TARGET, FEW = 1, 40


def linear() -> Any:
    """y = W x + (1, 2); x is the image from 0 to 1."""
    keras = keras_ready()
    layers = keras.layers
    model = keras.Sequential([keras.Input(IMAGE.shape), layers.Flatten(), layers.Dense(2, name="last")])
    model.layers[-1].set_weights([WEIGHTS, np.array([1.0, 2.0])])
    return convlens.load(model, preprocess="rescale", head="score")


def rectified(activation: Any = "relu") -> Any:
    """y = V ReLU(U x)."""
    keras = keras_ready()
    layers = keras.layers
    body = [layers.Flatten(), layers.Dense(6, activation=activation, use_bias=False), layers.Dense(2, use_bias=False)]
    model = keras.Sequential([keras.Input(IMAGE.shape), *body])
    model.set_weights([HIDDEN, LAST])
    return convlens.load(model, preprocess="rescale", head="score")


def score(images: np.ndarray) -> np.ndarray:
    """What `rectified` says of images from 0 to 1, (n,)."""
    return np.maximum(images.reshape(len(images), -1).astype("float64") @ HIDDEN, 0) @ LAST[:, TARGET]


def attributed(network: Any, method: str, image: np.ndarray = IMAGE, **options: Any) -> Any:
    return convlens.attribution(network, image, TARGET, method, **options)


def slopes() -> np.ndarray:
    return WEIGHTS[:, TARGET].reshape(IMAGE.shape).astype("float64")


UNIT = IMAGE / 255.0


def same(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * max(float(np.abs(expected).max()), 1e-3))


@pytest.mark.parametrize("rule", ["midpoint", "left", "right", "trapezoid", "gauss-legendre"])
@pytest.mark.parametrize(("name", "value"), [("black", 0.0), ("grey", 0.5), ("white", 1.0)])
def test_integrated_gradients_of_a_linear_network(rule: str, name: str, value: float) -> None:
    found = attributed(linear(), "integrated-gradients", baselines=name, rule=rule, steps=7)
    same(found.channels[0], slopes() * (UNIT - value))
    assert found.completeness[0].share < 1e-4
    assert found.status == ("ok",)


def test_gradients_of_a_linear_network() -> None:
    network, by_channel = linear(), slopes()
    same(attributed(network, "gradient").channels[0], by_channel)
    same(attributed(network, "gradient-x-input").channels[0], by_channel * UNIT)
    same(attributed(network, "smoothgrad", samples=5).channels[0], by_channel)
    same(attributed(network, "squaregrad", samples=5).channels[0], by_channel**2)
    flat = attributed(network, "vargrad", samples=5)
    assert np.abs(flat.values).max() < 1e-12
    assert flat.status == ("constant",)
    assert attributed(rectified(), "vargrad", noise=0.0).status == ("constant",)


def test_paths_of_a_linear_network() -> None:
    from scipy.ndimage import gaussian_filter

    network, by_channel = linear(), slopes()
    same(attributed(network, "guided-ig", baselines="white", steps=9).channels[0], by_channel * (UNIT - 1))
    blurred = gaussian_filter(UNIT, (0.2 * HEIGHT, 0.2 * HEIGHT, 0), mode="reflect", truncate=4)
    same(attributed(network, "blur-ig", steps=9).channels[0], by_channel * (UNIT - blurred))
    halves = attributed(network, "gradient-shap", baselines=("black", "white"), samples=8)
    same(halves.channels[0], by_channel * (UNIT - 0.5))
    noise = np.random.default_rng([4, 1]).uniform(0, 255, IMAGE.shape).astype("float32") / 255
    same(
        attributed(network, "integrated-gradients", baselines="noise", seed=4).channels[0], by_channel * (UNIT - noise)
    )
    softer = gaussian_filter(UNIT, (0.1 * HEIGHT, 0.1 * HEIGHT, 0), mode="reflect", truncate=4)
    same(attributed(network, "integrated-gradients", baselines="blur").channels[0], by_channel * (UNIT - softer))


def test_smoothgrad_and_vargrad_are_moments_of_the_gradient_at_the_same_noise() -> None:
    noisy = np.stack(
        [
            UNIT + 0.3 * (UNIT.max() - UNIT.min()) * np.random.default_rng([9, n, *b"noise"]).standard_normal(
                IMAGE.shape, "float32"
            )
            for n in range(FEW)
        ]
    )  # fmt: skip
    on = noisy.reshape(FEW, -1) @ HIDDEN.astype("float64") > 0
    gradients = ((on * LAST[:, TARGET]) @ HIDDEN.T).reshape(FEW, *IMAGE.shape)
    options = {"samples": FEW, "noise": 0.3, "seed": 9}
    same(attributed(rectified(), "smoothgrad", **options).channels[0], gradients.mean(0))
    same(attributed(rectified(), "squaregrad", **options).channels[0], (gradients**2).mean(0))
    same(attributed(rectified(), "vargrad", **options).channels[0], gradients.var(0))


def test_integrated_gradients_converge_to_the_scores_change() -> None:
    network = rectified()
    change = score(UNIT[None])[0] - score(np.ones((1, *IMAGE.shape)))[0]
    shares = []
    for steps in (1, 4, 200):
        each = attributed(network, "integrated-gradients", baselines="white", steps=steps).completeness[0]
        assert each.wanted == pytest.approx(change, rel=1e-4)
        shares.append(each.share)
    assert shares[2] < 0.01 < shares[0]
    guided = attributed(network, "guided-ig", baselines="white", steps=200)
    assert guided.completeness[0].share < 0.02


def test_a_map_that_does_not_sum_to_the_scores_change_is_not_ok() -> None:
    found = attributed(rectified(), "integrated-gradients", baselines="white", steps=1, rule="left")
    assert found.completeness[0].share > 0.1
    assert found.status == ("incomplete",)
    assert any("off by" in note for note in found.notes)


@pytest.fixture
def quadrants(monkeypatch: pytest.MonkeyPatch) -> None:
    """Superpixels that are known."""
    monkeypatch.setattr(superpixels, "superpixels", lambda settings: QUADRANTS[None])


def test_superpixels_are_the_things_of_the_image() -> None:
    pixels = (np.kron(COLOURED, np.ones((8, 8, 1))) / 255).astype("float32")
    found = superpixels.superpixels(Settings({"segments": 4}, {}, pixels[None], 0))[0]
    things = np.kron(QUADRANTS, np.ones((8, 8), int))
    pairs = {(int(a), int(b)) for a, b in zip(found.ravel(), things.ravel(), strict=True)}
    shares = [max(np.mean(found[things == b] == a) for a in np.unique(found)) for b in range(4)]
    assert found.min() == 0
    assert min(shares) > 0.95, pairs


def shapley(base: float, labels: np.ndarray) -> np.ndarray:
    """Shapley's values of superpixels, from their definition."""
    count, x = int(labels.max()) + 1, COLOURED / 255.0
    sets = np.array(list(product((False, True), repeat=count)))
    worth = score(np.where(sets[:, labels][..., None], x, base))
    values = np.zeros(count)
    for kept, without in zip(sets, worth, strict=True):
        for player in np.flatnonzero(~kept):
            size, place = int(kept.sum()), 1 << (count - 1 - int(player))
            number = int("".join(str(int(each)) for each in kept), 2)
            share = factorial(size) * factorial(count - 1 - size) / factorial(count)
            values[player] += share * (worth[number + place] - without)
    return values


@pytest.mark.parametrize(("name", "base"), [("black", 0.0), ("white", 1.0)])
@pytest.mark.usefixtures("quadrants")
def test_kernel_shap_is_shapleys_value_spread_over_the_superpixel(name: str, base: float) -> None:
    found = attributed(rectified(), "kernel-shap", COLOURED, baselines=name, segments=4, samples=100)
    same(found.values[0], (shapley(base, QUADRANTS) / np.bincount(QUADRANTS.ravel()))[QUADRANTS])
    assert found.completeness[0].share < 1e-4


def test_kernel_shap_by_samples_comes_near_shapleys_value(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = np.arange(HEIGHT)[:, None] // 3 * 2 + np.arange(WIDTH) // 5  # 8 of them, of 254 sets between none and all
    monkeypatch.setattr(superpixels, "superpixels", lambda settings: blocks[None])
    found = attributed(rectified(), "kernel-shap", COLOURED, baselines="black", samples=240)
    expected = (shapley(0.0, blocks) / np.bincount(blocks.ravel()))[blocks]
    assert 1e-4 < np.abs(found.values[0] - expected).max() / np.abs(expected).max() < 0.15
    assert found.completeness[0].share < 1e-4


@pytest.mark.usefixtures("quadrants")
def test_lime_is_a_weighted_ridge_regression() -> None:
    found = attributed(rectified(), "lime", COLOURED, baselines="black", segments=4, samples=FEW, seed=5)
    sets = np.random.default_rng([5, 0, *b"lime"]).random((FEW, 4)) < 0.5
    sets[0] = True
    scores = score(np.where(sets[:, QUADRANTS][..., None], COLOURED / 255.0, 0))
    distance = 1 - np.array([row.sum() / np.sqrt(4 * row.sum()) if row.any() else 0 for row in sets])
    root = np.sqrt(np.exp(-(distance**2) / 0.25**2))
    # least squares with an intercept, and a row of its own for the penalty on each weight
    rows = np.concatenate([root[:, None] * np.column_stack([sets, np.ones(FEW)]), np.eye(4, 5)])
    weights = np.linalg.lstsq(rows, np.concatenate([root * scores, np.zeros(4)]), rcond=None)[0][:4]
    same(found.values[0], weights[QUADRANTS])


def test_occlusion_of_a_linear_network_is_the_mean_of_its_patches() -> None:
    found = attributed(linear(), "occlusion", baselines="white", patch=4, stride=3)
    worth, sums, counts = (slopes() * (UNIT - 1)).sum(-1), np.zeros(IMAGE.shape[:2]), np.zeros(IMAGE.shape[:2])
    for top in (0, 3, 6, 8):
        for left in (0, 3, 6):
            place = slice(top, top + 4), slice(left, left + 4)
            sums[place] += worth[place].sum()
            counts[place] += 1
    same(found.values[0], sums / counts)
    assert found.channels is None


def test_xrai_takes_the_densest_region_first_and_counts_a_pixel_once() -> None:
    from scipy import sparse

    values = np.array([[4.0, 2, 0, -1], [4, 2, 0, -1]])
    left, wide, rest = (np.zeros((2, 4), bool) for _ in range(3))
    left[:, :1], wide[:, :3], rest[:, 2:] = True, True, True
    expected = np.array([4.0, 1, 1, -1])[None].repeat(2, 0)
    found = sparse.csr_array(np.stack([rest, wide, left]).reshape(3, -1).astype("float64"))
    np.testing.assert_allclose(ranked(values, found), expected)


def test_xrais_regions_hold_the_things_of_the_image_and_their_edges() -> None:
    picture = np.zeros((40, 40, 3), "float32")
    picture[10:30, 5:20] = (1, 0.2, 0.1)
    found = regions(picture).toarray().reshape(-1, 40, 40) > 0
    thing = picture[..., 0] > 0
    assert any(region[thing].mean() > 0.95 and region.sum() < 1.2 * thing.sum() for region in found)
    assert found.any(0).all()


def test_a_blur_is_scipys() -> None:
    from scipy.ndimage import gaussian_filter1d

    line = np.random.default_rng(0).random(15)
    for deviation in (0.3, 2.0, 9.0):
        expected = gaussian_filter1d(line, deviation, mode="reflect", truncate=4)
        np.testing.assert_allclose(bell(15, deviation) @ line, expected, rtol=1e-5)
    np.testing.assert_array_equal(bell(15, 0) @ line, bell(15, 0).astype("float64") @ line)


@pytest.mark.parametrize(
    ("rule", "degree"), [("midpoint", 1), ("trapezoid", 1), ("left", 0), ("right", 0), ("gauss-legendre", 9)]
)
def test_rules_integrate_powers_up_to_their_degree(rule: str, degree: int) -> None:
    where, weights = places(rule, 5)
    for power in range(degree + 1):
        assert (weights * where.astype("float64") ** power).sum() == pytest.approx(1 / (power + 1), rel=1e-5)
    assert (weights * where.astype("float64") ** (degree + 1)).sum() != pytest.approx(1 / (degree + 2), rel=1e-6)


@pytest.mark.parametrize("spelling", ["layer", "name", "function"])
def test_guided_backprop_knows_a_relu_however_it_is_spelled(spelling: str) -> None:
    keras = keras_ready()
    relu = {"layer": keras.layers.ReLU(), "name": "relu", "function": lambda x: keras.ops.relu(x)}[spelling]
    found = attributed(rectified(relu), "guided-backprop")
    on = UNIT.ravel() @ HIDDEN > 0
    expected = (on * np.maximum(LAST[:, TARGET], 0)) @ HIDDEN.T
    same(found.channels[0], expected.reshape(IMAGE.shape))
    assert any("depends little on the network's weights" in note for note in found.notes)
    everywhere = np.maximum(LAST[:, TARGET], 0) @ HIDDEN.T
    same(attributed(rectified(relu), "deconvnet").channels[0], everywhere.reshape(IMAGE.shape))


@pytest.mark.parametrize("activation", ["silu", "gelu", "linear"])
def test_guided_backprop_of_a_network_without_relus_is_refused(activation: str) -> None:
    with pytest.raises(ModelError, match="there is none in this network; the plain gradient is method gradient"):
        attributed(rectified(activation), "guided-backprop")


def test_a_relu_that_cannot_be_changed_is_no_silent_plain_gradient() -> None:
    keras = keras_ready()
    backend = keras.backend.backend()
    if backend == "torch":
        pytest.skip("PyTorch lets all of them be changed")
    if backend == "jax":
        jax = pytest.importorskip("jax")

        def relu(x: Any) -> Any:
            return jax.lax.map(jax.nn.relu, x)
    else:
        tf = pytest.importorskip("tensorflow")
        relu = tf.function(lambda x: tf.nn.relu(x))
    with pytest.raises(ModelError, match=r"one lies within a .*be changed"):
        attributed(rectified(lambda x: relu(x)), "guided-backprop")


def test_statuses_are_true() -> None:
    keras = keras_ready()
    layers = keras.layers
    body = [layers.Flatten(), layers.Dense(2, activation="softmax", name="last")]
    model = keras.Sequential([keras.Input(IMAGE.shape), *body])
    model.layers[-1].set_weights([WEIGHTS * 1000, np.zeros(2)])
    network = convlens.load(model, preprocess="rescale")
    assert attributed(network, "gradient").status == ("ok",)
    assert attributed(network, "gradient", score="probability").status == ("zero gradient",)
    model.layers[-1].set_weights([np.zeros(WEIGHTS.shape), np.zeros(2)])
    assert attributed(network, "gradient").status == ("zero gradient",)
    assert attributed(network, "occlusion").status == ("constant",)
    model.layers[-1].set_weights([np.full(WEIGHTS.shape, np.nan), np.zeros(2)])
    for method in ("gradient", "occlusion", "integrated-gradients"):
        assert attributed(network, method).status == ("non-finite at last",)


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        ("gradient", {"steps": 5}, "method gradient has no steps: it takes no parameters"),
        ("occlusion", {"samples": 5}, "method occlusion has no samples: it takes baselines, patch, stride"),
        ("integrated-gradients", {"baselines": "blak"}, "unknown baseline 'blak': did you mean black"),
        ("integrated-gradients", {"baselines": ()}, "no baseline given"),
        ("integrated-gradients", {"rule": "middle"}, "unknown rule 'middle'"),
        ("integrated-gradients", {"steps": 0}, "steps 0: expected a whole number, at least 1"),
        ("smoothgrad", {"noise": -0.1}, "noise -0.1: expected a share"),
        ("rise", {"seed": -1}, "seed -1: expected at least 0"),
        ("occlusion", {"patch": 11}, "patch 11, stride 5: expected a patch of at most 10 pixels"),
        ("occlusion", {"patch": 3, "stride": 4}, "a stride of at most 3"),
        ("integrated-gradient", {}, "did you mean integrated-gradients"),
    ],
)
def test_what_a_method_does_not_take_is_told(method: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        attributed(linear(), method, **options)


def test_images_as_the_network_takes_them_are_compared_with_pixels_through_its_preprocessing() -> None:
    found = attributed(
        linear(), "integrated-gradients", UNIT.astype("float32"), value_range="network", baselines="white"
    )
    same(found.channels[0], slopes() * (UNIT - 1))


def test_bfloat16_is_near_float32() -> None:
    exact, rough = (attributed(rectified(), "integrated-gradients", precision=each) for each in ("float32", "bfloat16"))
    assert np.corrcoef(exact.values.ravel(), rough.values.ravel())[0, 1] > 0.99
    assert rough.values.dtype == np.float32


def test_rows_say_what_the_method_takes() -> None:
    assert len(METHODS) == len({row.function for row in METHODS.values()}) == 17
    for row in METHODS.values():
        assert row.maps.__doc__
        assert row.to_json()["parameters"].keys() == row.defaults.keys()
