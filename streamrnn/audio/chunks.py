"""Chunks of whatever a source delivers, as float32 mono samples."""

import numpy as np
from numpy.typing import ArrayLike

Chunk = ArrayLike | bytes | bytearray | memoryview

MAX_CHANNELS = 64
# Real recordings overshoot 1 a little, resampled or mixed ones more; int16 values kept as floats are in the thousands.
MAX_AMPLITUDE = 64.0


class AudioError(ValueError):
    """Audio that cannot be used as it is. The message says what came, what is needed and what to do."""


class AudioWarning(UserWarning):
    """Audio that is used although a part of it was missing or had to be dropped."""


def as_samples(chunk: Chunk) -> np.ndarray:
    """A chunk as float32[n], mono, in [-1, 1].

    Args:
        chunk: float16, float32 or float64 in [-1, 1], or int16; shaped [n] or [n, channels] (channels are averaged). Or
            bytes, bytearray or a memoryview of bytes: signed 16 bit little-endian mono. n may be 0.

    Returns:
        float32[n]. It may share memory with `chunk`: read it, do not write to it.

    Raises:
        AudioError: an odd number of bytes; no axis or more than two; no channel or more than 64; NaN, infinity or an
            amplitude above 64.
        TypeError: any other type of number.
    """
    return _mono(_as_float32(_as_array(chunk)))


def check_layout(shape: tuple[int, ...]) -> None:
    """Raises AudioError unless `shape` is [n] or [n, channels] with 1 to 64 channels."""
    if len(shape) not in (1, 2):
        raise AudioError(f"audio has shape {list(shape)}; it must be [n] or [n, channels]. Reshape it.")
    if len(shape) == 2 and shape[1] == 0:
        raise AudioError(f"audio has shape {list(shape)}: no channel. Pass [n] or [n, channels].")
    if len(shape) == 2 and shape[1] > MAX_CHANNELS:
        raise AudioError(
            f"audio has shape {list(shape)}, so {shape[1]} channels; at most {MAX_CHANNELS} are allowed. "
            "This is probably [channels, n]: pass its transpose, [n, channels]."
        )


def _as_array(chunk: Chunk) -> np.ndarray:
    if isinstance(chunk, bytes | bytearray) or (isinstance(chunk, memoryview) and chunk.itemsize == 1):
        return _from_s16le(chunk)
    return np.asarray(chunk)


def _from_s16le(data: bytes | bytearray | memoryview) -> np.ndarray:
    if len(data) % 2:
        raise AudioError(
            f"chunk has {len(data)} bytes; 16 bit samples need an even number. Keep the last byte for the next chunk."
        )
    return np.frombuffer(data, "<i2")


def _as_float32(array: np.ndarray) -> np.ndarray:
    check_layout(array.shape)
    # dtype.type ignores the byte order, which astype then takes care of.
    kind = array.dtype.type
    if kind is np.int16:
        return array.astype(np.float32) * np.float32(1 / 32768)
    if kind not in (np.float32, np.float64, np.float16):
        raise TypeError(
            f"audio is {array.dtype}; it must be float in [-1, 1], int16, or bytes of 16 bit samples. "
            "Scale other integers first: int32 by x / 2**31, uint8 by (x - 128.0) / 128."
        )
    # The energy bounds the peak and costs a third of it; a NaN makes either comparison false.
    if not np.vdot(array, array) <= MAX_AMPLITUDE**2 and not np.abs(array).max(initial=0) <= MAX_AMPLITUDE:
        _refuse(array)
    return array.astype(np.float32, copy=False)


def _refuse(array: np.ndarray) -> None:
    bad = ~np.isfinite(array)
    if bad.any():
        raise AudioError(
            f"audio holds {np.count_nonzero(bad)} values that are NaN or infinite, the first at sample "
            f"{np.argwhere(bad)[0, 0]} of this chunk. Nothing of it was used: repair or leave it out, and go on."
        )
    peak = np.abs(array).max()
    divisor = 32768 if peak <= 32768 else 2**31
    raise AudioError(
        f"audio reaches {peak:g}; float audio must be in [-1, 1]. These look like whole numbers stored as floats: "
        f"divide by {divisor}."
    )


def _mono(samples: np.ndarray) -> np.ndarray:
    if samples.ndim == 1:
        return samples
    if samples.shape[1] == 1:
        return samples[:, 0]
    # One memory order means one order of summation, so that results do not depend on how a recording was cut.
    return np.ascontiguousarray(samples).mean(axis=1)


__all__ = ["AudioError", "AudioWarning", "Chunk", "as_samples", "check_layout"]
