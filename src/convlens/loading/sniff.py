"""What a file is, told by its content: names lie."""

import json
import os
import pickletools
import re
import struct
import tarfile
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from convlens.errors import ModelError, listing
from convlens.loading import protobuf

HDF5 = "HDF5"
KERAS_ZIP = "Keras zip"
JSON = "JSON"
YAML = "YAML"
TORCH_ZIP = "PyTorch zip"
TORCH_PICKLE = "PyTorch legacy pickle"
TORCH_TAR = "PyTorch tar"
TORCHSCRIPT = "TorchScript"
TORCH_EXPORT = "torch.export"
SAFETENSORS = "safetensors"
SAVED_MODEL = "SavedModel"
TFLITE = "TFLite"
ONNX = "ONNX"
SAVED_MODEL_PART = "part of a SavedModel"
TENSORFLOW_GRAPH = "TensorFlow graph"
KERAS_PICKLE = "pickled Keras model"

TORCH_KINDS = (TORCH_ZIP, TORCH_PICKLE, TORCH_TAR, TORCHSCRIPT, TORCH_EXPORT, SAFETENSORS)
TORCH_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"  # the long that starts every file of PyTorch before 1.6
TEXT_LIMIT = 64 << 20
ARCHIVES = {
    b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!": "RAR",
}  # fmt: skip
# endings of what may be a model within an archive or a folder, the likeliest first
ENDINGS = (".keras", ".h5", ".hdf5", ".pt", ".pth", ".safetensors", ".ckpt", ".pkl", ".tflite", ".onnx",
           "saved_model.pb")  # fmt: skip
EXPECTED = (
    "expected a Keras file (.keras, .h5, architecture .json or .yaml), a PyTorch checkpoint (.pt, .pth), or a name"
    " such as keras:VGG16, torchvision:resnet18 or module:function"
)


@dataclass(frozen=True)
class ModelFile:
    """A file that was found to be one of a model.

    Attributes:
        path: of the file, or of a folder that is a model.
        kind: one of this module's names.
    """

    path: Path
    kind: str

    @property
    def framework(self) -> str:
        """Whose model it is: "keras" or "torch"."""
        return "torch" if self.kind in TORCH_KINDS else "keras"


def sniffed(path: Path) -> ModelFile:
    """A file with what it is.

    Raises:
        ModelError: no such file, an empty one, or none of the kinds.
    """
    return ModelFile(path, _kind(path))


def _kind(path: Path) -> str:
    if os.path.isdir(path):
        return _folder(path)
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError)
        problem = "no such file" if missing else getattr(error, "strerror", None) or str(error)
        raise ModelError(f"{path}: {problem}; {EXPECTED}") from error
    if not head:
        raise ModelError(f"{path} is empty (0 bytes); {EXPECTED}")
    kind = _binary(path, head) or _text(path, head)
    if kind is None:
        raise ModelError(f"{path} is not a model: its content is of no known kind; {EXPECTED}")
    return kind


def _folder(path: Path) -> str:
    if (path / "saved_model.pb").exists() or (path / "saved_model.pbtxt").exists():
        return SAVED_MODEL
    models = _models([str(inner.relative_to(path)) for inner in path.iterdir()])
    there = f"it holds {models}" if models else "it has no SavedModel in it"
    raise ModelError(f"{path} is a folder, and {there}; name the model file itself; {EXPECTED}")


def _models(names: list[str]) -> str:
    """Those names that may be of model files, for a message; none of what macOS adds to archives."""
    real = [name for name in names if not name.startswith("__MACOSX/")]
    return listing(sorted((name for name in real if name.lower().endswith(ENDINGS)), key=_likeliness), 4)


def _likeliness(name: str) -> int:
    return next(place for place, ending in enumerate(ENDINGS) if name.lower().endswith(ending))


def _binary(path: Path, head: bytes) -> str | None:
    if _is_hdf5(path, head):
        return HDF5
    if head.startswith(b"PK\x03\x04") or head.startswith(b"PK\x05\x06"):
        return _zip(path)
    if head[4:8] == b"TFL3":
        return TFLITE
    if TORCH_MAGIC in head[:16]:
        return TORCH_PICKLE
    if head[257:262] == b"ustar":
        return _tar(path)
    for start, name in ARCHIVES.items():
        if head.startswith(start):
            raise ModelError(f"{path} is a {name} archive; unpack it, and name the model file in it")
    if re.match(rb"\x80[\x02-\x05]", head) and _is_pickle(head):
        return KERAS_PICKLE if _pickled_keras(head) else TORCH_PICKLE
    if len(head) > 10 and head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return SAFETENSORS
    return _message(path, head)


def _is_hdf5(path: Path, head: bytes) -> bool:
    """The signature may also stand at 512, 1024, 2048 ... behind a user block."""
    signature = b"\x89HDF\r\n\x1a\n"
    return any(head[start : start + 8] == signature for start in (0, 512, 1024, 2048))


def _zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise ModelError(f"{path} is a damaged zip archive ({error}); get the file again") from error
    leaves = {name.rsplit("/", 1)[-1] for name in names}
    if "config.json" in names and ("metadata.json" in names or any(name.endswith(".h5") for name in names)):
        return KERAS_ZIP
    if leaves & {"serialized_exported_program.json", "serialized_state_dict.pt"} or any(
        re.search(r"(^|/)(models/[^/]+\.json|archive_format)$", name) for name in names
    ):
        return TORCH_EXPORT
    if "constants.pkl" in leaves and any(re.search(r"(^|/)code/", name) for name in names):
        return TORCHSCRIPT
    if "data.pkl" in leaves:
        return TORCH_ZIP
    if models := _models(names):
        raise ModelError(
            f"{path} is a zip archive of a folder, with {models} in it; unpack it, and name the model file"
        )
    shown = ", ".join(sorted(leaves - {""})[:4])
    raise ModelError(f"{path} is a zip archive, but not of a model (it holds {shown or 'nothing'}); {EXPECTED}")


def _tar(path: Path) -> str:
    """PyTorch's own archives before 0.1.10, or anybody's."""
    try:
        with tarfile.open(path, "r:") as archive:
            names = archive.getnames()
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise ModelError(f"{path} is a damaged tar archive ({error}); get the file again") from error
    if {"pickle", "storages", "tensors"} <= set(names):
        return TORCH_TAR
    held = _models(names) or ", ".join(names[:4])
    raise ModelError(f"{path} is a tar archive, with {held or 'nothing'} in it; unpack it, and name the model file")


def _is_pickle(head: bytes) -> bool:
    """Whether the first bytes read as pickle operations; nothing is built or called."""
    count = 0
    try:
        for count, _ in enumerate(pickletools.genops(BytesIO(head))):
            if count > 8:
                return True
    except Exception:
        return count > 4
    return True


def _pickled_keras(head: bytes) -> str | None:
    """The first class or function of Keras that a pickle asks for."""
    strings: list[str] = []
    try:
        for operation, argument, _ in pickletools.genops(BytesIO(head)):
            named = None
            if operation.name == "GLOBAL":
                named = str(argument).replace(" ", ".")
            elif operation.name == "STACK_GLOBAL" and len(strings) > 1:
                named = ".".join(strings[-2:])
            elif isinstance(argument, str):
                strings.append(argument)
            if named and named.split(".")[0] in ("keras", "tf_keras", "tensorflow", "tensorflow_core"):
                return named
    except Exception:  # the first bytes end within an operation
        return None
    return None


def _message(path: Path, head: bytes) -> str | None:
    """A protocol buffer, by its outermost fields: ONNX's ModelProto, or one of TensorFlow's."""
    if head[0] not in b"\x08\x0a\x12":
        return None
    fields = protobuf.fields(path)
    kinds = {(field.number, field.wire) for field in fields}
    parts = {field.number: field.start for field in fields}
    if (1, protobuf.VARINT) in kinds and (7, protobuf.BYTES) in kinds and max(parts) < 64:  # a version and a graph
        return ONNX
    if kinds == {(1, protobuf.VARINT), (2, protobuf.BYTES)} and parts[2][:1] == b"\x0a":  # a version and meta graphs
        return SAVED_MODEL_PART
    if kinds == {(1, protobuf.BYTES)} and b"_tf_keras_" in head:
        return SAVED_MODEL_PART
    if (1, protobuf.BYTES) in kinds and parts[1][:1] == b"\x0a" and b"Placeholder" in head:
        return TENSORFLOW_GRAPH
    return None


def _text(path: Path, head: bytes) -> str | None:
    if b"\x00" in head or path.stat().st_size > TEXT_LIMIT:
        return None
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    if text.startswith("version https://git-lfs.github.com/"):
        size = re.search(r"^size (\d+)", text, re.MULTILINE)
        whole = f" of {int(size.group(1)):,} bytes" if size else ""
        raise ModelError(
            f"{path} is a Git LFS pointer, which stands for a file{whole} that is not here; fetch it with git lfs pull"
        )
    if re.match(r"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<(!doctype\s+html|html|head|body)\b", text, re.I | re.S):
        raise ModelError(
            f"{path} is an HTML page, as a site gives in place of a file that must be downloaded another way; download"
            " the model file itself"
        )
    if text.lstrip()[:1] in ("{", "[", '"'):
        try:
            json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{path} starts like JSON, but is damaged ({error}); get the file again") from error
        return JSON
    return YAML if re.search(r"^\s*(- )?(class_name|config)\s*:", text, re.MULTILINE) else None
