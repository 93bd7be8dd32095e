"""What a client's stream takes for sound, and for messages."""

import json
from typing import Any

import numpy as np
import pytest

from streamrnn.audio import AudioError
from streamrnn.serve.client_errors import Dropped, ServerRefused
from streamrnn.serve.client_stream import MESSAGE_BYTES, ClientStream
from streamrnn.serve.protocol import Hello

READY = {
    "session": "one",
    "secret": "known only here",
    "model": "vad",
    "sample_rate": 8000,
    "gives": "events",
    "kinds": ["speech_start", "speech_end"],
    "labels": ["speech"],
    "out_features": 1,
    "frame_s": 0.01,
    "latency_ms": 40.0,
    "settings": {},
    "received_samples": 0,
    "seq": 0,
    "resume_s": 30.0,
}


def told(message_type: str, /, **fields: Any) -> str:
    return json.dumps({"type": message_type, **fields})


def connected(**hello: Any) -> ClientStream:
    """A stream that the server has greeted."""
    stream = ClientStream(Hello("vad", 8000, **hello))
    stream.connected()
    assert stream.next_message()
    stream.receive(told("ready", **READY))
    return stream


def pcm(samples: int) -> bytes:
    return np.random.default_rng(samples).integers(-9000, 9000, samples).astype("<i2").tobytes()


def test_a_long_chunk_becomes_messages_of_whole_samples():
    stream = connected(channels=3)
    stream.feed(bytes(6 * 20_000))
    lengths = [len(message) for message in iter(stream.next_message, None)]
    assert sum(lengths) == 6 * 20_000
    assert max(lengths) <= MESSAGE_BYTES and all(length % 6 == 0 for length in lengths)


@pytest.mark.parametrize("encoding", ["s16le", "f32le"])
def test_arrays_and_bytes_of_the_same_sound_are_the_same_message(encoding):
    stream = connected(encoding=encoding)
    ints = np.frombuffer(pcm(64), "<i2")
    floats = ints.astype(np.float32) / 32768
    stereo = np.stack([floats, floats], axis=1)
    raw = ints.tobytes() if encoding == "s16le" else floats.tobytes()
    for chunk in (raw, bytearray(raw), memoryview(raw), ints, floats, floats.astype(np.float64), stereo):
        stream.feed(chunk)
    assert set(iter(stream.next_message, None)) == {raw}


@pytest.mark.parametrize(
    ("chunk", "channels", "said"),
    [
        (b"odd", 1, "3 bytes"),
        (bytes(6), 2, "6 bytes"),
        (np.array([np.nan], np.float32), 1, "NaN"),
        (np.zeros(4, np.float32), 2, r"\[4\]"),
        (np.zeros((4, 3), np.float32), 2, r"\[4, 3\]"),
    ],
)
def test_what_is_no_sound_is_refused_here_and_nothing_of_it_is_sent(chunk, channels, said):
    stream = connected(channels=channels)
    with pytest.raises(AudioError, match=said):
        stream.feed(chunk)
    assert stream.next_message() is None and stream.duration_s == 0


def test_float_bytes_with_nan_are_refused():
    stream = connected(encoding="f32le")
    with pytest.raises(AudioError, match="NaN"):
        stream.feed(np.array([0.0, np.nan], "<f4").tobytes())


@pytest.mark.parametrize("wrong", [{"encoding": "mp3"}, {"channels": 0}, {"channels": 9}])
def test_an_unknown_encoding_or_number_of_channels_is_refused_before_anything_is_sent(wrong):
    with pytest.raises(ValueError, match="needed are"):
        ClientStream(Hello(**wrong))


@pytest.mark.parametrize("code", ["idle", "slow_reader", "shutting_down", "busy"])
def test_some_errors_only_end_the_connection(code):
    stream = connected()
    with pytest.raises(Dropped, match=code):
        stream.receive(told("error", code=code, message="come again", fatal=True))


@pytest.mark.parametrize("code", ["taken_over", "unauthorized", "internal"])
def test_other_errors_end_the_stream(code):
    stream = connected()
    with pytest.raises(ServerRefused, match="because") as refused:
        stream.receive(told("error", code=code, message="because", fatal=True))
    assert (refused.value.code, refused.value.message) == (code, "because")
    assert stream.closed


@pytest.mark.parametrize("message", ["<html>", "[]", '{"type": "ready"}', '{"no": "type"}', b"\x00"])
def test_what_is_no_message_of_the_protocol_is_one_clear_error(message):
    with pytest.raises(ServerRefused, match="Is it a streamrnn server"):
        connected().receive(message)
