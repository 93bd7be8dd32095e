"""Decodes sound from a stream of bytes as it arrives, for PipeSource."""

import queue
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from streamrnn.audio.chunks import AudioError, AudioWarning
from streamrnn.audio.containers import TAG_BYTES, tag_bytes
from streamrnn.audio.conversion import Converted, Decoding
from streamrnn.audio.decoding import Decoder
from streamrnn.audio.foreign import ForeignDecoder
from streamrnn.audio.joined import FlacJoints, Joints, Mp3Joints, OggJoints, endless_page, info_frame
from streamrnn.audio.pacing import chunk_length
from streamrnn.audio.pcm import PcmFormat, is_behind_sound
from streamrnn.audio.windows import PassingWindow

# Up to this many decoded chunks are queued; then reading from the pipe pauses.
WAITING_CHUNKS = 4
BLOCK_BYTES = 65_536
# Peeked bytes are delivered later, so any number may be read ahead.
PEEK_BYTES = 4096
JOINTS: dict[str, type[Joints]] = {"Ogg": OggJoints, "FLAC": FlacJoints, "MP3": Mp3Joints}
# The bytes that decoders find instead of the last tag of an MP3 file.
NO_TAG = bytes(128)
# Formats whose headers have the right length or none; in others, programs that write to a pipe leave any number.
TELLING_KINDS = ("FLAC", "MP3")
ENDLESS_FRAMES = 2**31 - 1


class Bytes:
    """A stream of bytes with look-ahead.

    Args:
        read_some: returns up to that many bytes, as soon as there are any; none at the end.
        held: bytes before those.
    """

    def __init__(self, read_some: Callable[[int], bytes], held: bytes = b""):
        self._read_some, self._held = read_some, held

    def peek(self, count: int) -> bytes:
        """The next bytes, without consuming them; fewer only at the end."""
        while len(self._held) < count and (more := self._read_some(max(count - len(self._held), PEEK_BYTES))):
            self._held += more
        return self._held[:count]

    def read(self, count: int) -> bytes:
        """That many bytes; fewer only at the end."""
        parts = []
        while count > 0 and (data := self.read_some(count)):
            parts.append(data)
            count -= len(data)
        return b"".join(parts)

    def read_some(self, count: int) -> bytes:
        """Up to that many bytes, as soon as there are any; none at the end."""
        if not self._held:
            return self._read_some(count)
        data, self._held = self._held[:count], self._held[count:]
        return data

    def up_to(self, count: int) -> Callable[[int], bytes]:
        """`read_some`, limited to the next `count` bytes."""
        left = count

        def read_some(count: int) -> bytes:
            nonlocal left
            data = self.read_some(min(count, left)) if left else b""
            left -= len(data)
            return data

        return read_some

    def skip_tags(self) -> None:
        """Skips any ID3 tags at the current position."""
        while left := tag_bytes(self.peek(TAG_BYTES)):
            while left > 0 and (data := self.read_some(min(left, BLOCK_BYTES))):
                left -= len(data)
            if left > 0:
                return


class Sound(Protocol):
    """The sound of a stream of bytes."""

    sample_rate: int
    channels: int

    def chunks(self) -> Iterator[np.ndarray]: ...
    def close(self) -> None: ...


class PcmSound:
    """Samples of raw PCM.

    Args:
        data: the stream, from its first byte of sound.
        form: the encoding of the samples.
        chunk_ms: duration of the longest chunk.
        is_wave: whether the samples are in a WAVE file, in which other chunks may follow them.
    """

    def __init__(self, data: Bytes, form: PcmFormat, chunk_ms: float, is_wave: bool):
        self.sample_rate, self.channels = form.sample_rate, form.channels
        self._data, self._format, self._is_wave = data, form, is_wave
        self._chunk_bytes = chunk_length(form.sample_rate, chunk_ms) * form.frame_bytes
        self._held, self._closed = b"", False

    def chunks(self) -> Iterator[np.ndarray]:
        left = sys.maxsize if self._format.size_bytes is None else self._format.size_bytes
        told = left
        while not self._closed:
            if left == 0:
                if not self._is_wave or self._is_over(told):
                    break
                left = sys.maxsize
            data = self._data.read_some(min(left, max(1, self._chunk_bytes - len(self._held))))
            if not data:
                break
            left -= len(data)
            yield from self._whole_frames(data)
        if self._held and not self._closed:
            self._warn_of_rest()

    def close(self) -> None:
        self._closed = True

    def _is_over(self, told_bytes: int) -> bool:
        """Whether a WAVE file ends where its header says. Writers to pipes may leave the first chunk's length."""
        behind = self._data.peek(13)
        if len(behind) < 8:
            return True
        # An odd length is padded by a byte.
        return is_behind_sound(behind) or is_behind_sound(behind[told_bytes % 2 :])

    def _whole_frames(self, data: bytes) -> Iterator[np.ndarray]:
        data = self._held + data
        cut = len(data) - len(data) % self._format.frame_bytes
        self._held = data[cut:]
        if cut:
            yield self._format.decode(data[:cut])

    def _warn_of_rest(self) -> None:
        warnings.warn(
            f"the pipe ended with {len(self._held)} bytes of a frame of {self._format.frame_bytes}; they were dropped. "
            "Check that it carries the format that was announced.",
            AudioWarning,
            stacklevel=4,
        )


class ForeignSound:
    """Sound decoded by ffmpeg, as it is decoded."""

    def __init__(self, data: Bytes, kind: str, chunk_ms: float, whole: bool):
        self._decoder = ForeignDecoder(kind, "the pipe's sound", data.read_some, whole)
        self.sample_rate, self.channels = self._decoder.sample_rate, self._decoder.channels
        self._chunk_samples, self._closed = chunk_length(self.sample_rate, chunk_ms), False
        self._reading = threading.Lock()

    def chunks(self) -> Iterator[np.ndarray]:
        while len(chunk := self._next()):
            yield chunk
        if self._decoder.is_damaged and not self._closed:
            _warn_of_damage()
        self.close()

    def close(self) -> None:
        self._closed = True
        # A concurrent reader thereby reaches the end and closes the rest: a thread, or what a signal interrupted.
        self._decoder.stop()
        if self._reading.acquire(blocking=False):
            try:
                self._decoder.close()
            finally:
                self._reading.release()

    def _next(self) -> np.ndarray:
        with self._reading:
            return np.zeros(0, np.float32) if self._closed else self._decoder.read_some(self._chunk_samples)


class DecodedSound:
    """Sound decoded by libsndfile, in a separate thread, so that waiting for it can be interrupted.

    Args:
        data: the stream, from the first byte of the file.
        kind: a name of DECODED.
        chunk_ms: duration of a chunk; the last one is shorter.
        samples_in: samples per channel in a number of bytes, for decoders that continue beyond the last byte.

    Raises:
        AudioError: libsndfile cannot read it.
    """

    def __init__(self, data: Bytes, kind: str, chunk_ms: float, samples_in: Callable[[int], int] | None = None):
        self._samples_in = samples_in
        self._closed = threading.Event()
        self._kind, self._chunk_ms = kind, chunk_ms
        self._recordings = _Recordings(data, JOINTS.get(kind, _NoJoints)(), kind)
        self._queue: queue.Queue[Any] = queue.Queue(WAITING_CHUNKS)
        threading.Thread(target=self._decode, name="streamrnn decoder", daemon=True).start()
        first = self._queue.get()
        if isinstance(first, BaseException):
            raise first
        self.sample_rate, self.channels = first

    def chunks(self) -> Iterator[np.ndarray]:
        while not self._closed.is_set():
            # The time-out notices a close from another thread.
            try:
                item = self._queue.get(timeout=0.1)
            except queue.Empty:
                continue
            match item:
                case None:
                    # Nothing more will be put into the queue, for whoever iterates again.
                    self._closed.set()
                case BaseException():
                    self._closed.set()
                    raise item
                case str():
                    _warn_of_damage()
                case _:
                    yield item

    def close(self) -> None:
        self._closed.set()

    def _decode(self) -> None:
        try:
            form: tuple[int, int] | None = None
            # Once closed, the stream belongs to its owner again, so read no more of it.
            while not self._closed.is_set() and (window := self._recordings.next()) is not None:
                form = self._decode_one(window, form)
            nothing = AudioError(
                f"the pipe carries {self._kind}, of which nothing can be decoded. Check what sends it."
            )
            self._put(nothing if form is None else None)
        except Exception as error:
            self._put(error)

    def _decode_one(self, window: PassingWindow, form: tuple[int, int] | None) -> tuple[int, int]:
        decoder: Decoding = Decoder(window, "the pipe's sound")
        if form is None:
            form = decoder.sample_rate, decoder.channels
            self._put(form)
        elif form != (decoder.sample_rate, decoder.channels):
            decoder = Converted(decoder, *form)
        chunk_samples = chunk_length(form[0], self._chunk_ms)
        decoded = 0
        while not self._closed.is_set() and len(samples := decoder.read(chunk_samples)):
            if window.ended and self._samples_in is not None:
                # Block decoders make up what is missing at the end, some of them endlessly.
                samples = samples[: max(0, self._samples_in(window.passed) - decoded)]
                if len(samples) == 0:
                    break
            decoded += len(samples)
            self._put(samples)
        is_short = self._kind in TELLING_KINDS and decoder.frames is not None and decoded < decoder.frames
        if decoder.is_damaged or is_short:
            self._put("damaged")
        decoder.close()
        return form

    def _put(self, item: Any) -> None:
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return
            except queue.Full:
                continue


class _NoJoints(Joints):
    """Recordings of formats that are not joined."""

    def _search(self, ended: bool) -> None:
        self.starts = self.starts or [0]
        self.safe = self._at = self._first + len(self._held)


class _Recordings:
    """The recordings of a stream in order, each as a window."""

    def __init__(self, data: Bytes, joints: Joints, kind: str):
        self._data, self._joints, self._kind = data, joints, kind
        self._held, self._position, self._ended = b"", 0, False
        self._count = 0

    def next(self) -> PassingWindow | None:
        """The next one, or None; the rest of the previous one is skipped."""
        while self._read(BLOCK_BYTES):
            pass
        if not self._wait_for(self._count):
            return None
        self._drop(self._joints.starts[self._count])
        self._count += 1
        match self._kind:
            case "Ogg":
                return PassingWindow(self._read, end=self._last_page())
            case "MP3":
                return PassingWindow(Bytes(self._read, self._telling()).read_some, end=NO_TAG)
        return PassingWindow(self._read)

    def _telling(self) -> bytes:
        """A first frame for an MP3 stream without one, so that it gives the same sound as in a file."""
        joints = self._joints
        if not isinstance(joints, Mp3Joints) or joints.told[self._count - 1] is not None:
            return b""
        kind = joints.kinds[self._count - 1]
        return info_frame(self._held[:4], kind, ENDLESS_FRAMES) if kind.is_layer_iii else b""

    def _last_page(self) -> bytes:
        while len(self._held) < 27 and self._more():
            pass
        return endless_page(self._held[:27])

    def _read(self, count: int) -> bytes:
        """Up to that many bytes of the current recording; none at its end."""
        if self._count == 0:
            return b""
        while self._limit() <= self._position and not self._is_at_joint() and self._more():
            pass
        data = self._held[: min(count, self._limit() - self._position)]
        self._held, self._position = self._held[len(data) :], self._position + len(data)
        return data

    def _limit(self) -> int:
        starts = self._joints.starts
        end = min(self._joints.safe, self._position + len(self._held))
        return min(end, starts[self._count]) if self._count < len(starts) else end

    def _is_at_joint(self) -> bool:
        starts = self._joints.starts
        return self._count < len(starts) and starts[self._count] <= self._position

    def _wait_for(self, index: int) -> bool:
        while len(self._joints.starts) <= index:
            self._drop(self._joints.safe)
            if not self._more():
                return len(self._joints.starts) > index
        return True

    def _drop(self, place: int) -> None:
        count = min(max(0, place - self._position), len(self._held))
        self._held, self._position = self._held[count:], self._position + count

    def _more(self) -> bool:
        if self._ended:
            return False
        data = self._data.read_some(BLOCK_BYTES)
        if data:
            self._joints.feed(data)
            self._held += data
        else:
            self._ended = True
            self._joints.end()
        return True


def _warn_of_damage() -> None:
    warnings.warn(
        "the pipe's sound was damaged or cut off; what could be decoded was heard.", AudioWarning, stacklevel=4
    )


__all__ = ["Bytes", "DecodedSound", "ForeignSound", "PcmSound", "Sound"]
