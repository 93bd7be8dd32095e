"""Samples as bytes: 16 bit integers, floats, and the two laws of telephony (ITU-T G.711)."""

from typing import Literal, get_args

import numpy as np

Encoding = Literal["s16le", "f32le", "mulaw", "alaw"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)

_DTYPES: dict[Encoding, np.dtype] = {
    "s16le": np.dtype("<i2"),
    "f32le": np.dtype("<f4"),
    "mulaw": np.dtype("u1"),
    "alaw": np.dtype("u1"),
}


def sample_bytes(encoding: Encoding) -> int:
    """Bytes per sample. Raises ValueError for an unknown encoding."""
    require_encoding(encoding)
    return _DTYPES[encoding].itemsize


def require_encoding(encoding: str) -> None:
    """Raises ValueError for an unknown encoding."""
    if encoding not in ENCODINGS:
        raise ValueError(f"encoding is {encoding!r}; it must be {', '.join(ENCODINGS[:-1])} or {ENCODINGS[-1]}.")


def from_bytes(data: bytes | bytearray | memoryview, encoding: Encoding) -> np.ndarray:
    """Whole samples as int16[n]; for f32le as float32[n], whose values are not checked."""
    codes = np.frombuffer(data, _DTYPES[encoding])
    return codes if encoding not in _LINEAR else _LINEAR[encoding][codes]


def to_bytes(samples: np.ndarray, encoding: Encoding) -> bytes:
    """float32[n] in [-1, 1] as bytes, each sample rounded to the nearest value; all but f32le clip larger values."""
    if encoding == "f32le":
        return samples.astype(_DTYPES[encoding], copy=False).tobytes()
    whole = np.clip(np.rint(samples * 32768), -32768, 32767).astype(_DTYPES["s16le"])
    return (whole if encoding not in _LINEAR else _nearest(whole, encoding)).tobytes()


def _mulaw() -> np.ndarray:
    """The 16 bit value of each code of the mu-law; on the wire all bits are inverted (G.711, table 2)."""
    code = ~np.arange(256) & 0xFF
    exponent, mantissa = (code >> 4) & 7, code & 15
    size = ((2 * mantissa + 33) << exponent) - 33
    # 14 bits fill the upper part of 16.
    return (4 * np.where(code & 0x80, -size, size)).astype(np.int16)


def _alaw() -> np.ndarray:
    """The 16 bit value of each code of the A-law; on the wire every other bit is inverted (G.711, table 1)."""
    code = np.arange(256) ^ 0x55
    exponent, mantissa = (code >> 4) & 7, code & 15
    size = np.where(exponent == 0, 2 * mantissa + 1, (2 * mantissa + 33) << np.maximum(exponent - 1, 0))
    # 13 bits fill the upper part of 16.
    return (8 * np.where(code & 0x80, size, -size)).astype(np.int16)


_LINEAR: dict[Encoding, np.ndarray] = {"mulaw": _mulaw(), "alaw": _alaw()}


def _nearest(samples: np.ndarray, encoding: Encoding) -> np.ndarray:
    """int16[n] -> the codes of the nearest values."""
    values, codes = _SORTED[encoding]
    borders = (values[1:].astype(np.int32) + values[:-1]) / 2
    return codes[np.searchsorted(borders, samples, side="right")]


def _sorted(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(values, kind="stable").astype(np.uint8)
    return values[order], order


_SORTED = {encoding: _sorted(values) for encoding, values in _LINEAR.items()}

__all__ = ["ENCODINGS", "Encoding", "from_bytes", "require_encoding", "sample_bytes", "to_bytes"]
