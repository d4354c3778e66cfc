"""What runs through layers without weights is refused by name, and nothing else is."""

import keras
import numpy as np
import pytest

import convlens
from convlens.errors import ModelError

layers = keras.layers
PHOTO = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)


def branched() -> keras.Model:
    """Two branches: a -> b and a -> c -> d, merged, then a classifier."""
    start = keras.Input((16, 16, 3))
    first = layers.Conv2D(3, 3, padding="same", activation="relu", name="a")(start)
    left = layers.Conv2D(3, 3, padding="same", name="b")(first)
    right = layers.Conv2D(3, 3, padding="same", activation="relu", name="c")(first)
    right = layers.MaxPooling2D(name="pool")(layers.Conv2D(3, 3, padding="same", name="d")(right))
    merged = layers.add([layers.MaxPooling2D(name="other")(left), right], name="sum")
    return keras.Model(start, layers.Dense(2, name="fc")(layers.GlobalAveragePooling2D(name="mean")(merged)))


@pytest.fixture
def without_c(tmp_path):
    """A file that has weights for all layers but c."""
    import h5py

    model = branched()
    path = tmp_path / "net.h5"
    model.save(path)
    with h5py.File(path, "r+") as file:
        root = file["model_weights"]
        del root["c"]
        root.attrs["layer_names"] = [name for name in root.attrs["layer_names"] if name not in (b"c", "c")]
    return path


def test_what_lies_before_works_and_what_runs_through_is_refused(without_c):
    network = convlens.load(without_c, preprocess="rescale")
    assert network.untrained.paths == ("c",)
    assert "no weights in net.h5 for c: these layers are untrained" in network.notes
    assert convlens.activations(network, PHOTO, ["a", "b", "other"])["b"].shape == (1, 16, 16, 3)
    everything = convlens.activations(network, PHOTO)
    assert set(everything) == {"a", "b", "other"}
    assert "left out, as they run through layers without weights: c, d, pool" in everything.provenance["notes"]
    for name in ("c", "d", "pool", "sum", "mean", "fc"):
        with pytest.raises(ModelError, match=rf"layer {name} of .* runs through layers that have no weights: c;"):
            convlens.activations(network, PHOTO, [name])
    with pytest.raises(ModelError, match=r"the output of .* runs through layers that have no weights: c; .*--partial"):
        convlens.heatmap(network, PHOTO, layer="a")
    with pytest.raises(ModelError, match=r"layer d of .* runs through"):
        convlens.filter_patterns(network, "d", 0, size=16, steps=1)
    assert convlens.filter_patterns(network, "b", [0], size=16, steps=1).images.shape == (1, 16, 16, 3)


def test_partial_computes_it_and_says_so(without_c):
    network = convlens.load(without_c, preprocess="rescale", partial=True)
    assert convlens.activations(network, PHOTO, ["d"])["d"].shape == (1, 16, 16, 3)
    heatmap = convlens.heatmap(network, PHOTO)
    assert any("random weights" in note for note in heatmap.provenance["notes"])


def test_an_unknown_preprocessing_is_not_guessed_from_untrained_predictions(without_c):
    network = convlens.load(without_c)
    found = convlens.activations(network, PHOTO, ["a"])
    assert any(
        "as they are, as what runs through untrained layers tells nothing" in note for note in found.provenance["notes"]
    )


def test_weights_left_over_while_layers_go_without_are_an_error(tmp_path):
    model = branched()
    model.save_weights(tmp_path / "w.weights.h5")
    start = keras.Input((16, 16, 3))
    tensor = layers.Conv2D(3, 3, padding="same", name="a")(start)
    other = keras.Model(start, layers.SeparableConv2D(3, 3, name="new")(tensor))
    with pytest.raises(ModelError, match=r"has none for new, and no layer takes those that it has for .*\bb\b"):
        convlens.load(tmp_path / "w.weights.h5", architecture=other)


def test_weights_left_over_alone_are_a_note(tmp_path):
    model = branched()
    model.save_weights(tmp_path / "w.weights.h5")
    headless = keras.Model(model.input, model.get_layer("mean").output)
    network = convlens.load(tmp_path / "w.weights.h5", architecture=headless, preprocess="none")
    assert network.untrained.paths == ()
    assert network.notes == ("weights in w.weights.h5 that no layer has: fc",)
    found = convlens.activations(network, PHOTO, ["mean"])["mean"]
    expected = keras.ops.convert_to_numpy(headless(PHOTO[None].astype("float32")))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_untrained_on_purpose_is_a_note(tmp_path):
    (tmp_path / "net.json").write_text(branched().to_json())
    network = convlens.load(tmp_path / "net.json", weights="random", preprocess="rescale", head="classes")
    assert network.notes == ("the network is untrained: weights=random",)
    assert convlens.heatmap(network, PHOTO).values.shape[0] == 1


@pytest.mark.parametrize("noise", [0, 1, 2])
def test_dependence_is_that_of_the_graph(tmp_path, noise):
    """Random graphs whose paths are known: what is refused is what can be reached from the layer without weights."""
    rng = np.random.default_rng(noise)
    start = keras.Input((8, 8, 2))
    tensors, reached = [start], [set()]
    for number in range(8):
        name = f"n{number}"
        chosen = sorted({int(place) for place in rng.integers(0, len(tensors), 2)})
        merged = layers.concatenate([tensors[place] for place in chosen]) if len(chosen) > 1 else tensors[chosen[0]]
        tensors.append(layers.Conv2D(2, 3, padding="same", activation=["relu", "tanh"][number % 2], name=name)(merged))
        reached.append(set.union({name}, *(reached[place] for place in chosen)))
    model = keras.Model(start, [layers.GlobalAveragePooling2D()(tensor) for tensor in tensors[1:]])
    (tmp_path / "net.json").write_text(model.to_json())
    network = convlens.load(model, preprocess="none")
    from convlens.network.inspect.untrained import reach_of

    missing = f"n{rng.integers(0, 8)}"
    found = reach_of(network, [missing])
    expected = {f"n{number}" for number in range(8) if missing in reached[number + 1]}
    assert {call for call in found.calls if call.startswith("n")} == expected
    assert found.outputs == {int(name[1:]) for name in expected}
