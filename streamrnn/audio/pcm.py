"""Raw PCM bytes, with or without the header of a WAVE file in front."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from streamrnn.audio.chunks import MAX_CHANNELS, AudioError

INTEGER, FLOAT, EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
# A program that writes to a pipe does not know the length: it writes 0 or something near the largest size there is.
UNKNOWN_SIZE = 0x7FFFF000


@dataclass(frozen=True)
class PcmFormat:
    """How samples lie in bytes.

    Attributes:
        sample_rate: Hz.
        channels: interleaved.
        bits: 16, 24 or 32 per sample, little-endian; 32 or 64 for float.
        is_float: floating point in [-1, 1] instead of signed integers.
        size_bytes: of all samples, or None where the stream just ends.
    """

    sample_rate: int
    channels: int = 1
    bits: int = 16
    is_float: bool = False
    size_bytes: int | None = None

    def __post_init__(self):
        if self.sample_rate < 1 or not 1 <= self.channels <= MAX_CHANNELS:
            raise AudioError(
                f"PCM of {self.channels} channels at {self.sample_rate} Hz; 1 to {MAX_CHANNELS} channels and a "
                "positive rate are needed. Check the settings of the sender."
            )
        if self.bits not in ((32, 64) if self.is_float else (16, 24, 32)):
            kind = "float" if self.is_float else "integer"
            raise AudioError(
                f"PCM of {self.bits} bit {kind} samples; signed 16, 24 or 32 bit integers and 32 or 64 bit floats can "
                "be read. Ask the sender for 16 bit (arecord -f S16_LE, ffmpeg -f s16le)."
            )

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * self.bits // 8

    def decode(self, data: bytes) -> np.ndarray:
        """Whole frames of bytes -> float32[n], or [n, channels] with more than one channel."""
        samples = _from_float(data, self.bits) if self.is_float else _from_integer(data, self.bits)
        return samples if self.channels == 1 else samples.reshape(-1, self.channels)


def read_wave_header(read: Callable[[int], bytes]) -> PcmFormat:
    """Reads a WAVE header, after its first four bytes, up to the first byte of sound.

    Args:
        read: gives exactly so many bytes, or fewer at the end of the stream.

    Raises:
        AudioError: the header ends early, is not that of a WAVE file, or the samples are of another kind than
            `PcmFormat`.
    """
    if _exactly(read, 8)[4:] != b"WAVE":
        raise AudioError("the stream begins with RIFF but is no WAVE file. Send WAVE or raw 16 bit samples.")
    fields = None
    while True:
        name, size = struct.unpack("<4sI", _exactly(read, 8))
        if name == b"data":
            break
        body = _exactly(read, size + size % 2)
        if name == b"fmt ":
            fields = body
    if fields is None or len(fields) < 16:
        raise AudioError("the WAVE header has no description of its samples (fmt). Send raw 16 bit samples instead.")
    return _parse_fields(fields, size if 0 < size < UNKNOWN_SIZE else None)


def _parse_fields(fields: bytes, size_bytes: int | None) -> PcmFormat:
    encoding, channels, sample_rate, _, _, bits = struct.unpack_from("<HHIIHH", fields)
    if encoding == EXTENSIBLE and len(fields) >= 26:
        # The real encoding is the beginning of a GUID behind the extension's size, valid bits and speaker mask.
        (encoding,) = struct.unpack_from("<H", fields, 24)
    if encoding not in (INTEGER, FLOAT):
        raise AudioError(
            f"the WAVE header says encoding 0x{encoding:04x}; PCM (1) and float (3) can be read from a pipe. "
            "Decode it first: ffmpeg -i - -f s16le -"
        )
    return PcmFormat(sample_rate, channels, bits, encoding == FLOAT, size_bytes)


def _exactly(read: Callable[[int], bytes], count: int) -> bytes:
    data = read(count)
    if len(data) < count:
        raise AudioError("the stream ended inside its WAVE header. Check the program that sends it.")
    return data


def _from_float(data: bytes, bits: int) -> np.ndarray:
    return np.frombuffer(data, f"<f{bits // 8}").astype(np.float32)


def _from_integer(data: bytes, bits: int) -> np.ndarray:
    width = bits // 8
    # In the upper bytes of an int32 every width has the same full scale, and 24 bits get the sign for free.
    wide = np.zeros((len(data) // width, 4), np.uint8)
    wide[:, 4 - width :] = np.frombuffer(data, np.uint8).reshape(-1, width)
    return wide.view("<i4")[:, 0].astype(np.float32) * np.float32(2.0**-31)


__all__ = ["PcmFormat", "read_wave_header"]
