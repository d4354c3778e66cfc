"""Classes by their names."""

from pathlib import Path

import pytest

from convlens.data.labels import Labels, checked, imagenet_names, read_labels
from convlens.errors import LabelsError, TargetError


def test_imagenets_names_are_in_the_usual_order() -> None:
    names = imagenet_names()
    assert len(names) == 1000
    # well known members: Keras' and torchvision's documentation name them by these numbers
    assert names[0].startswith("tench")
    assert names[281].startswith("tabby")
    assert names[386].startswith("African elephant")
    assert names[999].startswith("toilet tissue")


@pytest.mark.parametrize("name", ["African elephant", "african_elephant", "Loxodonta africana", " AFRICAN  Elephant "])
def test_a_class_is_found_by_name_or_synonym(name: str) -> None:
    assert Labels(imagenet_names(), "").index(name) == 386


def test_a_whole_name_goes_before_a_part_of_others() -> None:
    labels = Labels(("cat", "cat fish", "wild cat"), "")
    assert labels.index("cat") == 0
    assert labels.index("wild") == 2


def test_an_ambiguous_name_lists_its_candidates() -> None:
    with pytest.raises(TargetError, match=r"ambiguous: 1 \(cat fish\), 2 \(wild cat\); give the index"):
        Labels(("dog", "cat fish", "wild cat"), "").index("cat")


def test_an_unknown_name_lists_near_ones() -> None:
    with pytest.raises(TargetError, match="did you mean elephant"):
        Labels(("dog", "elephant"), "").index("elefant")


def test_a_file_with_numbers_loses_them(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("0 left hand\n1 right hand\n")
    assert read_labels(tmp_path / "labels.txt") == ("left hand", "right hand")
    (tmp_path / "labels.txt").write_text("7 up\n8 up\n")
    assert read_labels(tmp_path / "labels.txt") == ("7 up", "8 up")


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe\xfa\x80"])
def test_a_file_without_names_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(LabelsError, match=r"labels\.txt"):
        read_labels(tmp_path / "labels.txt")


def test_the_number_of_names_must_fit() -> None:
    with pytest.raises(LabelsError, match="has 2 names, but the network has 3 classes"):
        checked(("a", "b"), 3, "labels file x")
