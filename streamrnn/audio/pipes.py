"""Sound from a pipe, in any format."""

import sys
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from streamrnn.audio.chunks import AudioError
from streamrnn.audio.containers import DECODED, FOREIGN, REFUSED, recognise
from streamrnn.audio.conversion import Converted
from streamrnn.audio.encodings import Encoding
from streamrnn.audio.pacing import chunk_length
from streamrnn.audio.pcm import (
    WAVE_CHUNKS,
    PcmFormat,
    is_behind_sound,
    is_wave,
    pcm_format,
    raw_format,
    read_wave_header,
    samples_in,
    wave_header,
)
from streamrnn.audio.source import Source
from streamrnn.audio.streams import Bytes, DecodedSound, ForeignSound, PcmSound, Sound

# The length in a header for sound of unknown length. Decoders of ADPCM count two samples for each byte, in 32 bits.
ENDLESS_BYTES, ENDLESS_BYTES_IN_BLOCKS = 0x7FFF0000, 0x3FFF0000
# Limit of the search through the boxes of an MP4 file.
INDEX_BYTES = 65_536
SKIPPED_BYTES = 65_536


class PipeSource(Source):
    """Sound from a pipe, as it arrives: raw samples, or a file of any format.

    The constructor waits for the first bytes and recognises files by them. WAVE (`arecord | ...`), RF64, W64, AIFF, AU,
    CAF, FLAC, Ogg and MP3 are decoded as they arrive, joined files to the last recording; WebM, MP4, AAC and others by
    the program ffmpeg, if it is installed. An MP4 file with its index at the end is decoded after all of it has
    arrived. Wrong sizes in a header, from programs that cannot know the length, do no harm.

    One pass only. `close` ends the iteration after the pending read; the stream itself stays open.

    Args:
        stream: binary; default: standard input.
        sample_rate: Hz, of raw samples.
        channels: number of interleaved channels of raw samples.
        encoding: of raw samples: s16le, f32le, or telephony's mulaw and alaw (G.711).
        chunk_ms: longest chunk; chunks are shorter if less has arrived.

    Attributes:
        sample_rate: Hz.
        channels: number of channels.

    Raises:
        AudioError: standard input is a terminal; the sound is of a format that cannot be decoded here, or damaged from
            the start; or an argument is not positive.
        ValueError: there is no such encoding.
    """

    def __init__(
        self,
        stream: BinaryIO | None = None,
        sample_rate: int = 16000,
        channels: int = 1,
        chunk_ms: float = 100,
        *,
        encoding: Encoding = "s16le",
    ):
        chunk_length(sample_rate, chunk_ms)
        self._chunk_ms, raw = chunk_ms, raw_format(sample_rate, channels, encoding)
        # Of the WAVE file that is being heard, if it tells.
        self._wave_bytes: int | None = None
        self._data, self._closed = Bytes(_reader(_standard_input() if stream is None else stream)), False
        self._sound = self._recognised(self._data, raw)
        self.sample_rate, self.channels = self._form = self._sound.sample_rate, self._sound.channels

    def __iter__(self) -> Iterator[np.ndarray]:
        yield from self._sound.chunks()
        while not self._closed and self._wave_bytes is not None and _begins_another(self._data, self._wave_bytes):
            self._sound = self._wave(self._data)
            yield from self._like_first(self._sound)

    def close(self) -> None:
        self._closed = True
        self._sound.close()

    def _like_first(self, sound: Sound) -> Iterator[np.ndarray]:
        if (sound.sample_rate, sound.channels) == self._form:
            yield from sound.chunks()
            return
        converted = Converted(_Decoded(sound), *self._form)
        count = chunk_length(self.sample_rate, self._chunk_ms)
        while len(chunk := converted.read(count)):
            yield chunk

    def _recognised(self, data: Bytes, raw: PcmFormat) -> Sound:
        data.skip_tags()
        kind = recognise(data.peek)
        if kind in ("WAVE", "RF64"):
            return self._wave(data)
        if kind in DECODED:
            return DecodedSound(data, kind, self._chunk_ms)
        if kind in FOREIGN:
            return ForeignSound(data, kind, self._chunk_ms, whole=kind == "MP4 or M4A" and _has_late_index(data.peek))
        if kind == REFUSED:
            raise AudioError(f"the pipe carries {kind}, which is not read. Convert it: sox FILE -t wav - | ...")
        return PcmSound(data, raw, self._chunk_ms, is_wave=False)

    def _wave(self, data: Bytes) -> Sound:
        fields, size_bytes = read_wave_header(data.read)
        # Writers to pipes leave no length where they know none, and where there is no sound.
        if size_bytes is None and is_behind_sound(data.peek(12)):
            size_bytes = 0
        self._wave_bytes = size_bytes
        if (form := pcm_format(fields, size_bytes)) is not None:
            return PcmSound(data, form, self._chunk_ms, is_wave=True)
        # GSM, ADPCM, A-law, 8 bit and others. Other chunks of the header, of any length, are gone.
        in_blocks = samples_in(fields, len(wave_header(fields, 0)))
        most_bytes = ENDLESS_BYTES if in_blocks is None else ENDLESS_BYTES_IN_BLOCKS
        header = wave_header(fields, min(size_bytes or most_bytes, most_bytes))
        # A decoder looks behind the sound, and is confused by another file there.
        sound = data.read_some if size_bytes is None else data.up_to(size_bytes)
        return DecodedSound(Bytes(sound, header), "WAVE", self._chunk_ms, in_blocks)


class _Decoded:
    """The sound of a pipe, with the interface of decoders."""

    frames, spare, is_damaged = None, 0, False

    def __init__(self, sound: Sound):
        self.sample_rate, self.channels, self._sound = sound.sample_rate, sound.channels, sound
        self._chunks = sound.chunks()

    def read(self, _count: int) -> np.ndarray:
        """The next samples, however many there are; none at the end."""
        return next(self._chunks, np.zeros(0, np.float32))

    def skip(self, count: int) -> None:
        """Is not asked for."""
        raise NotImplementedError

    def close(self) -> None:
        self._sound.close()


def _begins_another(data: Bytes, sound_bytes: int) -> bool:
    """Whether another WAVE file follows one of so many bytes of sound; other chunks in between are passed over."""
    # An odd length is filled up by a byte, which some programs omit.
    starts = (0, 1) if sound_bytes % 2 else (0,)
    while True:
        head = data.peek(16)
        if (begun := next((start for start in starts if is_wave(head[start:])), None)) is not None:
            data.read(begun)
            return True
        known = [start for start in starts if head[start : start + 4] in WAVE_CHUNKS and len(head) >= start + 8]
        if not known:
            return False
        size_bytes = int.from_bytes(data.read(known[0] + 8)[-4:], "little")
        skipped = data.up_to(size_bytes + size_bytes % 2)
        while skipped(SKIPPED_BYTES):
            pass
        starts = (0,)


def _reader(stream: BinaryIO) -> Callable[[int], bytes]:
    read = getattr(stream, "read1", stream.read)
    # An empty read from a non-blocking pipe is not the end, but nothing would wait for more.
    return lambda count: read(count) or b""


def _has_late_index(peek: Callable[[int], bytes]) -> bool:
    """Whether the index of an MP4 file comes after the sound."""
    place = 0
    while place < INDEX_BYTES and len(head := peek(place + 16)[place:]) >= 8:
        size, name = int.from_bytes(head[:4], "big"), head[4:8]
        if name in (b"moov", b"moof"):
            return False
        if name == b"mdat" or size < 8:
            return True
        place += size
    return True


def _standard_input() -> BinaryIO:
    if sys.stdin is None or sys.stdin.isatty():
        raise AudioError("standard input is no pipe. Send sound to it, such as: arecord -f S16_LE -r 16000 | ...")
    # Without the buffer, whose lock waiting threads must not hold when the process ends.
    return getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)


__all__ = ["PipeSource"]
