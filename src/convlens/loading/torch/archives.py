"""Weights out of PyTorch's archives of programs (TorchScript, torch.export) and out of safetensors files, as data.

The programs in them are never run: their pickles are read by an unpickler that knows tensors, containers and empty
objects, and nothing else.
"""

import json
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from convlens.errors import ModelError, reason

QUANTIZED = "holds a quantized network, whose weights are whole numbers; give the float one that it was made from"
MAX_HEADER = 100 << 20
MAX_DEPTH = 60
STORAGES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip
SAFETENSORS = {
    "F32": torch.float32, "F64": torch.float64, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_EXPORTED = {7: torch.float32, 8: torch.float64, 6: torch.float16, 13: torch.bfloat16, 5: torch.int64, 4: torch.int32,
             3: torch.int16, 2: torch.int8, 1: torch.uint8, 12: torch.bool}  # fmt: skip


class ScriptObject:
    """A module of a TorchScript archive: its attributes, without its code."""

    def __setstate__(self, state: Any) -> None:
        self.state = state


def tensor_of(data: bytes, dtype: torch.dtype, offset: int, sizes: Any, strides: Any, name: str) -> torch.Tensor:
    """A tensor over bytes, after a look at whether it lies within them.

    Raises:
        ModelError: it does not.
    """
    sizes, strides = [int(size) for size in sizes], [int(stride) for stride in strides]
    available = len(data) // dtype.itemsize
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    empty = 0 in sizes
    if min([offset, *sizes, *strides]) < 0 or (not empty and last >= available):
        raise ModelError(f"damaged weights: {name or 'a tensor'} of shape {tuple(sizes)} lies outside of its data")
    if empty:
        return torch.empty(sizes, dtype=dtype)
    flat = torch.frombuffer(bytearray(data), dtype=dtype, count=available)
    return torch.as_strided(flat, sizes, strides, offset).clone()


class _Unpickler(pickle.Unpickler):
    """Builds tensors and containers; every other name in the pickle ends the reading."""

    def __init__(self, data: bytes, read: Callable[[str], bytes]) -> None:
        super().__init__(BytesIO(data))
        self.read = read

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            return type("ScriptObject", (ScriptObject,), {"script": f"{module}.{name}"})
        known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): self.tensor,
            ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
            ("torch.jit._pickle", "restore_type_tag"): lambda value, _: value,
            ("torch.jit._pickle", "build_tensor_from_id"): lambda number: number,
        }
        if module == "torch.jit._pickle" and name.startswith("build_") and name.endswith("list"):
            return list
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if (module, name) in known:
            return known[module, name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> tuple[bytes, torch.dtype]:
        kind, dtype, key = pid[:3]
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError("an unknown storage")
        return self.read(str(key)), dtype

    @staticmethod
    def tensor(storage: tuple[bytes, torch.dtype], offset: int, sizes: Any, strides: Any, *_: Any) -> torch.Tensor:
        return tensor_of(storage[0], storage[1], offset, sizes, strides, "")


def script_weights(path: Path) -> dict[str, torch.Tensor]:
    """The parameters and buffers of a TorchScript archive, by their paths.

    Raises:
        ModelError: it is damaged.
    """
    root = script_object(path)
    weights: dict[str, torch.Tensor] = {}
    _collect(root, "", weights, 0)
    return weights


def script_object(path: Path) -> ScriptObject:
    """The outermost module of a TorchScript archive, with those in it as its attributes.

    Raises:
        ModelError: it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            pickled = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            folder = pickled[: -len("data.pkl")]
            root = _Unpickler(archive.read(pickled), lambda key: archive.read(f"{folder}data/{key}")).load()
    except ModelError:
        raise
    except Exception as error:
        if "_rebuild_qtensor" in str(error):
            raise ModelError(f"{path} {QUANTIZED}") from error
        raise ModelError(f"{path} is a damaged TorchScript file ({reason(error)}); get the file again") from error
    if not isinstance(root, ScriptObject):
        raise ModelError(f"{path} is a damaged TorchScript file (no module in it); get the file again")
    return root


def _collect(value: Any, path: str, weights: dict[str, torch.Tensor], depth: int) -> None:
    state = getattr(value, "state", None)
    if depth > MAX_DEPTH or not isinstance(state, dict):
        return
    for name, part in state.items():
        inner = f"{path}.{name}" if path else str(name)
        if isinstance(part, torch.Tensor):
            weights[inner] = part
        elif isinstance(part, ScriptObject):
            _collect(part, inner, weights, depth + 1)


def exported_weights(path: Path) -> dict[str, torch.Tensor]:
    """The parameters and buffers of a torch.export file, by their paths.

    Raises:
        ModelError: it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            older = next((name for name in names if name.endswith("serialized_state_dict.pt")), None)
            if older is not None:
                return torch.load(BytesIO(archive.read(older)), map_location="cpu", weights_only=True)
            table = next(name for name in names if name.endswith("model_weights_config.json"))
            entries = json.loads(archive.read(table))["config"]
            folder = table.rsplit("/", 1)[0]
            return {
                name: _exported(entry, archive.read(f"{folder}/{entry['path_name']}"), name)
                for name, entry in entries.items()
            }
    except ModelError:
        raise
    except (Exception, RecursionError) as error:
        raise ModelError(f"{path} is a damaged torch.export file ({reason(error)}); get the file again") from error


def _exported(entry: dict[str, Any], data: bytes, name: str) -> torch.Tensor:
    if entry.get("use_pickle"):
        return torch.load(BytesIO(data), map_location="cpu", weights_only=True)
    meta = entry["tensor_meta"]
    sizes, strides = ([side["as_int"] for side in meta[key]] for key in ("sizes", "strides"))
    return tensor_of(data, _EXPORTED[meta["dtype"]], meta["storage_offset"]["as_int"], sizes, strides, name)


def safetensors_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file: a JSON table, then bytes.

    Raises:
        ModelError: it is damaged.
    """
    try:
        data = path.read_bytes()
        size = int.from_bytes(data[:8], "little")
        if not 2 <= size <= min(MAX_HEADER, len(data) - 8):
            raise ValueError("its table is longer than the file")
        table = json.loads(data[8 : 8 + size])
        weights = {}
        for name, entry in table.items():
            if name == "__metadata__":
                continue
            start, end = entry["data_offsets"]
            sizes = [int(side) for side in entry["shape"]]
            strides = [int(torch.Size(sizes[place + 1 :]).numel()) for place in range(len(sizes))]
            part = data[8 + size + start : 8 + size + end]
            weights[name] = tensor_of(part, SAFETENSORS[entry["dtype"]], 0, sizes, strides, name)
        return weights
    except ModelError:
        raise
    except (Exception, RecursionError) as error:
        raise ModelError(f"{path} is a damaged safetensors file ({reason(error)}); get the file again") from error
