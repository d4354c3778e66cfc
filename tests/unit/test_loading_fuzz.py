"""300 damaged files: each ends in an error of the family, or loads; none hangs, crashes or eats the memory."""

import json
import random
import signal
import sys
import time
from pathlib import Path

import keras
import pytest

from convlens.errors import ConvlensError
from convlens.loading import open_model
from convlens.loading.sniff import sniffed
from tests.unit.test_loading_zoo import _legacy_weights

EACH = 30
SECONDS = 10
GIGABYTES = 2


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """One file of each format, and how it is opened."""
    folder = tmp_path_factory.mktemp("originals")
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Conv2D(4, 3),
        keras.layers.BatchNormalization(),
        keras.layers.Flatten(),
        keras.layers.Dense(3),
    ]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    model.save(folder / "zip.keras")
    model.save(folder / "whole.h5")
    model.save_weights(folder / "new.weights.h5")
    _legacy_weights(model, folder / "old.h5")
    (folder / "a.json").write_text(model.to_json())
    entry = {"class_name": "Dense", "config": {"units": 3, "batch_input_shape": [None, 4]}}
    (folder / "a.yaml").write_text("class_name: Sequential\nconfig:\n- " + json.dumps(entry) + "\n")
    options = {
        "zip.keras": {},
        "whole.h5": {},
        "new.weights.h5": {"architecture": model},
        "old.h5": {"architecture": model},
        "a.json": {"weights": folder / "new.weights.h5"},
        "a.yaml": {"weights": "random"},
    }
    return {folder / name: lambda path, o=chosen: open_model(path, **o) for name, chosen in options.items()} | _torch(
        folder
    )


def _torch(folder: Path):
    torch = pytest.importorskip("torch")
    from convlens.loading.torch.checkpoints import load_state, read_content, state_dict_in

    def net():
        return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 3))

    torch.save(net().state_dict(), folder / "zip.pt")
    torch.save(net().state_dict(), folder / "old.pt", _use_new_zipfile_serialization=False)
    torch.export.save(torch.export.export(net(), (torch.zeros(1, 3, 8, 8),)), folder / "e.pt2")
    table = b'{"0.weight":{"dtype":"F32","shape":[4,3,3,3],"data_offsets":[0,432]}}'
    (folder / "m.safetensors").write_bytes(len(table).to_bytes(8, "little") + table + bytes(432))

    def read(path):
        load_state(net(), state_dict_in(read_content(sniffed(path), trust=False)), path.name)

    return {folder / name: read for name in ("zip.pt", "old.pt", "e.pt2", "m.safetensors")}


def damaged(content: bytes, generator: random.Random, cut: bool) -> bytes:
    if cut:
        return content[: generator.randrange(len(content))]
    changed = bytearray(content)
    for _ in range(generator.choice([1, 1, 2, 8, 64])):
        changed[generator.randrange(len(changed))] = generator.randrange(256)
    return bytes(changed)


def memory() -> float:
    """The most memory that the process has held, in gigabytes."""
    resource = pytest.importorskip("resource")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)


def too_long(*_):
    raise KeyboardInterrupt(f"a file took over {SECONDS} s")  # no Exception, which a loader may turn into another


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="needs an alarm")
@pytest.mark.filterwarnings("ignore")  # what PyTorch and Keras remark on damaged files does not matter
def test_damaged_files_end_in_errors_of_the_family(originals, tmp_path):
    generator = random.Random(0)
    before = memory()
    outcomes, longest = {"error": 0, "loaded": 0}, 0
    for path, load in originals.items():
        load(path)  # the whole one loads
        for number in range(EACH):
            copy = tmp_path / path.name
            copy.write_bytes(damaged(path.read_bytes(), generator, cut=number % 2 == 0))
            signal.signal(signal.SIGALRM, too_long)
            signal.alarm(SECONDS)
            try:
                load(copy)
                outcomes["loaded"] += 1
            except ConvlensError as error:
                outcomes["error"] += 1
                longest = max(longest, str(error).count("\n") + 1)
            finally:
                signal.alarm(0)
    assert sum(outcomes.values()) == EACH * len(originals) == 300
    assert longest == 1  # line
    assert outcomes["error"] > 150
    assert outcomes["loaded"] > 5
    assert memory() - before < GIGABYTES


def test_time_is_not_spent_on_what_is_no_model(tmp_path):
    path = tmp_path / "zeros.h5"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    start = time.monotonic()
    with pytest.raises(ConvlensError, match="is not a model"):
        open_model(path)
    assert time.monotonic() - start < 1
