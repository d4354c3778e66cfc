"""From arrays to pictures. The oracles are the formulas of the seed in slow loops, closed forms, and matplotlib."""

import matplotlib
import numpy as np
import pytest
from PIL import Image

from convlens.errors import OptionError
from convlens.render.colormap import colorize
from convlens.render.grid import activation_grid, channel_tiles, crossed, pattern_grid, strip, tile
from convlens.render.normalize import channel_scale, constant_channels, heat_scale, layer_scale, pattern_image
from convlens.render.overlay import heat_picture, noted, overlay, panel, resized
from convlens.render.text import TITLE, font, framed, wrap


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_channel_scale_is_the_seeds() -> None:
    values = rng().normal(3, 20, (6, 7, 4)).astype("float32")
    for channel in range(4):
        one = values[..., channel].astype("float64")
        expected = np.clip((one - one.mean()) / one.std() * 64 + 128, 0, 255).astype("uint8")
        assert np.abs(channel_scale(values)[..., channel].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan, 1e30])
def test_one_odd_value_spoils_its_own_channel_only(odd: float) -> None:
    values = rng().random((8, 8, 3)).astype("float32")
    clean = channel_scale(values)
    values[0, 0, 1] = odd
    np.testing.assert_array_equal(channel_scale(values)[..., [0, 2]], clean[..., [0, 2]])
    for scaled in (layer_scale(values), heat_scale(values[..., 1])):
        assert np.isfinite(scaled).all()
    others = np.sort(layer_scale(values)[..., 0].ravel())
    if not np.isfinite(odd):  # what is no number must not hide the rest of the layer
        assert others[-1] - others[0] > 200


def test_constant_channels_are_found_and_do_not_divide() -> None:
    values = np.full((14, 14, 5), [0, 0.1, 123.456, 1e-6, -7], "float32")
    values[3, 3, 4] = -6
    assert constant_channels(values).tolist() == [True, True, True, True, False]
    assert set(channel_scale(values[..., :1]).ravel()) == {128}
    assert not layer_scale(np.full((4, 4, 2), 5.0)).any()
    assert not heat_scale(np.zeros((4, 4))).any()
    assert not heat_scale(np.full((4, 4), -1.0)).any()


def test_layer_scale_keeps_channels_comparable() -> None:
    values = np.array([[[0.0, 10.0], [2.0, 4.0]]])
    np.testing.assert_array_equal(layer_scale(values), [[[0, 255], [51, 102]]])


def test_pattern_display_is_the_seeds() -> None:
    given = rng().normal(5, 3, (3, 6, 7, 3)).astype("float32")
    given[2] = 9
    for image, found in zip(given.astype("float64"), pattern_image(given), strict=True):
        x = (image - image.mean()) / (image.std() + 1e-5) * 0.1 + 0.5
        x = np.clip(np.clip(x, 0, 1) * 255, 0, 255).astype("uint8")
        assert np.abs(found.astype(int) - x).max() <= 1
    grey = pattern_image(given[..., :1])
    assert grey.shape == (3, 6, 7, 3)
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])


def test_heat_scale_is_the_share_of_the_maximum() -> None:
    np.testing.assert_allclose(heat_scale(np.array([[-3.0, 0.0], [1.0, 4.0]])), [[0, 0], [0.25, 1]])


@pytest.mark.parametrize("name", ["viridis", "inferno", "magma", "jet", "gray"])
def test_colours_are_matplotlibs(name: str) -> None:
    values = np.linspace(0, 1, 256, dtype="float32")
    expected = matplotlib.colormaps[name](np.arange(256), bytes=True)[:, :3]
    assert np.abs(colorize(values, name).astype(int) - expected).max() <= 1
    np.testing.assert_array_equal(colorize(np.arange(256, dtype="uint8"), name), colorize(values, name))


def test_colours_of_what_is_out_of_range() -> None:
    ends = colorize(np.array([0.0, 1.0]), "viridis")
    np.testing.assert_array_equal(colorize(np.array([-5, np.nan, 7, np.inf]), "viridis"), ends[[0, 0, 1, 1]])


def test_unknown_names_are_refused_with_near_ones() -> None:
    with pytest.raises(OptionError, match="viridis"):
        colorize(np.zeros(3), "virdis")
    values = rng().random((4, 4, 3))
    with pytest.raises(OptionError, match="channel"):
        activation_grid(values, "conv", scale="chanel")
    for columns in (0, -1):
        with pytest.raises(OptionError, match="at least 1"):
            activation_grid(values, "conv", columns=columns)


@pytest.mark.parametrize(("count", "columns", "margin"), [(64, 8, 5), (10, 4, 3), (3, 16, 1), (5, 1, 0), (1, 1, 2)])
def test_tiles_lie_in_rows_and_none_is_dropped(count: int, columns: int, margin: int) -> None:
    tiles = rng().integers(0, 256, (count, 6, 9, 3), dtype="uint8")
    across = min(columns, count)
    rows = -(-count // across)
    expected = np.zeros((rows * 6 + (rows - 1) * margin, across * 9 + (across - 1) * margin, 3), "uint8")
    expected[:] = (1, 2, 3)
    for number in range(count):
        y, x = (number // across) * (6 + margin), (number % across) * (9 + margin)
        expected[y : y + 6, x : x + 9] = tiles[number]
    np.testing.assert_array_equal(tile(tiles, columns, margin, (1, 2, 3)), expected)


def test_the_pattern_mosaic_is_that_of_the_book() -> None:
    patterns = rng().integers(1, 256, (64, 64, 64, 3), dtype="uint8")
    mosaic = np.asarray(pattern_grid(patterns))
    assert mosaic.shape == (547, 547, 3)
    assert not mosaic[64:69].any()
    assert not mosaic[:, 64:69].any()
    np.testing.assert_array_equal(mosaic[3 * 69 : 3 * 69 + 64, 5 * 69 : 5 * 69 + 64], patterns[29])


@pytest.mark.parametrize("side", [8, 64])
def test_patterns_with_a_word_are_crossed_out_and_others_are_not(side: int) -> None:
    patterns = rng().integers(0, 256, (10, side, side, 3), dtype="uint8")
    found = np.asarray(pattern_grid(patterns, 4, 5, {9: "unreached"}))
    plain = np.asarray(pattern_grid(patterns, 4, 5))
    y, x = 2 * (side + 5), side + 5
    cross = found[y : y + side, x : x + side]
    assert len(np.unique(cross.reshape(-1, 3), axis=0)) > 1
    assert cross.std() < patterns[9].std()
    if side == 64:
        assert (cross > 200).all(-1).any()  # the word
    rest = found.copy()
    rest[y : y + side, x : x + side] = plain[y : y + side, x : x + side]
    np.testing.assert_array_equal(rest, plain)


@pytest.mark.parametrize(("side", "channels", "columns"), [(14, 20, 16), (3, 5, 2), (40, 3, 16)])
def test_every_channel_is_in_the_grid(side: int, channels: int, columns: int) -> None:
    values = rng().random((side, side, channels)).astype("float32")
    values[..., 1] = 2.5
    picture = np.asarray(activation_grid(values, "", columns=columns)).astype(int)[12:, 12:]  # without the white rim
    across = min(columns, channels)
    times = min(max(1200 // (across * side), 1), max(128 // side, 1))
    step = times * side + max(times * side // 32, 1)
    for channel in range(channels):
        one = values[..., channel].astype("float64")
        if channel == 1:
            expected = crossed(side, side)
        else:
            scaled = np.clip((one - one.mean()) / one.std() * 64 + 128, 0, 255).astype("uint8")
            expected = matplotlib.colormaps["viridis"](scaled, bytes=True)[..., :3]
        y, x = channel // across * step, channel % across * step
        found = picture[y : y + side * times, x : x + side * times]
        assert np.abs(found - expected.repeat(times, 0).repeat(times, 1)).max() <= 8, channel  # a step of the map


def test_the_shared_scale_shows_which_channel_is_strong() -> None:
    values = np.zeros((4, 4, 2), "float32")
    values[0, 0] = (1, 10)
    weak, strong = channel_tiles(values, "layer", "gray")
    assert (int(weak[0, 0, 0]), int(strong[0, 0, 0])) == (25, 255)
    weak, strong = channel_tiles(values, "channel", "gray")
    np.testing.assert_array_equal(weak, strong)


def test_a_map_that_is_not_finite_is_drawn() -> None:
    assert activation_grid(np.full((4, 4, 3), np.nan, "float32"), "conv").size[0] > 0
    assert strip(np.array([np.inf, -np.inf, 1, np.nan], "float32"), "dense").size[0] > 0


def ink(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("L")) < 200


@pytest.mark.parametrize("side", [1, 3, 200])
def test_titles_of_any_length_are_whole(side: int) -> None:
    picture = Image.new("RGB", (side, side), "white")
    for title in ("conv2d_5", "a/very/long/path_" * 12, "many words " * 30):
        dark = ink(framed(picture, title, "caption " * 20))
        assert dark.any()
        assert not dark[:, -6:].any()
        assert not dark[-4:].any()
        lines = wrap(title, TITLE, max(side, 360))
        assert "".join(lines).replace(" ", "") == title.replace(" ", "")
        assert all(font(TITLE).getlength(line) <= max(side, 360) for line in lines)
        gaps = np.flatnonzero(np.diff(np.r_[0, dark.any(1), 0]) == 1)
        assert len(gaps) >= len(lines)  # every line is drawn


@pytest.mark.parametrize("title", ["слой", "猫", "عربي", "🐱", "\x00", "", "\n\n"])
def test_any_text_can_be_drawn(title: str) -> None:
    assert framed(Image.new("RGB", (5, 5)), title, title).size[0] >= 360


def test_a_strip_holds_every_feature_in_order() -> None:
    values = np.linspace(0, 1, 150, dtype="float32")
    picture = np.asarray(strip(values, "predictions", colormap="gray"))
    columns = 64
    top = int(np.flatnonzero((picture[:, 12 + 17 * 63 + 8] != 255).any(-1))[0])  # first row of the last column
    for number in (0, 63, 64, 149):
        y, x = top + (number // columns) * 17 + 8, 12 + (number % columns) * 17 + 8
        assert abs(int(picture[y, x, 0]) - values[number] * 255) <= 2


@pytest.mark.parametrize("shape", [(), (1,), (5,), (3000,), (197, 768), (4, 5, 6, 7), (2, 9000), (1, 1, 1)])
def test_an_output_of_any_shape_has_a_drawing(shape: tuple[int, ...]) -> None:
    picture = strip(rng().random(shape).astype("float32"), "layer", "caption")
    assert len(np.unique(np.asarray(picture))) > 2
    assert max(picture.size) < 7000


def test_resizing_keeps_heat_where_it_is() -> None:
    heat = np.zeros((4, 5), "float32")
    heat[0, 4] = 3
    large = resized(heat, 80, 50)
    assert large.shape == (80, 50)
    assert np.unravel_index(large.argmax(), large.shape)[0] < 20
    assert np.unravel_index(large.argmax(), large.shape)[1] >= 40
    assert large.max() == pytest.approx(1)
    assert not large[40:, :25].any()


def test_overlay_is_the_blend_at_the_photos_size() -> None:
    photo = rng().integers(0, 256, (6, 7, 3), dtype="uint8")
    heat = rng().random((6, 7)).astype("float32") * 5
    colours = matplotlib.colormaps["inferno"](np.rint(heat / heat.max() * 255).astype(int), bytes=True)[..., :3]
    found = np.asarray(overlay(photo, heat, 0.4)).astype(int)
    assert np.abs(found - (photo * 0.6 + colours * 0.4)).max() <= 1
    np.testing.assert_array_equal(np.asarray(overlay(photo, heat, 0.0)), photo)
    assert overlay(photo[:, :5], np.ones((14, 3))).size == (5, 6)


def test_heat_can_be_seen_on_white() -> None:
    heat = np.zeros((9, 9), "float32")
    heat[4, 4] = 1
    found = np.asarray(overlay(np.full((90, 90, 3), 250, "uint8"), heat)).astype(int)
    assert np.abs(found[45, 45] - found[0, 0]).max() > 80


@pytest.mark.parametrize("status", ["no positive evidence", "zero gradient", "non-finite at conv_final"])
def test_a_map_without_a_message_leaves_the_photo_as_it_is(status: str) -> None:
    photo = rng().integers(60, 256, (200, 300, 3), dtype="uint8")
    found = np.asarray(overlay(photo, np.full((3, 3), np.nan, "float32"), status=status))
    np.testing.assert_array_equal(found[:170], photo[:170])
    assert (found[170:] == 30).all(-1).any()
    assert (found[170:] == 255).all(-1).any()  # the words
    alone = np.asarray(heat_picture(np.zeros((5, 5), "float32"), status))
    assert (alone[0] == 128).all()
    assert (alone == 255).any()


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (32, 32), (20, 300), (300, 20), (96, 96)])
def test_a_note_leaves_half_of_a_small_photo(size: tuple[int, int]) -> None:
    found = np.asarray(noted(Image.new("RGB", size, (0, 200, 0)), "no positive evidence"))
    assert found.shape == (size[1], size[0], 3)
    assert (found[: size[1] // 2] == (0, 200, 0)).all()
    assert not (found[-1] == (0, 200, 0)).all()
    if min(size) >= 96:
        assert (found == 255).all(-1).any()


def test_the_heatmap_alone_shows_whole_cells() -> None:
    heat = np.array([[0, 1], [2, 4]], "float32")
    picture = np.asarray(heat_picture(heat, colormap="gray"))
    cells = [int(picture[y, x, 0]) for y in (100, 300) for x in (100, 300)]
    assert np.abs(np.array(cells) - [0, 63.75, 127.5, 255]).max() <= 1


@pytest.mark.parametrize("shape", [(300, 400), (50, 1000), (1000, 50), (3, 3)])
def test_the_panel_shows_photo_heat_and_both(shape: tuple[int, int]) -> None:
    photo = np.full((*shape, 3), (0, 200, 0), "uint8")
    picture = panel(photo, np.ones((7, 7), "float32"), "African elephant", "elephant", colormap="gray")
    colours = {tuple(colour) for colour in np.asarray(picture).reshape(-1, 3).tolist()}
    assert {(0, 200, 0), (255, 255, 255), (102, 222, 102)} <= colours
    assert not ink(picture)[:, -6:].any()
