"""Files as encoders, recorders and `cat` leave them, made from noise bursts or the project's own samples."""

import io
import struct

import numpy as np
import soundfile

from streamrnn.audio.containers import mpeg_frame, tag_bytes

RATE = 16000


def noise(seconds=1.0, rate=RATE, channels=1, seed=0):
    shape = (round(seconds * rate),) if channels == 1 else (round(seconds * rate), channels)
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def encoded(samples, rate=RATE, form="FLAC", subtype=None):
    """The bytes of a file that holds the samples."""
    body = io.BytesIO()
    soundfile.write(body, samples, rate, format=form, subtype=subtype)
    return body.getvalue()


def without_telling_frame(mp3):
    """An MP3 file as live encoders write it: its first frame, which tells the length, is missing."""
    start = tag_bytes(mp3[:10])
    assert b"Xing" in mp3[start : start + 64] or b"Info" in mp3[start : start + 64]
    return mp3[start + mpeg_frame(mp3[start : start + 4]).size_bytes :]


def wave_of(samples, told, riff=None, rate=RATE, behind=b"", order="<"):
    """A 16 bit WAVE file whose header tells of so many bytes of sound."""
    data = np.round(samples * 32767).astype(order + "i2").tobytes()
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    fields = struct.pack(order + "HHIIHH", 1, channels, rate, 2 * channels * rate, 2 * channels, 16)
    head = struct.pack(order + "4sI", b"fmt ", 16) + fields + struct.pack(order + "4sI", b"data", told)
    size = len(head) + 4 + told if riff is None else riff
    name = b"RIFF" if order == "<" else b"RIFX"
    return name + struct.pack(order + "I", size & 0xFFFFFFFF) + b"WAVE" + head + data + behind


def ending_later(ogg, samples):
    """An Ogg file whose last page tells of so many samples more than there are, at 48 kHz for Opus."""
    page = bytearray(ogg[ogg.rindex(b"OggS") :])
    position = struct.unpack_from("<q", page, 6)[0] + samples
    struct.pack_into("<q", page, 6, position)
    struct.pack_into("<I", page, 22, 0)
    # Ogg's checksum (RFC 3533): a CRC of 32 bits by 0x04c11db7, from 0 on, nothing reflected.
    check = 0
    for byte in page:
        check ^= byte << 24
        for _ in range(8):
            check = (check << 1 ^ (0x04C11DB7 if check >> 31 else 0)) & 0xFFFFFFFF
    struct.pack_into("<I", page, 22, check)
    return ogg[: -len(page)] + bytes(page)
