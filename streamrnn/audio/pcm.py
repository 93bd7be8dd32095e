"""Raw PCM bytes, with or without a WAVE header."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from streamrnn.audio.chunks import MAX_CHANNELS, AudioError, as_samples
from streamrnn.audio.encodings import Encoding, require_encoding, sample_bytes

INTEGER, FLOAT, EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
GSM = 0x0031
# ADPCM of Microsoft and of IMA, and GSM 6.10.
IN_BLOCKS = (0x0002, 0x0011, GSM)
# A program that writes to a pipe does not know the length: it writes 0 or something near the largest size.
UNKNOWN_SIZE = 0x7FFFF000
# In RF64 a chunk of this size has its length in the chunk ds64.
LENGTHS, LONG, LONGEST_BYTES = b"ds64", 2**32 - 1, 2**62
# Maximum size of a header's chunks that are kept.
LONGEST_FIELDS = 256
SKIP_BYTES = 2**16
# Chunks that may follow the sound of a WAVE file; any other bytes are more sound.
WAVE_CHUNKS = frozenset(
    name.ljust(4)
    for name in b"LIST INFO fact cue plst smpl inst note labl ltxt adtl bext iXML axml chna JUNK junk PAD FLLR PEAK "
    b"cart acid strc DISP levl umid minf elm1 regn ovwf id3 ID3 _PMX afsp aXML mext MD5 qlty SNDM Cr8r".split()
)
END_MARKS = (b"TAG", b"ID3", b"APET")


@dataclass(frozen=True)
class PcmFormat:
    """The encoding of samples in bytes.

    Attributes:
        sample_rate: Hz.
        channels: number of interleaved channels.
        bits: 16, 24 or 32 per sample, little-endian; 32 or 64 for float.
        is_float: floating point in [-1, 1] instead of signed integers.
        law: "mulaw" or "alaw", of 8 bits per sample (G.711), instead of either.
        size_bytes: of all samples, or None if they last to the end of the stream.
    """

    sample_rate: int
    channels: int = 1
    bits: int = 16
    is_float: bool = False
    law: Encoding | None = None
    size_bytes: int | None = None

    def __post_init__(self):
        if self.sample_rate < 1 or not 1 <= self.channels <= MAX_CHANNELS:
            raise AudioError(
                f"PCM of {self.channels} channels at {self.sample_rate} Hz; 1 to {MAX_CHANNELS} channels and a "
                "positive rate are needed. Check the settings of the sender."
            )
        if self.law is not None and self.bits == 8:
            return
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
        if self.law is not None:
            samples = as_samples(data, self.law)
        else:
            samples = _from_float(data, self.bits) if self.is_float else _from_integer(data, self.bits)
        return samples if self.channels == 1 else samples.reshape(-1, self.channels)


def raw_format(sample_rate: int, channels: int, encoding: Encoding) -> PcmFormat:
    """The format of samples without a header.

    Raises:
        AudioError: as `PcmFormat`.
        ValueError: there is no such encoding.
    """
    require_encoding(encoding)
    is_float, law = encoding == "f32le", encoding if sample_bytes(encoding) == 1 else None
    return PcmFormat(sample_rate, channels, 8 * sample_bytes(encoding), is_float, law)


def read_wave_header(read: Callable[[int], bytes]) -> tuple[bytes, int | None]:
    """Reads a WAVE header, up to the first byte of sound.

    Args:
        read: returns exactly that many bytes, or fewer at the end of the stream.

    Returns:
        Its fmt chunk, and the number of bytes of samples according to it; None if that is not a valid length.

    Raises:
        AudioError: the header ends early, or is not that of a WAVE file.
    """
    if _exactly(read, 12)[8:] != b"WAVE":
        raise AudioError("the stream begins with RIFF but is no WAVE file. Send WAVE or raw 16 bit samples.")
    fields = lengths = b""
    while True:
        name, size = struct.unpack("<4sI", _exactly(read, 8))
        if name == b"data":
            break
        taken = b""
        if name == b"fmt ":
            taken = fields = _exactly(read, min(size, LONGEST_FIELDS))
        elif name == LENGTHS:
            taken = lengths = _exactly(read, min(size, LONGEST_FIELDS))
        _skip(read, size + size % 2 - len(taken))
    if len(fields) < 16:
        raise AudioError("the WAVE header has no description of its samples (fmt). Send raw 16 bit samples instead.")
    return fields, told_bytes(size, lengths)


def told_bytes(size: int, lengths: bytes, order: str = "<") -> int | None:
    """Bytes of sound by the size of the chunk data and, in RF64, the fields of the chunk ds64; None if that is no valid
    length. Source: EBU Tech 3306.
    """
    if size == LONG and len(lengths) >= 16:
        (size,) = struct.unpack_from(order + "8xQ", lengths)
        return size if 0 < size < LONGEST_BYTES else None
    return size if 0 < size < UNKNOWN_SIZE else None


def pcm_format(fields: bytes, size_bytes: int | None) -> PcmFormat | None:
    """The encoding described by a WAVE header's fmt chunk; None if it needs a decoder: 8 or 20 bit, ADPCM, ...

    Raises:
        AudioError: as `PcmFormat`.
    """
    encoding, channels, sample_rate, _, block_bytes, bits = struct.unpack_from("<HHIIHH", fields)
    if encoding == EXTENSIBLE and len(fields) >= 26:
        # The real encoding is the start of a GUID after the extension's size, valid bits and speaker mask.
        (encoding,) = struct.unpack_from("<H", fields, 24)
    is_odd = bits in range(1, 24) and bits != 16
    # What 24 bits mean in four bytes depends on the program that wrote them, which libsndfile judges by the samples.
    is_padded = bits == 24 and block_bytes == 4 * channels
    if encoding not in (INTEGER, FLOAT) or (encoding == INTEGER and (is_odd or is_padded)):
        return None
    return PcmFormat(sample_rate, channels, bits, encoding == FLOAT, size_bytes=size_bytes)


def is_wave(head: bytes) -> bool:
    """Whether a WAVE file begins with these bytes."""
    return head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE"


def is_behind_sound(head: bytes) -> bool:
    """Whether these are bytes that follow the sound of a WAVE file: another chunk, or another file."""
    return head[:4] in WAVE_CHUNKS or is_wave(head)


def samples_in(fields: bytes, header_bytes: int) -> Callable[[int], int] | None:
    """For sound in blocks of a fixed size (ADPCM, GSM): samples per channel in the whole blocks of so many bytes.

    Args:
        fields: a WAVE header's fmt chunk.
        header_bytes: bytes before the sound.
    """
    encoding, _, _, _, block_bytes, _ = struct.unpack_from("<HHIIHH", fields)
    if encoding not in IN_BLOCKS or len(fields) < 20 or block_bytes < 1:
        return None
    (samples,) = struct.unpack_from("<H", fields, 18)
    return lambda passed_bytes: max(0, passed_bytes - header_bytes) // block_bytes * samples


def wave_header(fields: bytes, sound_bytes: int, order: str = "<") -> bytes:
    """A header for that many bytes of sound with the fields of a fmt chunk; `order` is their byte order."""
    described = struct.pack(order + "4sI", b"fmt ", len(fields)) + fields
    if sound_bytes + len(described) + 12 < 2**32:
        name, size = (b"RIFX" if order == ">" else b"RIFF"), sound_bytes + len(described) + 12
        head = struct.pack(order + "4sI", name, size) + b"WAVE" + described
        return head + struct.pack(order + "4sI", b"data", sound_bytes)
    sizes = struct.pack("<QQQI", sound_bytes + len(described) + 48, sound_bytes, 0, 0)
    head = struct.pack("<4sI", b"RF64", 2**32 - 1) + b"WAVE" + struct.pack("<4sI", b"ds64", len(sizes)) + sizes
    return head + described + struct.pack("<4sI", b"data", 2**32 - 1)


def _exactly(read: Callable[[int], bytes], count: int) -> bytes:
    data = read(count)
    if len(data) < count:
        raise AudioError("the stream ended inside its WAVE header. Check the program that sends it.")
    return data


def _skip(read: Callable[[int], bytes], count: int) -> None:
    while count > 0:
        count -= len(_exactly(read, min(count, SKIP_BYTES)))


def _from_float(data: bytes, bits: int) -> np.ndarray:
    # What float32 cannot hold becomes infinite, and is refused by whoever hears it.
    with np.errstate(over="ignore"):
        return np.frombuffer(data, f"<f{bits // 8}").astype(np.float32)


def _from_integer(data: bytes, bits: int) -> np.ndarray:
    width = bits // 8
    # In the upper bytes of an int32 every width has the same full scale, and 24 bits get the sign for free.
    wide = np.zeros((len(data) // width, 4), np.uint8)
    wide[:, 4 - width :] = np.frombuffer(data, np.uint8).reshape(-1, width)
    return wide.view("<i4")[:, 0].astype(np.float32) * np.float32(2.0**-31)


__all__ = [
    "END_MARKS",
    "GSM",
    "LENGTHS",
    "LONG",
    "UNKNOWN_SIZE",
    "WAVE_CHUNKS",
    "PcmFormat",
    "is_behind_sound",
    "is_wave",
    "pcm_format",
    "raw_format",
    "read_wave_header",
    "samples_in",
    "told_bytes",
    "wave_header",
]
