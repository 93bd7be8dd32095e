"""Live streams over a WebSocket: what comes back is what a Listener or an Enhancer gives."""

import json
import time

import httpx
import numpy as np
import pytest

from streamrnn.audio import read_audio
from streamrnn.decisions import Event, SpeechSettings
from streamrnn.pretrained import load
from streamrnn.runtime import Enhancer, Listener
from streamrnn.serve.encodings import decoded, encoded

SAMPLE_NAMES = ("conversation.flac", "telephone_8k.wav", "stereo_44k.flac")


def events_of(messages) -> list[Event]:
    found = [m for m in messages if isinstance(m, dict) and m["type"] == "event"]
    return [Event(**{name: m[name] for name in Event.__slots__ if name in m}) for m in found]


def sound_of(messages, encoding="s16le") -> np.ndarray:
    return decoded(b"".join(m for m in messages if isinstance(m, bytes)), encoding, 1)


def heard(model, sound, sample_rate, **decision) -> list[Event]:
    """A lone Listener's events, rounded as they are sent."""
    listener = Listener(model, sample_rate, **decision)
    return [Event(**event.to_dict()) for event in listener.feed(sound) + listener.finish()]


@pytest.fixture(scope="module")
def vad():
    return load("vad")


@pytest.fixture(scope="module")
def vad_server(running, vad):
    with running({"vad": vad}, max_small_messages=100_000) as server:
        yield server


@pytest.mark.parametrize("name", SAMPLE_NAMES)
@pytest.mark.parametrize("chunk_ms", [7, 100, 5000])
def test_events_are_those_of_a_listener_at_any_rate_and_in_any_chunks(
    vad_server, vad, talk, sample_path, name, chunk_ms
):
    sound, rate = read_audio(sample_path(name))
    pcm = np.frombuffer(encoded(sound, "s16le"), np.int16)
    client = talk(vad_server)
    client.hello(model="vad", sample_rate=rate)
    client.send(pcm, chunk_ms * rate // 1000)
    events = events_of(client.flush())
    assert close(events, heard(vad, pcm, rate)) and events


def close(found: list[Event], expected: list[Event]) -> bool:
    """Equal but for scores, which a batch gives to 1e-5."""
    same = [(e.kind, e.label, e.start_s, e.end_s, e.decided_s) for e in found] == [
        (e.kind, e.label, e.start_s, e.end_s, e.decided_s) for e in expected
    ]
    return same and np.allclose([e.score for e in found], [e.score for e in expected], atol=1e-4)


@pytest.mark.parametrize(("encoding", "channels"), [("s16le", 1), ("s16le", 2), ("f32le", 1), ("f32le", 8)])
def test_every_encoding_and_number_of_channels_is_heard_alike(server, loudness, talk, bursts, encoding, channels):
    sound = bursts(2.0, channels=channels)
    client = talk(server)
    client.hello(encoding=encoding, channels=channels)
    client.send(sound if encoding == "s16le" else (sound / 32768).astype(np.float32))
    assert events_of(client.flush()) == heard(loudness, bursts(2.0), 16_000)


def test_ready_says_what_is_served_and_how(server, loudness, talk):
    ready = talk(server).hello(sample_rate=44_100, channels=2, settings={"threshold": 0.7})
    assert ready["type"] == "ready" and ready["version"] == 1
    assert (ready["model"], ready["sample_rate"], ready["encoding"], ready["channels"]) == (
        "loudness",
        44_100,
        "s16le",
        2,
    )
    assert (ready["gives"], ready["labels"], ready["frame_s"]) == ("events", ["speech"], 0.01)
    assert ready["settings"]["threshold"] == 0.7 and ready["settings"]["min_speech_ms"] == 60
    # What follows from the threshold is told, too: a client need not know how.
    assert ready["settings"]["off_threshold"] == SpeechSettings(threshold=0.7).resolved_off_threshold
    assert ready["latency_ms"] == pytest.approx(Listener(loudness, 44_100).latency.algorithmic_ms)
    assert (ready["received_samples"], ready["seq"]) == (0, 0)


def test_decision_settings_are_those_of_the_hello(server, loudness, talk, bursts):
    client = talk(server)
    client.hello(settings={"min_silence_ms": 900})
    client.send(bursts(3.0))
    assert events_of(client.flush()) == heard(loudness, bursts(3.0), 16_000, min_silence_ms=900)


def test_a_stream_goes_on_after_reset_as_a_new_one(server, loudness, talk, bursts):
    client = talk(server)
    client.hello()
    client.send(bursts(1.2))
    client.say("reset")
    client.until("was_reset")
    client.send(bursts(2.0))
    assert events_of(client.flush()) == heard(loudness, bursts(2.0), 16_000)
    client.say("reset")
    client.until("was_reset")
    client.send(bursts(2.0))
    assert events_of(client.flush()) == heard(loudness, bursts(2.0), 16_000)


def test_flush_says_how_long_the_sound_was_also_where_none_came(server, talk, bursts):
    client = talk(server)
    client.hello()
    assert client.flush()[-1]["duration_s"] == 0
    client.say("reset")
    client.until("was_reset")
    client.send(bursts(0.7))
    assert client.flush()[-1]["duration_s"] == 0.7
    assert client.flush()[-1]["duration_s"] == 0.7


def test_close_flushes_and_ends_the_websocket_with_1000(server, loudness, talk, bursts):
    client = talk(server)
    client.hello()
    client.send(bursts(0.9))
    client.say("close")
    messages, code, _ = client.ending()
    assert events_of(messages) == heard(loudness, bursts(0.9), 16_000)
    assert (messages[-1]["type"], code) == ("closed", 1000)


def test_levels_are_sent_to_those_who_ask_and_cover_the_stream_once(server, loudness, talk, bursts):
    client = talk(server)
    client.hello(levels=True)
    client.send(bursts(1.0))
    levels = [m for m in client.flush() if m["type"] == "levels"]
    values = [value for m in levels for value in m["values"]]
    assert [round(m["start_s"] / 0.01) for m in levels] == np.cumsum(
        [0] + [len(m["values"]) for m in levels[:-1]]
    ).tolist()
    assert len(values) >= 100
    assert max(values[:45]) < 0.1 and min(values[60:90]) > 0.9
    quiet = talk(server)
    quiet.hello()
    quiet.send(bursts(1.0))
    assert not [m for m in quiet.flush() if m["type"] == "levels"]


def test_progress_tells_what_was_taken_and_worked_off(server, talk, bursts):
    client = talk(server)
    client.hello(sample_rate=8000, channels=2)
    client.send(bursts(0.5, 8000, 2))
    progress = client.until("progress")[-1]
    assert 0 < progress["received_samples"] <= 4000
    assert 0 < progress["processed_s"] <= progress["received_samples"] / 8000


@pytest.mark.parametrize(("rate", "encoding"), [(16_000, "f32le"), (16_000, "s16le"), (48_000, "f32le")])
def test_sound_that_comes_back_is_an_enhancers(running, quieter, talk, bursts, rate, encoding):
    sound = bursts(1.0, rate)
    enhancer = Enhancer(quieter, rate, max_attenuation_db=12)
    expected = np.concatenate([enhancer.process(sound), enhancer.flush()])
    with running({"quieter": quieter}) as server:
        client = talk(server)
        ready = client.hello(sample_rate=rate, encoding=encoding, settings={"max_attenuation_db": 12})
        client.send(sound if encoding == "s16le" else (sound / 32768).astype(np.float32), 777)
        messages = client.flush()
    assert (ready["gives"], ready["latency_ms"]) == ("sound", pytest.approx(enhancer.latency.algorithmic_ms))
    given = sound_of(messages, encoding)
    assert len(given) == len(sound)
    np.testing.assert_allclose(given, expected, atol=1e-5 if encoding == "f32le" else 2e-5)
    assert messages[-1]["seq"] == client.seq == sum(isinstance(m, bytes) for m in messages) + 1


def test_several_models_are_served_beside_each_other(running, loudness, quieter, talk, bursts):
    with running({"loudness": loudness, "quieter": quieter}) as server:
        listening, cleaning = talk(server), talk(server)
        assert listening.hello()["model"] == "loudness"
        assert cleaning.hello(model="quieter")["model"] == "quieter"
        for client in (listening, cleaning):
            client.send(bursts(1.0))
        assert events_of(listening.flush()) == heard(loudness, bursts(1.0), 16_000)
        assert len(sound_of(cleaning.flush())) == 16_000
        models = httpx.get(f"{server.url}/v1/models", trust_env=False).json()["models"]
    assert [(m["name"], m["gives"]) for m in models] == [("loudness", "events"), ("quieter", "sound")]


def test_streams_are_independent_and_their_number_grows(running, loudness, talk, bursts, monkeypatch):
    monkeypatch.setattr("streamrnn.serve.engine.FIRST_CAPACITY", 2)
    sounds = [np.roll(bursts(1.5), 900 * i) for i in range(5)]
    with running(max_streams=5) as server:
        clients = [talk(server) for _ in sounds]
        for client in clients:
            client.hello()
        for client, sound in zip(clients, sounds, strict=True):
            client.send(sound)
        for client, sound in zip(clients, sounds, strict=True):
            assert events_of(client.flush()) == heard(loudness, sound, 16_000)


def test_a_message_much_longer_than_may_wait_is_taken_whole(running, loudness, talk, bursts):
    with running(queue_s=0.2) as server:
        client = talk(server)
        client.hello()
        client.send(bursts(8.0), chunk_samples=8 * 16_000)
        messages = client.flush()
    assert messages[-1]["duration_s"] == 8
    assert events_of(messages) == heard(loudness, bursts(8.0), 16_000)


def test_every_text_message_is_an_object_with_a_type(server, talk, bursts):
    client = talk(server)
    client.hello(levels=True)
    client.send(bursts(0.3))
    client.say("close")
    messages, _, _ = client.ending()
    assert all(json.loads(json.dumps(m))["type"] for m in messages)


def test_speech_ends_when_no_more_sound_comes_and_the_stream_goes_on(running, loudness, talk, bursts):
    with running(silence_s=0.5, resume_s=5.0) as server:
        client = talk(server)
        client.hello()
        # It ends in the middle of a tone.
        client.send(bursts(0.8))
        kinds = [m["kind"] for m in [client.until("event")[-1], client.until("event")[-1]]]
        assert kinds == ["speech_start", "speech_end"]
        client.send(bursts(0.8)[8000:])
        kinds = [m["kind"] for m in [client.until("event")[-1], client.until("event")[-1]]]
        assert kinds == ["speech_start", "speech_end"]
        assert client.flush()[-1]["duration_s"] == 1.1
        assert server.server.state == "ok"


def test_a_server_that_stood_still_blames_nobody(running, talk, bursts, eventually):
    with running(idle_s=60.0, resume_s=60.0) as server:
        client, lost = talk(server), talk(server)
        for one in (client, lost):
            one.hello()
        client.send(bursts(0.8))
        client.until("event")
        lost.drop()
        eventually(lambda: any(session.connection is None for session in server.server.sessions.values()))
        now = time.monotonic() + 3600
        server.ask(lambda: server.server._look(now, 3600.0))
        assert len(server.server.sessions) == 2 and len(server.server.connections) == 1
        assert [m["kind"] for m in client.flush() if m["type"] == "event"] == ["speech_end"]
        server.ask(lambda: server.server._look(now + 3600, 0.0))
        assert client.ending()[2] == "idle"
