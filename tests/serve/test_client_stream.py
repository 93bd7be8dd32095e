"""The client's side of the protocol, without I/O: nothing is heard or said twice, whatever is lost on the way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.decisions import segments
from streamrnn.serve.client_errors import ConnectionLost, Dropped, ServerRefused
from streamrnn.serve.client_stream import ClientStream
from streamrnn.serve.protocol import Hello
from tests.serve.scripted_server import EVENT_SAMPLES, RATE, Server, connected, exchange, pcm, told


@given(
    lengths=st.lists(st.integers(0, 900), min_size=1, max_size=8),
    turns=st.lists(st.sampled_from(["send", "serve", "receive", "lose", "end"]), max_size=120),
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
        elif turn == "end" and server.heard and stream.is_open:
            # All that was said before arrives, and the connection with it ends.
            for message in [*down, *server.end(last_events=1)]:
                stream.receive(message)
            up, down = [], []
            stream.connected()
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
    with pytest.raises(ConnectionLost, match="lost sound"):
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
    for again in (lambda: stream.feed(b""), lambda: stream.command("flush")):
        with pytest.raises(ConnectionLost, match="Connect again"):
            again()


def test_a_stream_that_is_lost_hands_over_what_the_server_said_in_the_end():
    server = Server()
    stream = connected(server)
    stream.feed(pcm(1000))
    exchange(stream, server)
    for message in server.end(last_events=1):
        stream.receive(message)
    stream.feed(pcm(600))
    lost = stream.lost("nobody is there")
    assert [event.decided_s for event in lost.events] == [0.05, 0.1, 0.125]
    assert (lost.heard_s, lost.sent_s) == (0.125, 0.2)


def test_a_finished_stream_has_nothing_to_lose_and_can_be_reset_elsewhere():
    server = Server()
    stream = connected(server)
    stream.feed(pcm(1000))
    stream.command("flush")
    exchange(stream, server)
    server.is_gone = True
    stream.connected()
    with pytest.raises(Dropped):
        exchange(stream, server)
    stream.connected()
    stream.command("reset")
    exchange(stream, server)
    stream.feed(pcm(500))
    exchange(stream, server)
    assert server.heard == pcm(500) and stream.restarts == 0 and stream.duration_s == 500 / RATE


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
    # To a millionth, as servers tell them: 0.1 + 0.05 is 0.15000000000000002.
    assert [event.decided_s for event in stream.take_events()] == [0.05, 0.1, 0.15, 0.2]


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


def test_a_server_without_room_refuses_at_first():
    stream = ClientStream(Hello())
    with pytest.raises(ServerRefused, match="busy"):
        stream.receive(told("error", code="busy", message="all taken", fatal=True))


def test_a_message_that_never_came_is_noticed():
    stream = connected(Server())
    with pytest.raises(ConnectionLost, match="1 to 2 never arrived"):
        stream.receive(told("was_reset", seq=3))


def test_a_server_that_ends_and_had_said_more_than_came_is_noticed():
    stream = connected(Server())
    with pytest.raises(ConnectionLost, match="1 to 3 never arrived"):
        stream.receive(told("going", received_samples=0, said=3, state=""))


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
