"""What a file is, told by its content: names lie."""

import json
import pickletools
import re
import struct
import zipfile
from io import BytesIO
from pathlib import Path

from convlens.errors import ModelError

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

TORCH_KINDS = (TORCH_ZIP, TORCH_PICKLE, TORCH_TAR, TORCHSCRIPT, TORCH_EXPORT, SAFETENSORS)
TORCH_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"  # the long that starts every file of PyTorch before 1.6
TEXT_LIMIT = 64 << 20
EXPECTED = (
    "expected a Keras file (.keras, .h5, architecture .json or .yaml), a PyTorch checkpoint (.pt, .pth), or a name"
    " such as keras:VGG16, torchvision:resnet18 or module:function"
)


def sniff(path: Path) -> str:
    """The kind of a model file, one of this module's names.

    Raises:
        ModelError: no such file, an empty one, or none of the kinds.
    """
    if path.is_dir():
        return _folder(path)
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise ModelError(f"{path}: {reason}; {EXPECTED}") from error
    if not head:
        raise ModelError(f"{path} is empty (0 bytes); {EXPECTED}")
    kind = _binary(path, head) or _text(path, head)
    if kind is None:
        raise ModelError(f"{path} is not a model: its content is of no known kind; {EXPECTED}")
    return kind


def _folder(path: Path) -> str:
    if (path / "saved_model.pb").exists() or (path / "saved_model.pbtxt").exists():
        return SAVED_MODEL
    raise ModelError(f"{path} is a folder without a SavedModel in it; name the model file itself; {EXPECTED}")


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
        return TORCH_TAR
    if re.match(rb"\x80[\x02-\x05]", head) and _is_pickle(head):
        return TORCH_PICKLE
    if len(head) > 10 and head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return SAFETENSORS
    if head[0] == 0x08 and head[1:2] < b" " and _looks_onnx(head):
        return ONNX
    return None


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
    shown = ", ".join(sorted(leaves - {""})[:4])
    raise ModelError(f"{path} is a zip archive, but not of a model (it holds {shown or 'nothing'}); {EXPECTED}")


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


def _looks_onnx(head: bytes) -> bool:
    """A protobuf message whose fields start as those of ONNX's ModelProto do: version, producer, graph."""
    return bool(re.match(rb"\x08[\x01-\x1f](\x12|:|\x1a|\x42)", head)) and (
        b"onnx" in head.lower() or b"pytorch" in head.lower() or b"tf2onnx" in head or head[2] in b"\x12:"
    )


def _text(path: Path, head: bytes) -> str | None:
    if b"\x00" in head or path.stat().st_size > TEXT_LIMIT:
        return None
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    if text.lstrip()[:1] in ("{", "[", '"'):
        try:
            json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{path} starts like JSON, but is damaged ({error}); get the file again") from error
        return JSON
    return YAML if re.search(r"^\s*(- )?(class_name|config)\s*:", text, re.MULTILINE) else None
