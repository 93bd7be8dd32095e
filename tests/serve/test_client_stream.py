"""The client's side of the protocol, without I/O: nothing is heard or said twice, whatever is lost on the way."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.audio import AudioError
from streamrnn.decisions import segments
from streamrnn.serve.client_errors import ConnectionLost, Dropped, ServerRefused
from streamrnn.serve.client_stream import MESSAGE_BYTES, ClientStream
from streamrnn.serve.protocol import Hello

RATE = 8000
EVENT_SAMPLES = 400


class Server:
    """Says an event for every 400 samples, and takes lost clients back."""

    def __init__(self, gives: str = "events"):
        self.gives, self.heard, self.said, self.is_gone = gives, b"", [], False

    def answer(self, message: str | bytes) -> list[str | bytes]:
        before = len(self.said)
        if isinstance(message, bytes):
            self.hear(message)
            return [*self.said[before:], told("progress", received_samples=self.received, processed_s=0.0)]
        fields = json.loads(message)
        match fields["type"]:
            case "hello":
                return self.greet(fields)
            case "flush":
                self.say("flushed", duration_s=self.received / RATE)
            case "reset":
                self.heard = b""
                self.say("was_reset")
            case "close":
                self.say("closed")
        return self.said[before:]

    @property
    def received(self) -> int:
        return len(self.heard) // 2

    def greet(self, hello: dict[str, Any]) -> list[str | bytes]:
        resume = hello.get("resume")
        if resume is None:
            self.heard, self.said, self.is_gone = b"", [], False
        elif self.is_gone or resume["secret"] != "known only here":
            return [told("error", code="resume_failed", message="it is not here", fatal=True)]
        return [self.ready(), *self.said[resume["seq"] if resume else 0 :]]

    def ready(self) -> str:
        return told(
            "ready",
            version=1,
            session="one",
            secret="known only here",
            model="vad",
            sample_rate=RATE,
            encoding="s16le",
            gives=self.gives,
            labels=["speech"],
            frame_s=0.01,
            latency_ms=40.0,
            settings={"threshold": 0.5},
            received_samples=self.received,
            seq=len(self.said),
            resume_s=30.0,
        )

    def hear(self, sound: bytes) -> None:
        before, self.heard = self.received, self.heard + sound
        if self.gives == "sound":
            self.said.append(sound)
        for number in range(before // EVENT_SAMPLES, self.received // EVENT_SAMPLES):
            kind, time_s = ("speech_start", "speech_end")[number % 2], (number + 1) * EVENT_SAMPLES / RATE
            end_s = time_s if number % 2 else None
            self.say("event", kind=kind, label="speech", start_s=0.0, end_s=end_s, score=0.5, decided_s=time_s)

    def say(self, message_type: str, /, **fields: Any) -> None:
        self.said.append(told(message_type, seq=len(self.said) + 1, **fields))


def told(message_type: str, /, **fields: Any) -> str:
    return json.dumps({"type": message_type, **fields})


def connected(server: Server, restart: bool = False, **hello: Any) -> ClientStream:
    stream = ClientStream(Hello("vad", RATE, **hello), restart)
    stream.connected()
    exchange(stream, server)
    return stream


def exchange(stream: ClientStream, server: Server) -> None:
    """All that there is to say, both ways."""
    while (message := stream.next_message()) is not None:
        for answer in server.answer(message):
            stream.receive(answer)


def pcm(samples: int) -> bytes:
    return np.random.default_rng(samples).integers(-9000, 9000, samples).astype("<i2").tobytes()


@given(
    lengths=st.lists(st.integers(0, 900), min_size=1, max_size=8),
    turns=st.lists(st.sampled_from(["send", "serve", "receive", "lose"]), max_size=120),
)
def test_sound_is_heard_once_and_events_come_once_whatever_is_lost(lengths: list[int], turns: list[str]):
    server, up, down = Server(), [], []
    stream = ClientStream(Hello("vad", RATE))
    stream.connected()
    chunks = [pcm(n) for n in lengths]
    for chunk in chunks:
        stream.feed(chunk)
    stream.command("flush")
    for turn in turns:
        if turn == "send" and (message := stream.next_message()) is not None:
            up.append(message)
        elif turn == "serve" and up:
            down += server.answer(up.pop(0))
        elif turn == "receive" and down:
            stream.receive(down.pop(0))
        elif turn == "lose":
            up, down = [], []
            # A session that its client never heard of is nobody's.
            stream.connected()
    stream.connected()
    exchange(stream, server)
    assert server.heard == b"".join(chunks)
    assert stream.finished and not stream.waits
    decided_s = [event.decided_s for event in stream.take_events()]
    assert decided_s == [n * EVENT_SAMPLES / RATE for n in range(1, server.received // EVENT_SAMPLES + 1)]


def test_what_was_confirmed_cannot_be_asked_for_again():
    server = Server()
    stream = connected(server)
    stream.feed(pcm(500))
    exchange(stream, server)
    server.heard = server.heard[:100]
    stream.connected()
    with pytest.raises(ConnectionLost, match="forgot sound"):
        exchange(stream, server)


def test_no_more_is_held_than_the_window_and_progress_makes_room(monkeypatch):
    monkeypatch.setattr("streamrnn.serve.client_stream.WINDOW_BYTES", 100_000)
    server = Server()
    stream = connected(server)
    stream.feed(bytes(99_998))
    assert stream.has_room
    stream.feed(bytes(2))
    assert not stream.has_room
    exchange(stream, server)
    assert stream.has_room and stream.duration_s == 50_000 / RATE


def test_a_long_chunk_becomes_messages_of_whole_samples():
    stream = connected(Server(), channels=3)
    stream.feed(bytes(6 * 20_000))
    lengths = [len(message) for message in iter(stream.next_message, None)]
    assert sum(lengths) == 6 * 20_000
    assert max(lengths) <= MESSAGE_BYTES and all(length % 6 == 0 for length in lengths)


@pytest.mark.parametrize("encoding", ["s16le", "f32le"])
def test_arrays_and_bytes_of_the_same_sound_are_the_same_message(encoding):
    stream = connected(Server(), encoding=encoding)
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
    stream = connected(Server(), channels=channels)
    with pytest.raises(AudioError, match=said):
        stream.feed(chunk)
    assert stream.next_message() is None and stream.duration_s == 0


def test_float_bytes_with_nan_are_refused():
    stream = connected(Server(), encoding="f32le")
    with pytest.raises(AudioError, match="NaN"):
        stream.feed(np.array([0.0, np.nan], "<f4").tobytes())


@pytest.mark.parametrize("wrong", [{"encoding": "mp3"}, {"channels": 0}, {"channels": 9}])
def test_an_unknown_encoding_or_number_of_channels_is_refused_before_anything_is_sent(wrong):
    with pytest.raises(ValueError, match="needed are"):
        ClientStream(Hello(**wrong))


def test_sound_comes_back_as_floats():
    server = Server("sound")
    stream = connected(server)
    stream.feed(np.array([0.5, -0.25], np.float32))
    exchange(stream, server)
    assert stream.take_sound().tolist() == [0.5, -0.25]
    assert stream.take_sound().dtype == np.float32


def test_levels_come_with_their_place():
    stream = connected(Server())
    stream.receive(told("levels", start_s=1.5, frame_s=0.01, values=[0.25, 1]))
    (levels,) = stream.take_levels()
    assert (levels.start_s, levels.frame_s, levels.values.tolist()) == (1.5, 0.01, [0.25, 1.0])
    assert stream.take_levels() == []


def test_after_the_end_no_sound_is_taken_until_a_reset():
    server = Server()
    stream = connected(server)
    stream.feed(pcm(EVENT_SAMPLES))
    stream.command("flush")
    exchange(stream, server)
    with pytest.raises(RuntimeError, match=r"reset\(\)"):
        stream.feed(pcm(1))
    stream.command("reset")
    exchange(stream, server)
    assert stream.take_events() == [] and stream.duration_s == 0
    stream.feed(pcm(10))
    exchange(stream, server)
    assert server.received == 10


def test_a_reset_that_was_lost_is_asked_for_again_and_done_twice_does_no_harm():
    for is_lost_before_it_came in (True, False):
        server = Server()
        stream = connected(server)
        stream.feed(pcm(1000))
        stream.command("reset")
        while (message := stream.next_message()) is not None:
            if not is_lost_before_it_came:
                server.answer(message)
        stream.connected()
        exchange(stream, server)
        stream.feed(pcm(EVENT_SAMPLES))
        exchange(stream, server)
        assert server.heard == pcm(EVENT_SAMPLES)
        assert [event.decided_s for event in stream.take_events()] == [0.05]


def test_a_stream_that_is_gone_says_what_is_lost():
    server = Server()
    stream = connected(server)
    stream.feed(pcm(4000))
    exchange(stream, server)
    stream.feed(pcm(2000))
    server.is_gone = True
    stream.connected()
    with pytest.raises(ConnectionLost, match=r"0\.50 s of 0\.75 s of sound") as lost:
        exchange(stream, server)
    assert (lost.value.heard_s, lost.value.sent_s) == (0.5, 0.75)
    with pytest.raises(RuntimeError, match="Connect again"):
        stream.feed(b"")


def restarted(server: Server, heard_samples: int, waiting_samples: int) -> ClientStream:
    """A stream that the server forgot after it had heard some of it."""
    stream = connected(server, restart=True)
    stream.feed(pcm(heard_samples))
    exchange(stream, server)
    stream.feed(pcm(waiting_samples))
    server.is_gone = True
    stream.connected()
    with pytest.raises(Dropped):
        exchange(stream, server)
    stream.connected()
    exchange(stream, server)
    return stream


def test_a_new_stream_goes_on_with_the_sound_and_the_times_of_the_old_one():
    server = Server()
    stream = restarted(server, 2 * EVENT_SAMPLES, 2 * EVENT_SAMPLES)
    assert stream.restarts == 1 and server.heard == pcm(2 * EVENT_SAMPLES)
    assert [event.decided_s for event in stream.take_events()] == pytest.approx([0.05, 0.1, 0.15, 0.2])


def test_speech_that_was_open_ends_where_the_new_stream_begins():
    server = Server()
    events = restarted(server, EVENT_SAMPLES, 2 * EVENT_SAMPLES).take_events()
    assert [(event.kind, event.end_s) for event in events[:2]] == [("speech_start", None), ("speech_end", 0.05)]
    assert [event.start_s for event in events[2:]] == pytest.approx([0.05, 0.05])
    assert len(segments(events)) == 2


def test_sound_that_never_came_back_is_silence_in_its_place():
    server = Server("sound")
    stream = connected(server, restart=True)
    stream.feed(pcm(100))
    # Taken, but what it gave was lost with the server.
    for message in iter(stream.next_message, None):
        server.answer(message)
    stream.receive(told("progress", received_samples=100, processed_s=0.0))
    stream.feed(pcm(50))
    server.is_gone = True
    stream.connected()
    with pytest.raises(Dropped):
        exchange(stream, server)
    stream.connected()
    exchange(stream, server)
    sound = stream.take_sound()
    assert len(sound) == 150 and not sound[:100].any() and sound[100:].all()


def test_a_reset_needs_no_old_stream():
    server = Server()
    stream = connected(server)
    stream.feed(pcm(100))
    exchange(stream, server)
    server.is_gone = True
    stream.connected()
    stream.command("reset")
    with pytest.raises(Dropped):
        exchange(stream, server)
    stream.connected()
    exchange(stream, server)
    assert not stream.waits and stream.restarts == 0


@pytest.mark.parametrize("code", ["idle", "slow_reader", "shutting_down", "busy"])
def test_some_errors_only_end_the_connection(code):
    stream = connected(Server())
    with pytest.raises(Dropped, match=code):
        stream.receive(told("error", code=code, message="come again", fatal=True))


@pytest.mark.parametrize("code", ["taken_over", "unauthorized", "internal"])
def test_other_errors_end_the_stream(code):
    stream = connected(Server())
    with pytest.raises(ServerRefused, match="because") as refused:
        stream.receive(told("error", code=code, message="because", fatal=True))
    assert (refused.value.code, refused.value.message) == (code, "because")
    assert stream.closed


def test_a_server_without_room_refuses_at_first():
    stream = ClientStream(Hello())
    with pytest.raises(ServerRefused, match="busy"):
        stream.receive(told("error", code="busy", message="all taken", fatal=True))


def test_a_message_that_never_came_is_noticed():
    stream = connected(Server())
    with pytest.raises(ConnectionLost, match="1 to 2 never came"):
        stream.receive(told("was_reset", seq=3))


@pytest.mark.parametrize("message", ["<html>", "[]", '{"type": "ready"}', '{"no": "type"}', b"\x00"])
def test_what_is_no_message_of_the_protocol_is_one_clear_error(message):
    with pytest.raises(ServerRefused, match="Is it a streamrnn server"):
        connected(Server()).receive(message)


def test_messages_of_later_versions_are_passed_over():
    stream = connected(Server())
    stream.receive(told("weather", seq=1, outlook="fair"))
    stream.receive(
        told("event", seq=2, kind="keyword", label="go", start_s=0, end_s=1, score=1, decided_s=1, mood="new")
    )
    assert [event.label for event in stream.take_events()] == ["go"]


def test_answers_are_timed_from_the_message_that_decides():
    now, server = [0.0], Server()
    stream = ClientStream(Hello("vad", RATE), clock=lambda: now[0])
    stream.connected()
    exchange(stream, server)
    assert np.isnan(stream.latency.answer_p50_ms)
    for _ in range(2):
        stream.feed(pcm(EVENT_SAMPLES))
        answers = server.answer(stream.next_message())
        now[0] += 0.25
        for answer in answers:
            stream.receive(answer)
    assert stream.latency == pytest.approx((40.0, 250.0, 250.0))
