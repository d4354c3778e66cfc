"""Files of every Keras since 2.12, with what their writers computed; made by tools/keras_writers.py."""

import tarfile
from collections import defaultdict
from pathlib import Path

import keras
import numpy as np
import pytest

from convlens.network.loading import open_model

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
    assert len(architectures) == 13
    assert len(FILES) == len(versions) * len(architectures)
    without = {(version, name) for (version, name), files in FILES.items() if f"{name}.keras" not in files}
    assert without == {("2.12", "shared")}, "TensorFlow 2.12 does not read its own file of this network"
    assert sum(f"{name}.h5" in files for (_, name), files in FILES.items()) > 200


@pytest.mark.parametrize(("version", "name"), sorted(FILES))
def test_outputs_are_the_writers(folder, version, name):
    place, files = folder / version, FILES[version, name]
    expected = np.load(place / f"{name}.npy")
    architecture = next((place / f"{name}{end}" for end in (".json", ".keras") if f"{name}{end}" in files), None)
    for file in files:
        if not file.endswith((".keras", ".h5")) or (".weights." in file and architecture is None):
            continue
        loaded = open_model(place / file, architecture=architecture if ".weights." in file else None)
        assert loaded.notes == (), file
        assert loaded.untrained == (), file
        found = keras.ops.convert_to_numpy(loaded.model(inputs(), training=False))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5, err_msg=file)
