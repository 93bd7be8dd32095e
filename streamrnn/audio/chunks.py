"""Converts chunks from any source to float32 mono samples."""

from numbers import Real
from os import PathLike

import numpy as np
from numpy.typing import ArrayLike

from streamrnn.audio.encodings import Encoding, from_bytes, sample_bytes

Chunk = ArrayLike | bytes | bytearray | memoryview

MAX_CHANNELS = 64
# Recordings overshoot 1 a little, resampled or mixed ones more; int16 values stored as floats are in the thousands.
MAX_AMPLITUDE = 64.0
INT16_UNIT = np.float32(1 / 32768)


class AudioError(ValueError):
    """Audio that cannot be used. The message says what came, what is needed and what to do."""


def about(path: str | PathLike[str], error: Exception) -> Exception:
    """An error about a recording, prefixed with its path if the message lacks it."""
    return error if str(path) in str(error) else AudioError(f"{path}: {error}")


class AudioWarning(UserWarning):
    """Audio that is used although a part of it is missing or was dropped."""


def as_samples(chunk: Chunk, encoding: Encoding = "s16le") -> np.ndarray:
    """A chunk as float32[n], mono, in [-1, 1].

    Args:
        chunk: float16, float32 or float64 in [-1, 1], or int16; shaped [n] or [n, channels] (channels are averaged). Or
            bytes, bytearray or a memoryview of bytes: mono, in the encoding. n may be 0.
        encoding: of bytes: s16le, f32le, or mulaw and alaw, which also read uint8 arrays.

    Returns:
        float32[n]. It may share memory with `chunk`: do not write to it.

    Raises:
        AudioError: not a whole number of samples; zero or more than two axes; no channel or more than 64; NaN, infinity
            or an amplitude above 64.
        TypeError: another type of numbers.
        ValueError: there is no such encoding.
    """
    return as_mono(as_channels(chunk, encoding))


def as_channels(chunk: Chunk, encoding: Encoding = "s16le") -> np.ndarray:
    """A chunk as float32[n] or [n, channels], in [-1, 1]; arguments and errors are as for `as_samples`."""
    return _as_float32(_as_array(chunk, encoding))


def as_mono(samples: np.ndarray) -> np.ndarray:
    """float32[n] or [n, channels] -> float32[n], the mean of the channels."""
    if samples.ndim == 1:
        return samples
    if samples.shape[1] == 1:
        return samples[:, 0]
    # A fixed memory order fixes the order of summation, so that results do not depend on chunking.
    return np.ascontiguousarray(samples).mean(axis=1)


def check_recording(shape: tuple[int, ...]) -> None:
    """Raises AudioError unless `shape` is that of a whole recording: as `check_layout`, with no more channels than
    samples.

    A chunk of a stream may have one sample per channel, but no recording is that short: [1, n] is transposed mono.
    """
    check_layout(shape)
    if len(shape) == 2 and shape[1] > shape[0] > 0:
        raise _transposed(shape)


def require_rate(rate: object) -> None:
    """Raises AudioError unless `rate` is a number."""
    if not isinstance(rate, Real):
        raise AudioError(f"sample rate is {rate!r}; it must be a number of samples per second, such as 16000.")


def check_layout(shape: tuple[int, ...]) -> None:
    """Raises AudioError unless `shape` is [n] or [n, channels] with 1 to 64 channels."""
    if len(shape) not in (1, 2):
        raise AudioError(f"audio has shape {list(shape)}; it must be [n] or [n, channels]. Reshape it.")
    if len(shape) == 2 and shape[1] == 0:
        raise AudioError(f"audio has shape {list(shape)}: no channel. Pass [n] or [n, channels].")
    if len(shape) == 2 and shape[1] > MAX_CHANNELS:
        raise _transposed(shape)


def _transposed(shape: tuple[int, ...]) -> AudioError:
    return AudioError(
        f"audio has shape {list(shape)}, so {shape[1]} channels of {shape[0]} samples; at most {MAX_CHANNELS} channels "
        "are allowed, and in a recording no more than samples. This is probably [channels, n]: pass its transpose, "
        "[n, channels]."
    )


def _as_array(chunk: Chunk, encoding: Encoding) -> np.ndarray:
    if not isinstance(chunk, np.ndarray) and (
        isinstance(chunk, bytes | bytearray) or (isinstance(chunk, memoryview) and chunk.itemsize == 1)
    ):
        return _from_bytes(chunk, encoding)
    if not isinstance(chunk, np.ndarray) and np.ndim(chunk) == 0:
        raise TypeError(
            f"a chunk of sound is {_named(chunk)}; it must be an array, [n] or [n, channels], or bytes. A recording's "
            "path goes to streamrnn.listen, or to run_file."
        )
    array = np.asarray(chunk)
    # If a sample is one byte, an array of bytes can only be encoded samples.
    if array.dtype.type is np.uint8 and sample_bytes(encoding) == 1:
        return from_bytes(array.tobytes(), encoding).reshape(array.shape)
    return array


def _named(chunk: object) -> str:
    return f"the text {chunk[:40]!r}" if isinstance(chunk, str) else f"a {type(chunk).__name__}"


def _from_bytes(data: bytes | bytearray | memoryview, encoding: Encoding) -> np.ndarray:
    if len(data) % (width := sample_bytes(encoding)):
        raise AudioError(
            f"chunk has {len(data)} bytes; samples of {8 * width} bits ({encoding}) need a multiple of {width}. Keep "
            "the rest for the next chunk."
        )
    return from_bytes(data, encoding)


def _as_float32(array: np.ndarray) -> np.ndarray:
    check_layout(array.shape)
    # dtype.type ignores the byte order, which astype then handles.
    kind = array.dtype.type
    if kind is np.int16:
        samples = array.astype(np.float32)
        samples *= INT16_UNIT
        return samples
    if kind not in (np.float32, np.float64, np.float16):
        raise TypeError(
            f"audio is {array.dtype}; it must be float in [-1, 1], int16, or bytes of 16 bit samples. "
            "Scale other integers first: int32 by x / 2**31, uint8 by (x - 128.0) / 128; telephone's bytes need "
            "encoding='mulaw' or 'alaw'."
        )
    # The energy bounds the peak and takes a third of the time; a NaN makes either comparison false.
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


__all__ = [
    "AudioError",
    "AudioWarning",
    "Chunk",
    "about",
    "as_channels",
    "as_mono",
    "as_samples",
    "check_layout",
    "check_recording",
]
