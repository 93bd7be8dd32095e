"""Checkpoints of PyTorch as arrays, without PyTorch and without running what a pickle asks for.

A pickle can call any function as it is opened. Here it can name dictionaries and tensors, and nothing else.
"""

import io
import pickle
from collections import OrderedDict
from typing import Any, BinaryIO, NamedTuple

import numpy as np

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
# What bytes that are no such file raise.
READ_ERRORS = (
    *(pickle.UnpicklingError, EOFError, OverflowError, RecursionError),
    *(KeyError, AttributeError, TypeError, IndexError, ValueError),
)
_TYPES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


class _Tensor(NamedTuple):
    """Where a tensor lies in a storage; the numbers come behind the pickles."""

    storage: tuple[str, str]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_checkpoint(data: bytes) -> dict[str, Any]:
    """What torch.save wrote in its format from before version 1.6, with arrays in place of tensors.

    Raises:
        ValueError: it is no such file, or names something else than dictionaries and tensors.
    """
    file = io.BytesIO(data)
    try:
        if _Unpickler(file).load() != MAGIC or _Unpickler(file).load() != PROTOCOL:
            raise ValueError("its head is another one")
        told, found, keys = _Unpickler(file).load(), _Unpickler(file).load(), _Unpickler(file).load()
        if not told.get("little_endian", True) or not isinstance(found, dict):
            raise ValueError("it holds no dictionary of little-endian numbers")
        types = dict(tensor.storage for tensor in _tensors(found))
        storages = {key: _storage(file, _TYPES[types[key]]) for key in keys}
        return _filled(found, storages)
    except READ_ERRORS as error:
        raise ValueError(
            f"no checkpoint of PyTorch in the format of before 1.6 that can be read safely: {error}. Pass the file as "
            "it was published."
        ) from None


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _Tensor(storage, offset, shape, strides)
        if module == "torch" and name in _TYPES:
            return name
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        _, kind, key, *_ = pid
        return key, kind


def _tensors(found: Any) -> list[_Tensor]:
    if isinstance(found, _Tensor):
        return [found]
    values = found.values() if isinstance(found, dict) else found if isinstance(found, list | tuple) else ()
    return [tensor for value in values for tensor in _tensors(value)]


def _storage(file: BinaryIO, kind: type) -> np.ndarray:
    (count,) = np.frombuffer(file.read(8), np.int64)
    return np.frombuffer(file.read(int(count) * np.dtype(kind).itemsize), kind, count=int(count))


def _filled(found: Any, storages: dict[str, np.ndarray]) -> Any:
    if isinstance(found, _Tensor):
        storage, places = storages[found.storage[0]], np.full(found.shape, found.offset, np.int64)
        for axis, (length, stride) in enumerate(zip(found.shape, found.strides, strict=True)):
            along = np.arange(length).reshape([-1 if a == axis else 1 for a in range(len(found.shape))])
            places = places + stride * along
        return storage[places]
    if isinstance(found, dict):
        return {key: _filled(value, storages) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [_filled(value, storages) for value in found]
    return found


__all__ = ["read_checkpoint"]
