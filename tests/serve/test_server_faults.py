"""What clients do wrong: each is answered with its code, and hurts no other stream."""

import contextlib
import json
import threading

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from streamrnn.audio import StreamingResampler
from streamrnn.decisions import SpeechDecoder
from streamrnn.runtime import Listener
from streamrnn.serve import ServerSettings, serve
from streamrnn.serve.engine import RESTARTS, EngineFailed

BROKEN = 0.123
HELLO = {"type": "hello", "version": 1}


@pytest.mark.parametrize(
    ("first", "code", "close_code"),
    [
        (b"\0\0", "bad_message", 1002),
        ("no json", "bad_message", 1002),
        ("[" * 10_000, "bad_message", 1002),
        ('{"type": "flush"}', "bad_message", 1002),
        (json.dumps({**HELLO, "version": 2}), "unsupported_version", 1008),
        (json.dumps({**HELLO, "model": "gpt"}), "unknown_model", 1008),
        (json.dumps({**HELLO, "sample_rate": 200_000}), "bad_hello", 1008),
        (json.dumps({**HELLO, "sample_rate": 44_101}), "bad_hello", 1008),
        (json.dumps({**HELLO, "encoding": "opus"}), "bad_hello", 1008),
        (json.dumps({**HELLO, "channels": 99}), "bad_hello", 1008),
        (json.dumps({**HELLO, "settings": {"volume": 1}}), "bad_hello", 1008),
        (json.dumps({**HELLO, "settings": {"threshold": 2}}), "bad_hello", 1008),
        (json.dumps({**HELLO, "settings": {"threshold": "high"}}), "bad_hello", 1008),
        (json.dumps({**HELLO, "settings": {"min_silence_ms": 1e8}}), "bad_hello", 1008),
        (json.dumps({**HELLO, "settings": {"min_silence_ms": 10**400}}), "bad_hello", 1008),
        (json.dumps({**HELLO, "resume": {"session": "a", "secret": "b", "seq": 0}}), "resume_failed", 1008),
    ],
)
def test_a_wrong_beginning_ends_the_connection_with_its_code(server, talk, first, code, close_code):
    client = talk(server)
    client.socket.send(first)
    messages, closed_with, reason = client.ending()
    assert [(m["type"], m["code"], m["fatal"]) for m in messages] == [("error", code, True)]
    assert (closed_with, reason) == (close_code, code)
    assert messages[0]["message"].endswith(".") and "/" not in messages[0]["message"]


NAN = np.full(160, np.nan, np.float32)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ("text where sound belongs", "bad_message"),
        ('{"type": "hello", "version": 1}', "bad_message"),
        ('{"type": []}', "bad_message"),
        (b"\0\0\0", "bad_audio"),
        (NAN.tobytes(), "bad_audio"),
        ((NAN * 0 + np.inf).tobytes(), "bad_audio"),
        (np.full(160, 3e8, np.float32).tobytes(), "bad_audio"),
    ],
)
def test_a_wrong_message_is_refused_and_the_stream_goes_on_as_if_it_had_not_come(
    server, loudness, talk, bursts, bad, code
):
    sound = (bursts(1.5) / 32768).astype(np.float32)
    client = talk(server)
    client.hello(encoding="f32le")
    client.send(sound[:12_345])
    client.socket.send(bad)
    errors = [m for m in client.until("error") if m["type"] == "error"]
    assert [(m["code"], m["fatal"]) for m in errors] == [(code, False)]
    client.send(sound[12_345:])
    client.say("close")
    messages, closed_with, _ = client.ending()
    assert closed_with == 1000
    listener = Listener(loudness)
    expected = [event.decided_s for event in listener.feed(sound) + listener.finish()]
    assert client.seq == len(expected) + 2
    assert [m["duration_s"] for m in messages if m["type"] == "flushed"] == [1.5]


def test_more_than_twenty_wrong_messages_of_sound_in_a_row_end_the_connection(server, talk):
    client = talk(server)
    client.hello()
    for _ in range(2):
        for _ in range(20):
            client.socket.send(b"\0\0\0")
        client.send(np.zeros(1600, np.int16))
    for _ in range(21):
        client.socket.send(b"\0\0\0")
    messages, code, reason = client.ending()
    errors = [m for m in messages if m["type"] == "error"]
    assert [error["code"] for error in errors] == ["bad_audio"] * 61
    assert (errors[-1]["fatal"], code, reason) == (True, 1007, "bad_audio")


def test_sound_after_flush_is_refused_until_reset(server, talk, bursts):
    client = talk(server)
    client.hello()
    client.flush()
    client.send(bursts(0.1))
    assert client.read()["code"] == "finished"
    client.say("reset")
    client.until("was_reset")
    client.send(bursts(0.5))
    assert client.flush()[-1]["duration_s"] == 0.5


def test_a_message_over_the_limit_ends_the_connection_and_the_stream_waits(running, talk):
    with running(max_message_bytes=10_000, resume_s=5.0) as server:
        client = talk(server)
        ready = client.hello()
        client.socket.send(bytes(10_002))
        assert client.ending()[1] == 1009
        resume = {name: ready[name] for name in ("session", "secret", "seq")}
        assert talk(server).hello(resume=resume)["type"] == "ready"
        assert b'streamrnn_errors_total{code="too_large"} 1.0' in server.server.metrics.as_text()


def test_text_that_is_no_utf8_ends_the_connection(server, talk):
    client = talk(server)
    client.hello()
    client.socket.send(b"\xff\xfe", text=True)
    assert client.ending()[1] == 1007


def test_errors_are_counted_by_code(running, talk):
    with running() as server:
        for _ in range(2):
            client = talk(server)
            client.hello(model="gpt")
            client.ending()
        assert b'streamrnn_errors_total{code="unknown_model"} 2.0' in server.server.metrics.as_text()


@pytest.mark.parametrize("error", [ValueError, IndexError, TypeError, MemoryError])
def test_a_stream_whose_decoder_fails_is_given_up_and_the_others_go_on(
    running, loudness, talk, bursts, monkeypatch, eventually, caplog, error
):
    push = SpeechDecoder.push

    def push_unless_broken(self, outputs):
        if self.settings.threshold == BROKEN:
            raise error("no such score")
        return push(self, outputs)

    monkeypatch.setattr(SpeechDecoder, "push", push_unless_broken)
    with running() as server:
        broken, sound = talk(server), talk(server)
        broken.hello(settings={"threshold": BROKEN})
        sound.hello()
        for client in (broken, sound):
            client.send(bursts(0.5))
        messages, code, _ = broken.ending()
        assert (messages[-1]["code"], code) == ("internal", 1011)
        assert "score" not in messages[-1]["message"]
        assert sound.flush()[-1]["duration_s"] == 0.5
        eventually(lambda: len(server.server.sessions) == 1)
        assert server.server.state == "ok" and "stream failed" in caplog.text


def test_a_stream_whose_resampler_fails_is_given_up_and_the_others_go_on(
    running, talk, bursts, monkeypatch, eventually
):
    process = StreamingResampler.process

    def process_unless_broken(self, samples):
        if self.source_rate == 8000:
            raise IndexError("no such phase")
        return process(self, samples)

    monkeypatch.setattr(StreamingResampler, "process", process_unless_broken)
    with running() as server:
        broken, sound = talk(server), talk(server)
        broken.hello(sample_rate=8000)
        sound.hello(sample_rate=48_000, channels=2)
        broken.send(bursts(0.5, 8000))
        sound.send(bursts(0.5, 48_000, 2))
        messages, code, _ = broken.ending()
        assert (messages[-1]["code"], code) == ("internal", 1011)
        assert sound.flush()[-1]["duration_s"] == 0.5
        eventually(lambda: len(server.server.sessions) == 1)


def tick():
    raise MemoryError("no more")


def test_when_an_engine_fails_its_streams_are_told_and_it_begins_anew(running, talk, bursts, monkeypatch, caplog):
    with running() as server:
        for _ in range(RESTARTS):
            client, other = talk(server), talk(server)
            client.hello()
            other.hello(sample_rate=8000)
            monkeypatch.setattr(server.server.engines["loudness"]._pool, "tick", tick)
            for lost in (client, other):
                messages, code, _ = lost.ending()
                assert (messages[-1]["code"], code) == ("internal", 1011)
            after = talk(server)
            assert after.hello()["type"] == "ready"
            after.send(bursts(0.5))
            assert after.flush()[-1]["duration_s"] == 0.5
            after.say("close")
            after.ending()
        assert server.server.state == "ok" and not server.server.sessions
    assert caplog.text.count("engine failed") == RESTARTS


def test_an_engine_that_fails_again_and_again_ends_the_server(running, talk, monkeypatch, loudness):
    monkeypatch.setattr("streamrnn.serve.engine.RESTARTS", 0)
    with running() as server:
        client, other = talk(server), talk(server)
        client.hello()
        monkeypatch.setattr(server.server.engines["loudness"]._pool, "tick", tick)
        assert client.ending()[1] == 1011
        assert other.ending()[0][-1]["code"] == "shutting_down"
        assert server.server.has_failed


def test_serving_says_that_it_failed(loudness, monkeypatch):
    monkeypatch.setattr("streamrnn.serve.engine.RESTARTS", 0)
    monkeypatch.setattr("streamrnn.runtime.Pool.tick", lambda self: tick())
    with pytest.raises(EngineFailed, match="loudness"):
        serve({"loudness": loudness}, ServerSettings(port=0, shutdown_s=1.0), _say_hello)


def _say_hello(url: str) -> None:
    def talk():
        with (
            contextlib.suppress(ConnectionClosed),
            connect(url.replace("http", "ws") + "/v1/stream", proxy=None) as peer,
        ):
            peer.send(json.dumps(HELLO))
            while True:
                peer.recv(20)

    threading.Thread(target=talk, daemon=True).start()
