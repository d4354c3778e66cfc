"""Images, transforms and optimizers of patterns against slow twins: NumPy's FFT, SciPy's interpolation, the papers."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from convlens import backend
from convlens.backend import keras_ready
from convlens.backend.arrays import numpy_arrays
from convlens.errors import OptionError
from convlens.techniques.patterns.images.base import Colours, as_shown
from convlens.techniques.patterns.images.fourier import PHOTO_COLOURS, Fourier
from convlens.techniques.patterns.optimizers.adam import Adam
from convlens.techniques.patterns.optimizers.normalized import Normalized
from convlens.techniques.patterns.optimizers.sign import Sign
from convlens.techniques.patterns.recipes import RECIPES
from convlens.techniques.patterns.transforms.warp import Jitter, Motion, Rotate, Scale, Warp


def run(function: Any, *arrays: np.ndarray) -> list[np.ndarray]:
    """A compiled function's arrays of arrays."""
    ops = keras_ready().ops
    found = backend.current().compiled(function)(*(ops.convert_to_tensor(array) for array in arrays))
    return numpy_arrays(*(found if isinstance(found, list | tuple) else [found]))


def gradient(function: Any, x: np.ndarray, upstream: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
    """Of the sum of upstream * function(x, *arrays) by x."""
    ops = keras_ready().ops

    def scored(x: Any, upstream: Any, *arrays: Any) -> Any:
        def score(x: Any) -> Any:
            values = ops.sum(function(x, *arrays) * upstream)
            return ops.reshape(values, (1,)), values

        return backend.current().gradients(score)(x)[2]

    return run(scored, x, upstream, *arrays)[0][0]


def colours(channels: int) -> Colours:
    generator = np.random.default_rng(channels)
    return Colours(*(generator.normal(0, 1, shape).astype("float32") for shape in ((channels,) * 2, channels)))


SIDES = [(16, 16), (9, 14), (14, 9), (7, 7), (1, 5), (6, 1), (1, 1)]


def spectral(latent: np.ndarray, sides: tuple[int, int], space: Colours) -> np.ndarray:
    """The slow twin of one Fourier image, in float64: each frequency's own wave, added up."""
    height, width = sides
    mixed = np.zeros((*sides, space.channels))
    rows, columns = np.indices(sides)
    for v, u in np.ndindex(height, width // 2 + 1):
        down, right = min(v, height - v) / height, u / width
        scale = np.sqrt(height * width) / (4 * max(np.hypot(down, right), 1 / max(sides)))
        wave = np.exp(2j * np.pi * (v * rows / height + u * columns / width)) / (height * width)
        twice = 1 if u == 0 or 2 * u == width else 2  # what lies mirrored in the other half
        amplitude = scale * (latent[0, :, v, u].astype("float64") + 1j * latent[1, :, v, u])
        mixed += twice * (wave[..., None] * amplitude).real
    logits = mixed @ np.array(PHOTO_COLOURS).T if space.channels == 3 else mixed
    return 255 / (1 + np.exp(-logits)) @ space.matrix.T.astype("float64") + space.offset


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_fourier_image_is_the_sum_of_its_waves(sides: tuple[int, int], channels: int) -> None:
    image = Fourier(sides, colours(channels))
    latents = np.stack([image.begin(np.random.default_rng(row), 1) for row in range(2)])
    assert latents.dtype == np.float32
    (found,) = run(image.inputs, latents)
    wanted = np.stack([spectral(latent, sides, image.colours) for latent in latents])
    assert found.shape == (2, *sides, channels)
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


def test_the_gradient_of_a_fourier_image_is_that_of_the_twin() -> None:
    image = Fourier((6, 5), colours(3))
    latent = image.begin(np.random.default_rng(0), 1)
    upstream = np.random.default_rng(1).normal(0, 1, (1, 6, 5, 3)).astype("float32")
    found = gradient(image.inputs, latent[None], upstream)[0]
    for place in np.ndindex(*latent.shape):
        step = np.zeros_like(latent, "float64")
        step[place] = 1e-4
        ends = [spectral(latent + sign * step, (6, 5), image.colours) for sign in (1, -1)]
        wanted = ((ends[0] - ends[1]) * upstream[0]).sum() / 2e-4
        assert found[place] == pytest.approx(wanted, rel=1e-3, abs=2e-2)


def test_fourier_starts_are_grey_and_true_colours_are_bytes_as_they_are() -> None:
    neutral = Colours(np.eye(3), np.zeros(3))
    image = Fourier((32, 32), neutral)
    (start,) = run(image.inputs, image.begin(np.random.default_rng(4), 0)[None])
    assert abs(start.mean() - 127.5) < 3
    assert 0.1 < start.std() < 10
    shown = as_shown(np.array([[[[-3.0, 0.4, 254.6], [300.0, np.nan, 7.5]]]]))
    assert shown.tolist() == [[[[0, 0, 255], [255, 0, 8]]]]
    assert as_shown(np.full((1, 1, 1, 1), 9.0)).tolist() == [[[[9, 9, 9]]]]


def sampled(image: np.ndarray, displacement: np.ndarray, pad: int) -> np.ndarray:
    """The slow twin of a view: SciPy's interpolation at the places that it shows."""
    height, width = image.shape[:2]
    rows, columns = np.meshgrid(np.arange(-pad, height + pad), np.arange(-pad, width + pad), indexing="ij")
    middle = (np.array([height, width]) - 1) / 2
    places = np.stack([rows - middle[0], columns - middle[1], np.ones_like(rows)])
    at = np.stack([rows, columns]) + np.tensordot(displacement.astype("float64"), places, 1)
    return np.stack([map_coordinates(channel, at, order=1, mode="mirror") for channel in np.moveaxis(image, -1, 0)], -1)


WARPS = {
    "jitter": Warp((Jitter(3),)),
    "scale": Warp((Scale(0.6, 1.6),)),
    "rotate": Warp((Rotate(180),)),
    "all": Warp((Rotate(30), Scale(0.7, 1.3), Jitter(4))),
    "padded": Warp((Rotate(5), Jitter(2)), pad=3),
    "far": Warp((Jitter(90),)),
    "reflection alone": Warp((), pad=20),
}


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("name", list(WARPS))
def test_views_are_scipys(name: str, sides: tuple[int, int]) -> None:
    warp, generator = WARPS[name], np.random.default_rng(3)
    images = generator.random((3, *sides, 2))
    (drawn,) = zip(*(warp.draw(generator, sides) for _ in range(3)), strict=True)
    (found,) = run(lambda x, y: warp.view(x, [y]), images.astype("float32"), np.stack(drawn))
    wanted = [sampled(image, by, warp.pad) for image, by in zip(images, drawn, strict=True)]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_the_gradient_of_views_is_the_transpose_of_scipys() -> None:
    warp, sides = WARPS["all"], (6, 7)
    generator = np.random.default_rng(8)
    (by,) = warp.draw(generator, sides)
    upstream = generator.normal(0, 1, (1, *sides, 1)).astype("float32")
    found = gradient(lambda x, y: warp.view(x, [y]), upstream * 0, upstream, by[None])
    for row, column in np.ndindex(*sides):
        unit = np.zeros((*sides, 1))
        unit[row, column] = 1
        assert found[0, row, column, 0] == pytest.approx((sampled(unit, by, 0) * upstream[0]).sum(), abs=1e-5)


def test_motions_are_what_their_names_say() -> None:
    """An image with one bright pixel, seen moved, turned and magnified."""

    class By(Motion):
        def __init__(self, matrix: Any) -> None:
            self.matrix = np.array(matrix, "float64")

        def draw(self, generator: np.random.Generator) -> np.ndarray:
            return self.matrix

    image = np.zeros((1, 9, 9, 1), "float32")
    image[0, 4, 6] = 1  # two right of the middle
    turned, magnified = By([[0, 1, 0], [-1, 0, 0], [0, 0, 1]]), By(np.diag([0.5, 0.5, 1]))

    def seen(*motions: Motion) -> tuple[int, int]:
        warp = Warp(motions)
        (view,) = run(lambda x, y: warp.view(x, [y]), image, warp.draw(np.random.default_rng(0), (9, 9))[0][None])
        return divmod(int(view.argmax()), 9)

    assert seen() == (4, 6)
    assert seen(magnified) == (4, 8)
    assert seen(turned) == (2, 4)
    assert seen(By([[1, 0, 1], [0, 1, 2], [0, 0, 1]])) == (3, 4)  # a view from one lower and two to the right
    assert seen(By([[1, 0, 0], [0, 1, 2], [0, 0, 1]]), turned) == (2, 2)


def test_motions_are_drawn_within_their_bounds() -> None:
    generator = np.random.default_rng(0)
    jitters = np.array([Jitter(8).draw(generator)[:2, 2] for _ in range(500)])
    assert 7.5 < np.abs(jitters).max() <= 8
    scales = np.array([1 / Scale(0.9, 1.1).draw(generator)[0, 0] for _ in range(500)])
    assert 0.9 <= scales.min() < 0.905
    assert 1.095 < scales.max() <= 1.1
    turns = np.array([Rotate(5).draw(generator)[:2, :2] for _ in range(500)])
    angles = np.degrees(np.arctan2(turns[:, 1, 0], turns[:, 0, 0]))
    assert 4.9 < np.abs(angles).max() <= 5
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.eye(2)[None].repeat(500, 0), atol=1e-12)
    for bounds in ((0, 1), (1.1, 0.9), (-1, 1)):
        with pytest.raises(OptionError, match="scale"):
            Scale(*bounds)


def test_adam_takes_the_papers_steps() -> None:
    """Algorithm 1 of Kingma and Ba, upwards, for two rows, of which one starts again after two steps."""
    optimizer, generator = Adam(), np.random.default_rng(2)
    start = generator.normal(0, 1, (2, 3, 4)).astype("float32")

    def step(x: Any, gradients: Any, sizes: Any, *state: Any) -> list[Any]:
        moved, state = optimizer.step(x, gradients, sizes, state)
        return [moved, *state]

    found = [start, *optimizer.state(start)]
    wanted = [(row.astype("float64"), np.zeros_like(row, "float64"), np.zeros_like(row, "float64"), 0) for row in start]
    for number, power in enumerate((0, -3, 2, -5)):
        if number == 2:
            for array, fresh in zip(found, [start, *optimizer.state(start)], strict=True):
                array[1] = fresh[1]
            wanted[1] = (start[1].astype("float64"), wanted[1][1] * 0, wanted[1][2] * 0, 0)
        gradients = generator.normal(0, 10.0**power, start.shape).astype("float32")
        found = run(step, found[0], gradients, np.float32(0.05), *found[1:])
        for row, (x, mean, square, t) in enumerate(wanted):
            g, t = gradients[row].astype("float64"), t + 1
            mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g**2
            x = x + 0.05 * (mean / (1 - 0.9**t)) / (np.sqrt(square / (1 - 0.999**t)) + 1e-8)
            wanted[row] = (x, mean, square, t)
        np.testing.assert_allclose(found[0], [x for x, *_ in wanted], rtol=1e-5, atol=1e-5)
    assert found[3].tolist() == [4, 2]


@pytest.mark.parametrize("shape", [(2, 5, 6, 3), (2, 2, 3, 4, 3)])
def test_normalized_and_sign_steps(shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(6)
    x, g = generator.normal(0, 1, shape).astype("float32"), generator.normal(0, 0.01, shape).astype("float32")
    sizes = np.full(shape[1:], 0.5, "float32")
    g[0] *= 1e-4
    rms = np.sqrt((g.astype("float64") ** 2).mean(tuple(range(1, len(shape))), keepdims=True))
    for optimizer, wanted in ((Normalized(), x + 0.5 * g / (rms + 1e-5)), (Sign(), x + 0.5 * np.sign(g))):
        (found,) = run(lambda *given, optimizer=optimizer: optimizer.step(*given, [])[0], x, g, sizes)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_the_table_names_papers_and_loads_no_framework() -> None:
    assert {"ascent", "fourier"} <= set(RECIPES)
    assert all(row.paper and row.words and row.steps > 0 < row.step_size for row in RECIPES.values())
    code = (
        "import convlens.techniques.patterns.recipes, sys;"
        "sys.exit(any(name in sys.modules for name in ('keras', 'tensorflow', 'jax', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
