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
