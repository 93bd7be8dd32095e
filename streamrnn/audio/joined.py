"""The boundaries of recordings in files that were joined from several: Ogg, FLAC and MP3.

Decoders stop at the end of the first recording, so each one is found and decoded separately.
"""

import re
from abc import ABC, abstractmethod

from streamrnn.audio.chunks import AudioError
from streamrnn.audio.containers import TAG_BYTES, Mpeg, mpeg_frame, tag_bytes

# Opening each recording takes time. A radio station's day has some hundred; a malicious file could have millions.
MOST_PARTS = 4096
# Range for the header of the next MP3 frame, without which a frame is not accepted.
LOOK_BYTES = 2048
# Bytes that are read of each frame.
SURE_BYTES = 64
UNANNOUNCED = -1
TELLING = (b"Xing", b"Info")
# Longer gaps between the frames of an MP3 file are not searched: false frames in them would take too much time.
MOST_GAP_BYTES = 2**20
_FRAME_START = re.compile(rb"\xff[\xe2-\xff][\x10-\xef]")
_FLAC_START = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")


class Joints(ABC):
    """Finds the starts of recordings in bytes that arrive in pieces.

    Attributes:
        starts: offsets of the first bytes of the recordings found so far, in order.
        safe: offset up to which no other recording begins.
    """

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.safe = 0
        self._held, self._first, self._at = b"", 0, 0

    def feed(self, data: bytes) -> None:
        """Takes the next bytes.

        Raises:
            AudioError: there are more than 4,096 recordings.
        """
        self._held += data
        self._search(ended=False)
        self._forget()

    def end(self) -> None:
        """No more bytes come."""
        self._search(ended=True)
        self.safe = max(self.safe, self._first + len(self._held))

    @abstractmethod
    def _search(self, ended: bool) -> None:
        """Continues from `_at`, an offset in the whole stream, as far as the held bytes allow, and moves `safe`."""

    def _forget(self) -> None:
        cut = min(self._at - self._first, len(self._held))
        if cut > 0:
            self._held, self._first = self._held[cut:], self._first + cut

    def _begin(self, place: int) -> None:
        self.starts.append(place)
        if len(self.starts) > MOST_PARTS:
            raise AudioError(f"the file was joined from more than {MOST_PARTS} recordings. Cut it, or decode it first.")


class OggJoints(Joints):
    """A chained stream: pages that begin streams come after pages that do not. Source: RFC 3533, sections 4 and 6."""

    def __init__(self) -> None:
        super().__init__()
        self._was_beginning = False

    def _search(self, ended: bool) -> None:
        while len(self._held) - (i := self._at - self._first) >= 27:
            if self._held[i : i + 4] != b"OggS":
                found = self._held.find(b"OggS", i + 1)
                self._at = self._first + (found if found >= 0 else len(self._held) - 3)
                self.safe = self._at
                continue
            table_end = i + 27 + self._held[i + 26]
            if len(self._held) < table_end and not ended:
                return
            is_beginning = bool(self._held[i + 5] & 2)
            if is_beginning and not self._was_beginning:
                self._begin(self._at)
            self._was_beginning = is_beginning
            self._at = self._first + table_end + sum(self._held[i + 27 : table_end])
            self.safe = self._at


class FlacJoints(Joints):
    """Each native FLAC stream begins with its marker and the description of the stream. Source: RFC 9639, section 8."""

    def _search(self, ended: bool) -> None:
        for match in _FLAC_START.finditer(self._held, self._at - self._first):
            self._begin(self._first + match.start())
            self._at = self._first + match.end()
        self._at = max(self._at, self._first + len(self._held) - 7)
        self.safe = self._at


class Mp3Joints(Joints):
    """Consecutive frames. A recording begins with a frame that has the frame count, with a frame of another kind, after
    tags and gaps, and after the announced number of frames.

    Attributes:
        frames: number of frames of each recording.
        told: number of frames that the first one of each recording announces, or None.
        kinds: first frame of each recording.
    """

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[int] = []
        self.told: list[int | None] = []
        self.kinds: list[Mpeg] = []
        self._is_open = False
        # The end of the last frame or tag.
        self._gap = 0

    def end(self) -> None:
        if self._is_open and self._at > self._first + len(self._held):
            # The last frame is cut off, so it is not decoded.
            self.frames[-1] -= 1
        super().end()

    def _search(self, ended: bool) -> None:
        held, first = self._held, self._first
        while (left := len(held) - (i := self._at - first)) >= (1 if ended else SURE_BYTES):
            if self._is_open and (taken := self._take_run(i)):
                self._at += taken
                self._gap = self._at
            elif left < LOOK_BYTES and not ended:
                return
            elif tag := tag_bytes(held[i : i + TAG_BYTES]):
                self._is_open = False
                self._at += tag
                self._gap = self._at
            elif (frame := mpeg_frame(held[i : i + 4])) is not None and self._is_followed(frame, i, ended):
                self._start(frame, i)
            else:
                self._is_open = False
                found = _FRAME_START.search(held, i + 1)
                self._at = first + (found.start() if found else max(i + 1, len(held) - 2))
                if self._at - self._gap > MOST_GAP_BYTES:
                    self._at = first + len(held)
            self.safe = self._at

    def _take_run(self, i: int) -> int:
        """Takes the next frames of the same recording and returns their number of bytes."""
        held, kind, told, start = self._held, self.kinds[-1].kind, self.told[-1], i
        mark, count, last = 4 + self.kinds[-1].side_bytes, self.frames[-1], len(held) - SURE_BYTES
        while i <= last and count != told:
            frame = mpeg_frame(held[i : i + 4])
            if frame is None or frame.kind != kind or held[i + mark : i + mark + 4] in TELLING:
                break
            i += frame.size_bytes
            count += 1
        self.frames[-1] = count
        return i - start

    def _is_followed(self, frame: Mpeg, i: int, ended: bool) -> bool:
        behind = i + frame.size_bytes
        following = mpeg_frame(self._held[behind : behind + 4])
        is_last = ended and behind >= len(self._held) and self._is_open
        return is_last or (following is not None and following.kind == frame.kind)

    def _start(self, frame: Mpeg, i: int) -> None:
        told = announced_frames(self._held[i : i + SURE_BYTES], frame)
        goes_on = self._is_open and told is None and frame.kind == self.kinds[-1].kind
        if not goes_on or self.frames[-1] == self.told[-1]:
            self._begin(self._at)
            self._is_open = True
            self.frames.append(0)
            self.told.append(told)
            self.kinds.append(frame)
        self.frames[-1] += told is None
        self._at += frame.size_bytes
        self._gap = self._at


def announced_frames(head: bytes, frame: Mpeg) -> int | None:
    """The number of frames after this one, as written by Xing, LAME and other encoders.

    None if it is not such a frame, UNANNOUNCED if it is one without a count.
    """
    place = 4 + frame.side_bytes
    if not frame.is_layer_iii or head[place : place + 4] not in TELLING:
        return None
    if len(head) < place + 12 or not head[place + 7] & 1:
        return UNANNOUNCED
    return int.from_bytes(head[place + 8 : place + 12], "big") or UNANNOUNCED


def info_frame(header: bytes, frame: Mpeg, frames: int) -> bytes:
    """A frame to put before frames of layer III, with their number. Decoders play no sound for it."""
    # The highest bit rate has room for the count at every sample rate; no checksum.
    header = bytes([header[0], header[1] | 1, header[2] & 0x0D | 0xE0, header[3]])
    described = mpeg_frame(header)
    if described is None:
        raise AudioError(f"{header.hex()} is no header of an MP3 frame.")
    body = header + bytes(frame.side_bytes) + b"Info" + (1).to_bytes(4, "big") + frames.to_bytes(4, "big")
    return body.ljust(described.size_bytes, b"\0")


def with_frame_count(info: bytes, frame: Mpeg, frames: int) -> bytes:
    """An info frame with another number of frames, and without padding at the end, which is missing."""
    changed, place = bytearray(info), 4 + frame.side_bytes
    changed[place + 8 : place + 12] = frames.to_bytes(4, "big")
    flags = changed[place + 7]
    # After the fields announced by the flags come the encoder's name and more, then 12 bits each of delay and padding.
    padding = place + 8 + 4 + (4 if flags & 2 else 0) + (100 if flags & 4 else 0) + (4 if flags & 8 else 0) + 22
    if padding + 2 <= len(changed):
        changed[padding] &= 0xF0
        changed[padding + 1] = 0
    return bytes(changed)


def endless_page(first_page: bytes) -> bytes:
    """An Ogg page that declares 2^41 samples for the stream of `first_page`; for streams without an end."""
    page = b"OggS\0\4" + (2**41).to_bytes(8, "little") + first_page[14:18] + b"\xff\xff\xff\x7f"
    return page + _ogg_checksum(page + bytes(5)).to_bytes(4, "little") + b"\0"


def _ogg_checksum(data: bytes) -> int:
    checksum = 0
    for byte in data:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1 ^ (0x04C11DB7 if checksum & 0x80000000 else 0)) & 0xFFFFFFFF
    return checksum


__all__ = [
    "MOST_PARTS",
    "UNANNOUNCED",
    "FlacJoints",
    "Joints",
    "Mp3Joints",
    "OggJoints",
    "announced_frames",
    "endless_page",
    "info_frame",
    "with_frame_count",
]
