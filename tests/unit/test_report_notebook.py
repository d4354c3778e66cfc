"""How results and pages show themselves in a notebook."""

import base64
import re
from html import unescape
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image

from convlens.data.images import Photo
from convlens.page.notebook import Report
from convlens.results.activations import Activations
from convlens.results.heatmaps import Heatmap, Prediction
from convlens.results.patterns import FilterPatterns
from tests.unit.made import measured

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype("uint8")


def activations(layers: int) -> Activations:
    values = {f"<{number}>": np.random.default_rng(number).random((1, 6, 6, 20), "float32") for number in range(layers)}
    return Activations(values, (Photo("cat", PIXELS),), {k: (measured(v[0]),) for k, v in values.items()}, {})


def heatmap(status: str) -> Heatmap:
    values = np.array([[[0, 1], [2, 4]]], "float32") * (status == "ok")
    guesses = ((Prediction(3, "cat & dog", 0.5),),)
    return Heatmap(
        values, "late", 3, ("cat & dog",), (status,), guesses, "logit", "grad-cam", (Photo("cat", PIXELS),), (None,), {}
    )


def pictures(html: str) -> list[np.ndarray]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    return [np.asarray(Image.open(BytesIO(base64.b64decode(one)))) for one in found]


def test_activations_show_their_first_layers_and_name_the_rest() -> None:
    found = activations(6)
    html = found._repr_html_()
    shown = pictures(html)
    assert len(shown) == 4
    assert np.array_equal(shown[2], np.asarray(found.picture("<2>")))
    assert "and 2 more layers" in html
    assert "<2>" not in html
    assert 'alt="All channels of &lt;2&gt;"' in html
    assert "more layers" not in activations(2)._repr_html_()


def test_a_heatmap_shows_its_panel() -> None:
    found = heatmap("ok")
    html = found._repr_html_()
    assert np.array_equal(pictures(html)[0], np.asarray(found.panel()))
    assert "cat &amp; dog" in html


def test_patterns_show_their_grid() -> None:
    images = np.random.default_rng(1).integers(0, 256, (3, 16, 16, 3)).astype("uint8")
    found = FilterPatterns(images, (4, 5, 9), np.zeros(3), np.ones(3), np.zeros(3), ("ok",) * 3, "late", {})
    assert np.array_equal(np.asarray(Image.open(BytesIO(found._repr_png_()))), np.asarray(found.picture()))
    axes = found.plot().axes[0]
    assert [words.get_text() for words in axes.texts] == ["4", "5", "9"]
    for drawn, image in zip(axes.images, images, strict=True):
        assert np.array_equal(np.asarray(drawn.get_array()), image)


def test_a_plot_of_activations_has_every_channel_under_its_number() -> None:
    found = activations(1)
    axes = found.plot("<0>").axes[0]
    assert [words.get_text() for words in axes.texts] == [str(channel) for channel in range(20)]
    places = [tuple(round(float(side), 2) for side in drawn.get_extent()[:2]) for drawn in axes.images]
    assert places[1] == (1, 1.94)
    assert places[16] == (0, 0.94)  # the second row
    assert axes.get_title() == "<0> on cat"


def test_a_plot_of_a_heatmap_has_its_values_on_a_bar() -> None:
    figure = heatmap("ok").plot()
    photo, bar = figure.axes
    assert bar.get_ylim() == pytest.approx((0, 4))
    assert photo.get_title() == "cat & dog (class 3), probability 0.500"
    assert np.asarray(photo.images[0].get_array()).shape == (20, 30, 3)


def test_a_plot_of_a_heatmap_that_says_nothing_says_why_and_has_no_bar() -> None:
    figure = heatmap("zero gradient").plot()
    assert len(figure.axes) == 1
    assert figure.axes[0].get_title().endswith(": zero gradient")


def test_plots_are_left_to_the_notebook_to_show() -> None:
    activations(1).plot("<0>")
    heatmap("ok").plot()
    assert pyplot.get_fignums() == []


def test_a_page_shows_itself_in_a_frame(tmp_path: Path) -> None:
    path = Report(tmp_path / "page.html")
    text = '<!doctype html><title>"quoted" & <b></title>'
    path.write_text(text)
    assert isinstance(path, Path)
    frame = re.search(r'srcdoc="([^"]*)"', path._repr_html_())
    assert frame
    assert unescape(frame[1]) == text
