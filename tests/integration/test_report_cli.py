"""convlens report on the command line: a folder, one file, and the page of a finished run anew."""

import json
from pathlib import Path

import pytest

import convlens
from convlens.cli import main
from convlens.errors import CancelledError
from convlens.jobs.survey import survey
from convlens.techniques.request import Compute


def refused(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    assert end.value.code == 2
    return capsys.readouterr().err


def test_one_file_and_nothing_else(
    model: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["report", str(model), str(photo), "--single-file", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["page"] == "convlens-report.html"
    assert said["files"] == ["convlens-report.html"]
    assert said["failures"] == []
    assert [path.name for path in tmp_path.iterdir()] == ["convlens-report.html"]
    assert "is there already" in refused(capsys, "report", model, photo, "--single-file")
    assert "is a folder" in refused(capsys, "report", model, photo, "--single-file", "--out", tmp_path)


def test_a_finished_run_gets_its_page_anew(
    model: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    convlens.report(str(model), photo, tmp_path / "r")
    first = (tmp_path / "r/index.html").read_text()
    (tmp_path / "r/index.html").unlink()
    main(["report", str(tmp_path / "r")])
    assert (tmp_path / "r/index.html").read_text() == first
    main(["report", str(tmp_path / "r"), "--single-file", "--out", str(tmp_path / "one.html")])
    assert (tmp_path / "one.html").stat().st_size > len(first)
    assert "no images given" in refused(capsys, "report", model)
    assert "no images given" in refused(capsys, "report", tmp_path)


def test_an_interrupted_single_file_holds_what_was_finished(
    model: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from convlens.jobs import patterns

    def stop(*given: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(patterns, "filter_patterns", stop)
    with pytest.raises(KeyboardInterrupt):
        convlens.report(str(model), photo, tmp_path / "r.html", single_file=True)
    text = (tmp_path / "r.html").read_text()
    assert "This run was interrupted." in text
    assert "patterns of early, patterns of late" in text
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


def test_a_cancelled_report_leaves_nothing_and_makes_no_further_stage(model: Path, photo: Path, tmp_path: Path) -> None:
    begun: list[str] = []
    compute = Compute(cancelled=lambda: "heatmaps at late" in begun)
    with pytest.raises(CancelledError):
        survey(convlens.load(str(model)), photo, tmp_path / "r", compute=compute, stage=begun.append)
    assert begun == ["activations", "heatmaps at late"]
    assert list(tmp_path.iterdir()) == []
