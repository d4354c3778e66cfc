"""Files of every Keras since 2.12, with what their writers computed; made by tools/keras_writers.py."""

import tarfile
from collections import defaultdict
from pathlib import Path

import keras
import numpy as np
import pytest

import convlens
from convlens.errors import ModelError
from convlens.loading import open_model

SCRIPT = Path(__file__).parents[2] / "tools" / "keras_architectures.py"
ARCHIVE = Path(__file__).parents[1] / "fixtures" / "keras_writers.tar.xz"


def inputs():
    """As the writers' own script draws them."""
    return np.random.default_rng(7).uniform(0, 1, (2, 12, 12, 3)).astype("float32")


def listed() -> dict[tuple[str, str], list[str]]:
    """Writer and architecture -> the files there are."""
    found = defaultdict(list)
    with tarfile.open(ARCHIVE) as archive:
        for name in archive.getnames():
            version, _, file = name.partition("/")
            found[version, file.partition(".")[0]].append(file)
    return dict(found)


FILES = listed()


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("writers")
    with tarfile.open(ARCHIVE) as archive:
        for entry in archive:
            path = target / entry.name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(archive.extractfile(entry).read())
    return target


def test_the_matrix_is_whole():
    versions, architectures = {version for version, _ in FILES}, {name for _, name in FILES}
    assert versions == {"2.12", "2.13", "2.14", "2.15", *(f"3.{minor}" for minor in range(16))}
    assert len(architectures) == 14
    assert len(FILES) == len(versions) * len(architectures)
    for (version, name), files in FILES.items():
        assert {f"{name}.keras", f"{name}.weights.h5", f"{name}.npy"} <= set(files), version
    assert sum(f"{name}.h5" in files for (_, name), files in FILES.items()) > 250


def is_incomplete(version: str, file: str) -> bool:
    """tf.keras leaves out where a layer is called that is part of an inner model, too; it cannot read this itself."""
    return version[0] == "2" and (file == "shared.h5" or (version == "2.12" and file.startswith("shared.")))


@pytest.mark.parametrize(("version", "name"), sorted(FILES))
def test_outputs_are_the_writers(folder, version, name):
    place, expected = folder / version, np.load(folder / version / f"{name}.npy")
    # the JSON says nothing of layers that are in two models, and Keras 3.0 to 3.5 on JAX write none of random layers
    described = f"{name}.json" if f"{name}.json" in FILES[version, name] and name != "shared" else f"{name}.keras"
    for file in FILES[version, name]:
        if not file.endswith((".keras", ".h5")):
            continue
        architecture = place / described if ".weights." in file else None
        custom = [f"{SCRIPT}:Block"] if name == "custom" else []
        if is_incomplete(version, file):
            with pytest.raises(ModelError, match="the inputs of layer conv2d are never computed"):
                open_model(place / file, architecture=architecture)
            continue
        loaded = open_model(place / file, architecture=architecture, custom=custom)
        assert loaded.notes == (), file
        assert loaded.untrained == (), file
        found = keras.ops.convert_to_numpy(loaded.model(inputs(), training=False))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5, err_msg=file)


@pytest.mark.parametrize("version", ["2.14", "2.15", "3.0", "3.5", "3.15"])
def test_an_architecture_that_lost_its_sharing_is_not_computed(folder, version):
    """Two layers where there was one: the second has no weights, or the graph is incomplete."""
    weights, architecture = folder / version / "shared.weights.h5", folder / version / "shared.json"
    if version[0] == "2":
        with pytest.raises(ModelError, match=r"weights do not fit|never computed"):
            convlens.load(weights, architecture=architecture)
        return
    network = convlens.load(weights, architecture=architecture, preprocess="rescale")
    assert [path.partition("/")[2] for path in network.untrained.paths] == ["conv2d"]
    with pytest.raises(ModelError, match=r"the output of .* runs through layers that have no weights: .*/conv2d;"):
        convlens.heatmap(network, np.zeros((12, 12, 3), "uint8"), layer="conv2d_2")
