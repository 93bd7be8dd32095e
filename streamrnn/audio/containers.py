"""Recognises file formats by their first bytes."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

# The maximum size of three frames of MP3 or AAC, headers included.
HEAD_BYTES = 8192
TAG_BYTES = 10
# Containers that libsndfile decodes; untrusted files may have only these.
DECODED = ("WAVE", "RIFX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "Ogg", "MP3")
# Other containers, with ffmpeg's names for their demuxers.
FOREIGN = {
    "WebM or Matroska": "matroska",
    "MP4 or M4A": "mov",
    "AAC (ADTS)": "aac",
    "AMR": "amr",
    "WMA or ASF": "asf",
    "MPEG-TS": "mpegts",
    "AVI": "avi",
    "FLV": "flv",
    "Ogg with another codec than Vorbis and Opus": "ogg",
    "CAF with another codec than PCM and ALAC": "caf",
}
REFUSED = "MIDI Sample Dump (SDS)"
_PREFIXES = {
    b"RIFX": "RIFX",
    b"RF64": "RF64",
    b"riff\x2e\x91\xcf\x11": "W64",
    b".snd": "AU",
    b"dns.": "AU",
    b"fLaC": "FLAC",
    b"\x1a\x45\xdf\xa3": "WebM or Matroska",
    b"#!AMR": "AMR",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "WMA or ASF",
    b"FLV\x01": "FLV",
}


class Mpeg(NamedTuple):
    """The content of an MPEG audio frame's header.

    Attributes:
        size_bytes: of the frame, the header included.
        samples: per channel.
        kind: version, layer, rate and whether it is mono, which are equal in all frames of one recording.
        side_bytes: between the header and the frame count in the first frame of a recording.
    """

    size_bytes: int
    samples: int
    kind: tuple[int, int, int, bool]
    side_bytes: int

    @property
    def is_layer_iii(self) -> bool:
        """Whether it is MP3 proper (layer III)."""
        return self.kind[1] == 1


def recognise(peek: Callable[[int], bytes]) -> str | None:
    """The name of the container, one of DECODED or FOREIGN, or REFUSED; None if it is unknown.

    Raw sound is never taken for a container: a format without a signature must have three consecutive frames.

    Args:
        peek: returns that many of the first bytes, or fewer if there are no more. It is asked for more than 32 only if
            the first ones could begin frames.
    """
    head = peek(32)
    for prefix, name in _PREFIXES.items():
        if head.startswith(prefix):
            return name
    match head[:4], head[8:12]:
        case b"RIFF", b"AVI ":
            return "AVI"
        case b"RIFF", _:
            return "WAVE"
        case b"FORM", b"AIFF" | b"AIFC":
            return "AIFF"
        case b"caff", _:
            is_pcm = head[28:32] in (b"lpcm", b"ulaw", b"alaw", b"alac")
            return "CAF" if is_pcm else "CAF with another codec than PCM and ALAC"
        case b"OggS", _:
            return _ogg(peek(64))
    if head[4:8] == b"ftyp":
        return "MP4 or M4A"
    if head[:2] == b"\xf0\x7e" and head[3:4] == b"\x01":
        return REFUSED
    if head[:1] == b"\xff" and _chained(peek, _mpeg_size):
        return "MP3"
    if head[:1] == b"\xff" and _chained(peek, _adts_size):
        return "AAC (ADTS)"
    # The first packet begins with one of the two tables of the stream's contents.
    if head[:3] in (b"\x47\x40\x00", b"\x47\x40\x11") and peek(377)[188::188] == b"\x47\x47":
        return "MPEG-TS"
    return None


def tag_bytes(head: bytes) -> int:
    """The length of the ID3 tag that begins here, header included; 0 if none does."""
    if len(head) < TAG_BYTES or head[:3] != b"ID3" or head[3] > 0x0F or max(head[6:10]) > 0x7F:
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return TAG_BYTES + size + (TAG_BYTES if head[5] & 0x10 else 0)


def mpeg_frame(header: bytes) -> Mpeg | None:
    """The frame that these four bytes begin; None if they begin none, or one of a free bit rate."""
    if len(header) < 4 or header[0] != 0xFF:
        return None
    return _mpeg_table().get((header[1] << 8 | header[2], header[3] >> 6 == 3))


def _ogg(head: bytes) -> str:
    # The first packet, after the page's header of 27 bytes and its table of segments.
    packet = head[27 + head[26] :] if len(head) > 27 else b""
    known = packet.startswith((b"\x01vorbis", b"OpusHead"))
    return "Ogg" if known or not packet else "Ogg with another codec than Vorbis and Opus"


def _chained(peek: Callable[[int], bytes], size_of: Callable[[bytes], tuple[int, object] | None]) -> bool:
    """Whether there are three consecutive frames of one kind, or at least two up to the end."""
    if size_of(peek(32)) is None:
        return False
    head, position, kinds = peek(HEAD_BYTES), 0, []
    while len(kinds) < 3 and position + 8 <= len(head):
        found = size_of(head[position : position + 8])
        if found is None or found[1] != (kinds or [found[1]])[0]:
            return False
        kinds.append(found[1])
        position += found[0]
    return len(kinds) >= 2


def _mpeg_size(header: bytes) -> tuple[int, object] | None:
    frame = mpeg_frame(header)
    return None if frame is None else (frame.size_bytes, frame.kind)


def _adts_size(header: bytes) -> tuple[int, object] | None:
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5 if len(header) >= 7 else 0
    is_frame = size > 7 and header[0] == 0xFF and header[1] & 0xF6 == 0xF0 and header[2] >> 2 & 15 < 13
    return (size, (header[1], header[2])) if is_frame else None


@lru_cache(maxsize=1)
def _mpeg_table() -> dict[tuple[int, bool], Mpeg]:
    """(second and third byte, mono) -> the frame. Source: ISO/IEC 11172-3, section 2.4.1.3, and 13818-3."""
    full = {
        3: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
        2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
        1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    }
    low = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
    half = {3: (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256), 2: low, 1: low}
    table = {}
    for first in range(0xE0, 0x100):
        version, layer = first >> 3 & 3, first >> 1 & 3
        if version == 1 or layer == 0:
            continue
        for second in range(256):
            bit_rate, rate, padding = second >> 4, second >> 2 & 3, second >> 1 & 1
            if bit_rate in (0, 15) or rate == 3:
                continue
            kbits = (full if version == 3 else half)[layer][bit_rate - 1]
            hz = (44100, 48000, 32000)[rate] // {3: 1, 2: 2, 0: 4}[version]
            samples = {3: 384, 2: 1152, 1: 1152 if version == 3 else 576}[layer]
            slots = samples // (32 if layer == 3 else 8) * 1000 * kbits // hz + padding
            for mono in (False, True):
                side = (17 if mono else 32) if version == 3 else (9 if mono else 17)
                size = slots * (4 if layer == 3 else 1)
                table[first << 8 | second, mono] = Mpeg(size, samples, (version, layer, hz, mono), side)
    return table


__all__ = ["DECODED", "FOREIGN", "HEAD_BYTES", "REFUSED", "TAG_BYTES", "Mpeg", "mpeg_frame", "recognise", "tag_bytes"]
