"""The recordings in a file: their boundaries, and new headers for those with a wrong one."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO, TypeVar

from streamrnn.audio.containers import TAG_BYTES, recognise, tag_bytes
from streamrnn.audio.joined import UNANNOUNCED, FlacJoints, Joints, Mp3Joints, OggJoints, info_frame, with_frame_count
from streamrnn.audio.pcm import END_MARKS, GSM, LENGTHS, LONG, UNKNOWN_SIZE, WAVE_CHUNKS, told_bytes, wave_header

BLOCK_BYTES = 2**20
# A shorter rest behind the sound is ignored.
NOTHING_S = 0.1

J = TypeVar("J", bound=Joints)


@dataclass(frozen=True)
class Part:
    """One recording in a file.

    Attributes:
        start, end: byte range.
        prefix: a header to read before these bytes.
        note: a fault in it, for a warning after its last samples.
    """

    start: int
    end: int
    prefix: bytes = b""
    note: str | None = None


def kind_of(file: BinaryIO) -> tuple[str | None, int]:
    """The container's name (see `recognise`), and the number of bytes of tags before it."""

    def peek(count: int) -> bytes:
        file.seek(start)
        return file.read(count)

    start = 0
    while tag := tag_bytes(peek(TAG_BYTES)):
        start += tag
    return recognise(peek), start


def parts_of(file: BinaryIO, kind: str | None, size_bytes: int, start: int = 0) -> list[Part]:
    """All recordings in a file of this kind, at least one, behind `start` bytes of tags.

    Raises:
        AudioError: there are more than 4,096.
    """
    match kind:
        case "WAVE" | "RIFX" | "RF64":
            found = list(_wave_parts(file, start, size_bytes))
        case "MP3":
            found = _mp3_parts(file, size_bytes)
        case "FLAC" | "Ogg":
            joints = _searched(file, FlacJoints() if kind == "FLAC" else OggJoints())
            found = [Part(start, end) for start, end in pairwise([*joints.starts, size_bytes])]
        case _:
            found = []
    return found or [Part(start, size_bytes)]


def _searched(file: BinaryIO, joints: J) -> J:
    file.seek(0)
    while data := file.read(BLOCK_BYTES):
        joints.feed(data)
    joints.end()
    return joints


def _mp3_parts(file: BinaryIO, size_bytes: int) -> list[Part]:
    joints = _searched(file, Mp3Joints())
    bounds, found = pairwise([*joints.starts, size_bytes]), []
    for (start, end), frames, told, kind in zip(bounds, joints.frames, joints.told, joints.kinds, strict=True):
        if frames == 0:
            continue
        if not kind.is_layer_iii or told == frames:
            found.append(Part(start, end))
            continue
        file.seek(start)
        first = file.read(kind.size_bytes)
        if told in (None, UNANNOUNCED):
            found.append(Part(start if told is None else start + len(first), end, info_frame(first[:4], kind, frames)))
            continue
        note = None
        # Some encoders include the frame with the count.
        if told > frames + 1:
            frame_s = kind.samples / kind.kind[2]
            note = f"is cut off: {frames * frame_s:.2f} s of {told * frame_s:.2f} s are there"
        found.append(Part(start + len(first), end, with_frame_count(first, kind, frames), note))
    return found


def _wave_parts(file: BinaryIO, start: int, size_bytes: int) -> Iterator[Part]:
    place: int | None = start
    while place is not None:
        part, place = _wave_part(file, place, size_bytes)
        yield part


def _wave_part(file: BinaryIO, start: int, size_bytes: int) -> tuple[Part, int | None]:
    """The WAVE file that begins at `start`, and the start of the next one, if any."""
    file.seek(start)
    order = ">" if file.read(12)[:4] == b"RIFX" else "<"
    fields = lengths = b""
    place = start + 12
    while (chunk := _chunk(file, place, order)) is not None and chunk[0] != b"data":
        if chunk[0] == b"fmt ":
            fields = file.read(min(chunk[1], 64))
        elif chunk[0] == LENGTHS:
            lengths = file.read(min(chunk[1], 64))
        place += 8 + chunk[1] + chunk[1] % 2
    if chunk is None or len(fields) < 16:
        return Part(start, size_bytes), None
    byte_rate = max(1, struct.unpack_from(order + "I", fields, 8)[0])
    sound, told, there = place + 8, chunk[1], size_bytes - place - 8
    if told == LONG and lengths:
        told = told_bytes(told, lengths, order) or LONG
    odd = None
    if told % 2 and struct.unpack_from(order + "H", fields)[0] == GSM:
        odd = Part(sound, sound + told, _header(fields, told, order))
    if told < there:
        behind = _behind(file, sound + told, size_bytes, order, NOTHING_S * byte_rate)
        if not told and not isinstance(behind, int):
            # Where no length is told, all is sound but chunks behind none.
            behind = "nothing" if _is_all_chunks(file, sound, size_bytes, order) else "sound"
        if isinstance(behind, int):
            return odd or Part(start, behind), behind
        if behind == "sound":
            note = (
                f"has a header that was never finished: it tells of {told / byte_rate:.2f} s, and all "
                f"{there / byte_rate:.2f} s to the end of the file are read"
            )
            return Part(sound, size_bytes, _header(fields, there, order), note), None
        return odd or Part(start, size_bytes), None
    if told >= UNKNOWN_SIZE and told > there:
        note = (
            f"has a header that was never finished: it tells no length, and all {there / byte_rate:.2f} s to the end "
            "of the file are read"
        )
        return Part(sound, size_bytes, _header(fields, there, order), note), None
    note = None
    if told > there + 1:
        note = f"is cut off: {there / byte_rate:.2f} s of {told / byte_rate:.2f} s are there"
    return odd if odd and told == there else Part(start, size_bytes, note=note), None


def _header(fields: bytes, sound_bytes: int, order: str) -> bytes:
    encoding, block_bytes = struct.unpack_from(order + "H10xH", fields)
    if encoding == GSM:
        # libsndfile takes the byte that fills up an odd length for the beginning of a block, and makes noise of it. Of
        # a length that is one less it decodes all blocks, the last one too.
        sound_bytes -= sound_bytes % max(1, block_bytes)
        sound_bytes -= sound_bytes % 2
    return wave_header(fields, sound_bytes, order)


def _behind(file: BinaryIO, end: int, size_bytes: int, order: str, nothing_bytes: float) -> str | int:
    """What follows the sound according to the header: "sound", "nothing", or the start of another WAVE file."""
    # Some programs omit the padding byte after an odd length.
    for place in dict.fromkeys((end + end % 2, end)):
        while (chunk := _chunk(file, place, order)) is not None:
            if chunk[0] in (b"RIFF", b"RIFX", b"RF64") and file.read(4) == b"WAVE":
                return place
            if chunk[0] not in WAVE_CHUNKS and not _is_all_chunks(file, place, size_bytes, order):
                break
            place += 8 + chunk[1] + chunk[1] % 2
        if place >= size_bytes or chunk is None or chunk[0].startswith(END_MARKS):
            return "nothing"
    if size_bytes - end < nothing_bytes or _is_zero(file, end):
        return "nothing"
    return "sound"


def _is_zero(file: BinaryIO, start: int) -> bool:
    file.seek(start)
    while data := file.read(BLOCK_BYTES):
        if data.strip(b"\0"):
            return False
    return True


def _is_all_chunks(file: BinaryIO, place: int, size_bytes: int, order: str) -> bool:
    """Whether there are only valid chunks from here to the last byte."""
    while (chunk := _chunk(file, place, order)) is not None:
        if not chunk[0].decode("latin-1").isprintable() or not chunk[0].isascii():
            return False
        place += 8 + chunk[1] + chunk[1] % 2
    return 0 <= place - size_bytes <= 1


def _chunk(file: BinaryIO, place: int, order: str) -> tuple[bytes, int] | None:
    file.seek(place)
    head = file.read(8)
    return struct.unpack(order + "4sI", head) if len(head) == 8 else None


__all__ = ["Part", "kind_of", "parts_of"]
