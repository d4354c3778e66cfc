"""Where results go: folders, whole or not at all and never at the cost of somebody's files, and memory."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convlens.errors import OutputError
from convlens.output.folder import Folder
from convlens.output.manifest import MANIFEST, plain
from convlens.output.memory import Memory
from convlens.output.names import safe_name


def red(side: int = 4) -> Image.Image:
    return Image.new("RGB", (side, side), (255, 0, 0))


class Cut(Image.Image):
    """A picture during whose writing the user interrupts."""

    def save(self, fp, format=None, **params) -> None:
        fp.write(b"\x89PNG half a picture")
        raise KeyboardInterrupt


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def manifest(folder: Path) -> dict:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads((folder / MANIFEST).read_text(encoding="utf-8"), parse_constant=refuse)


def test_a_complete_run_holds_what_its_manifest_says(tmp_path: Path) -> None:
    values = np.arange(6, dtype="float32").reshape(2, 3)
    with Folder(tmp_path / "new" / "out", "filters") as run:
        run.origin({"seed": 7})
        path = run.picture("views/block1/conv.png", red(), layer="block1/conv", mean=np.float32("nan"))
        run.arrays("values.npz", {"values": values})
        run.text("page.html", "é")
        run.note("layers", (np.int64(3), np.inf, {"range": np.array([1.5, -np.inf])}))
        run.failure("block9", "not there")
        assert not (tmp_path / "new" / "out").exists()
    out = tmp_path / "new" / "out"
    found = manifest(out)
    assert (found["status"], found["command"], found["provenance"]) == ("complete", "filters", {"seed": 7})
    assert found["layers"] == [3, None, {"range": [1.5, None]}]
    assert found["failures"] == [{"what": "block9", "why": "not there"}]
    assert found["files"][0] == {"path": "views/block1/conv.png", "layer": "block1/conv", "mean": None}
    assert path == "views/block1/conv.png"
    assert [file.relative_to(out).as_posix() for file in run.files] == [entry["path"] for entry in found["files"]]
    assert everything(out) == {"views", "views/block1", "views/block1/conv.png", "values.npz", "page.html", MANIFEST}
    with Image.open(out / path) as picture:
        assert picture.getpixel((0, 0)) == (255, 0, 0)
    with np.load(out / "values.npz") as stored:
        np.testing.assert_array_equal(stored["values"], values)
    assert zipfile.ZipFile(out / "values.npz").testzip() is None
    assert (out / "page.html").read_bytes() == b"\xc3\xa9"
    assert everything(tmp_path / "new") == {"out"} | {f"out/{name}" for name in everything(out)}


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> None:
        with Folder(tmp_path / "out", "filters") as run:
            run.picture("first.png", red())
            raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        broken()
    assert everything(tmp_path) == set()


def test_an_interrupt_keeps_finished_pictures_only(tmp_path: Path) -> None:
    def interrupted() -> None:
        with Folder(tmp_path / "out", "filters") as run:
            run.picture("first.png", red())
            run.picture("second.png", Cut())

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    found = manifest(tmp_path / "out")
    assert found["status"] == "interrupted"
    assert [entry["path"] for entry in found["files"]] == ["first.png"]
    assert everything(tmp_path) == {"out", "out/first.png", f"out/{MANIFEST}"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_other_peoples_files_are_never_replaced(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    (tmp_path / "out" / MANIFEST).write_text('["of another program"]')
    with pytest.raises(OutputError, match="choose another"):
        Folder(tmp_path / "out", "filters", overwrite).__enter__()
    assert everything(tmp_path) == {"out", "out/thesis.txt", f"out/{MANIFEST}"}


def test_a_folder_filled_during_the_run_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def crossed() -> None:
        with Folder(out, "filters") as run:
            run.picture("first.png", red())
            out.mkdir()
            (out / "thesis.txt").write_text("years of work")

    with pytest.raises(OutputError, match="not empty"):
        crossed()
    assert everything(tmp_path) == {"out", "out/thesis.txt"}


def test_an_earlier_run_is_replaced_at_the_end_only(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Folder(out, "filters") as run:
        run.picture("old/first.png", red())
    with pytest.raises(OutputError, match="--overwrite"):
        Folder(out, "filters").__enter__()
    with pytest.raises(ValueError, match="broken"), Folder(out, "filters", overwrite=True):
        raise ValueError("broken")
    assert (out / "old" / "first.png").exists()
    with Folder(out, "heatmap", overwrite=True) as run:
        run.picture("new.png", red())
        assert (out / "old" / "first.png").exists()
    assert everything(tmp_path) == {"out", "out/new.png", f"out/{MANIFEST}"}
    assert manifest(out)["command"] == "heatmap"


def test_an_empty_folder_is_filled_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    with Folder(tmp_path / "link", "filters") as run:
        run.picture("first.png", red())
    assert (tmp_path / "link").is_symlink()
    assert everything(tmp_path / "disk") == {"first.png", MANIFEST}
    assert everything(tmp_path) >= {"disk", "link"}
    assert len(list(tmp_path.iterdir())) == 2


def test_the_current_folder_can_be_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with Folder(Path("."), "filters") as run:
        run.picture("first.png", red())
    assert everything(tmp_path) == {"here", "here/first.png", f"here/{MANIFEST}"}


@pytest.mark.parametrize("name", ["file", "file/out"])
def test_what_is_no_folder_is_refused_before_any_work(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError) as caught:
        Folder(tmp_path / name, "filters").__enter__()
    assert "\n" not in str(caught.value)
    assert everything(tmp_path) == {"file"}


NAMES = [
    "conv2d_5", "block1/conv", "block1_conv", "../../etc/passwd", "..", ".", "", " ", "CON", "con.txt", "nul", "a:b",
    "a?b", "слой", "猫", "a" * 300, "a" * 299 + "b", "trailing.", "new\nline", "\udce9", "-rf",
]  # fmt: skip


def test_names_are_safe_on_every_system_and_keep_apart() -> None:
    made = [safe_name(name) for name in NAMES]
    assert len({name.lower() for name in made}) == len(NAMES)
    for name in made:
        assert 0 < len(name) <= 100
        assert name.isascii()
        assert not set(name) & set('/\\:*?"<>| \n')
        assert name not in (".", "..")
        assert not name.endswith(".")
        assert name.split(".")[0].lower() not in {"con", "nul", "aux", "prn", "com1", "lpt9"}
    assert made == [safe_name(name) for name in NAMES]
    assert safe_name("conv2d_5.png") == "conv2d_5.png"


def test_plain_knows_every_number() -> None:
    given = {1: np.float32(0.5), "b": np.bool_(True), "c": [np.nan, np.float64(-np.inf)], "p": Path("x/y"), "s": {3}}
    assert plain(given) == {"1": 0.5, "b": True, "c": [None, None], "p": str(Path("x/y")), "s": [3]}


def test_a_file_that_cannot_be_written_fails_the_run_though_a_thread_writes_it(tmp_path: Path) -> None:
    class Full(Image.Image):
        def save(self, fp, format=None, **params) -> None:
            fp.write(b"half")
            raise OSError(28, "No space left on device")

    def write() -> None:
        with Folder(tmp_path / "out", "filters") as run:
            run.picture("one.png", red())
            run.picture("two.png", Full())

    with pytest.raises(OSError, match="No space left"):
        write()
    assert everything(tmp_path) == set()


def test_many_pictures_keep_their_order_in_the_manifest(tmp_path: Path) -> None:
    sides = [900 - 20 * place for place in range(40)]  # the later ones are written faster
    with Folder(tmp_path / "out", "filters") as run:
        for side in sides:
            run.picture(f"{side}.png", red(side), side=side)
        run.settle()
        assert [entry["side"] for entry in run.manifest.to_json()["files"]] == sides
        assert all(path.stat().st_size for path in run.temporary.glob("*.png"))  # all are there once it is asked for
    assert len(everything(tmp_path / "out")) == len(sides) + 1


def test_memory_keeps_what_was_finished_or_nothing() -> None:
    def write(memory: Memory, last: Image.Image | Exception) -> None:
        with memory as run:
            run.picture("first.png", red())
            if isinstance(last, Exception):
                raise last
            run.picture("second.png", last)

    memory = Memory("filters")
    with pytest.raises(KeyboardInterrupt):
        write(memory, Cut())
    assert set(memory.files) == {"first.png", MANIFEST}
    told = json.loads(memory.files[MANIFEST])
    assert (told["status"], [entry["path"] for entry in told["files"]]) == ("interrupted", ["first.png"])
    memory = Memory("filters")
    with pytest.raises(ValueError, match="in the middle"):
        write(memory, ValueError("in the middle"))
    assert memory.files == {}


def test_what_is_the_same_for_all_results_is_said_once() -> None:
    """An entry's own provenance is what differs from the run's, null for what it does not have."""
    with Memory("report") as run:
        run.result("patterns", {"layer": "a"}, {"load": {"model": "m"}, "seed": 1, "steps": 9, "guess": None})
        run.result("patterns", {"layer": "b"}, {"load": {"model": "m"}, "seed": 2, "guess": None, "size": (8, 8)})
        run.notes(["one", "two", "one"])
        run.notes(["two", "three"])
    told = json.loads(run.files[MANIFEST])
    assert told["load"] == {"model": "m"}
    assert told["provenance"] == {"seed": 1, "steps": 9, "guess": None}
    assert [entry["provenance"] for entry in told["patterns"]] == [{}, {"seed": 2, "steps": None, "size": [8, 8]}]
    assert told["notes"] == ["one", "two", "three"]


def test_arrays_are_the_same_bytes_whenever_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    files = []
    for moment in (1e9, 1.7e9):
        monkeypatch.setattr(time, "time", lambda moment=moment: moment)
        with Memory("activations") as run:
            run.arrays("values.npz", {"values": np.arange(5)})
        files.append(run.files["values.npz"])
    assert files[0] == files[1]
