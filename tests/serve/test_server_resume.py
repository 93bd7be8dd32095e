"""Lost connections: a stream waits, goes on where it was, and says nothing twice."""

import numpy as np
import pytest

from streamrnn.decisions import Event
from streamrnn.runtime import Listener

RESUME_S = 3.0


@pytest.fixture(scope="module")
def patient(running):
    with running(resume_s=RESUME_S) as server:
        yield server


def heard(model, sound) -> list[dict]:
    listener = Listener(model)
    return [event.to_dict() for event in listener.feed(sound) + listener.finish()]


def events_of(messages) -> list[dict]:
    found = [m for m in messages if isinstance(m, dict) and m["type"] == "event"]
    return [{name: m[name] for name in Event.__slots__ if name in m} for m in found]


def again(ready: dict, heard: int, **changed) -> dict:
    return {"session": ready["session"], "secret": ready["secret"], "seq": heard, **changed}


def open_session(server, ready):
    return server.server.sessions[ready["session"]]


def test_a_stream_goes_on_after_a_lost_connection_and_nothing_is_heard_or_said_twice(patient, loudness, talk, bursts):
    sound, messages = bursts(4.0), []
    client = talk(patient)
    ready = client.hello()
    sent, seq = 0, 0
    for end in (9_000, 25_000, 40_000, len(sound)):
        client.send(sound[sent:end])
        # Some were read and the last ones never, as if they had been under way.
        messages += client.until("event") if end > 9_000 else []
        seq = client.seq
        client.drop()
        client = talk(patient)
        client.seq = seq
        ready = client.hello(resume=again(ready, seq))
        assert ready["type"] == "ready" and ready["seq"] >= seq
        sent = ready["received_samples"]
    client.send(sound[sent:])
    messages += client.flush()
    assert events_of(messages) == heard(loudness, sound)


def test_what_was_said_meanwhile_follows_ready_with_its_old_numbers(patient, talk, bursts, eventually):
    client = talk(patient)
    ready = client.hello()
    client.send(bursts(2.0))
    client.say("flush")
    eventually(lambda: open_session(patient, ready).said.seq == 5)
    client.drop()
    for heard_last in (0, 3, 5):
        client = talk(patient)
        client.seq = heard_last
        ready = client.hello(resume=again(ready, heard_last))
        assert ready["seq"] == 5
        said = [client.read() for _ in range(5 - heard_last)]
        assert [m["seq"] for m in said] == list(range(heard_last + 1, 6))
        client.drop()


def test_sound_that_was_lost_comes_again(running, quieter, talk, bursts, eventually):
    with running({"quieter": quieter}, resume_s=RESUME_S) as server:
        client = talk(server)
        ready = client.hello()
        client.send(bursts(1.0))
        first = [m for m in client.flush() if isinstance(m, bytes)]
        seq = client.seq
        client.drop()
        client = talk(server)
        client.seq = 1
        client.hello(resume=again(ready, 1))
        rest = [client.read() for _ in range(seq - 1)]
    assert rest[-1]["type"] == "flushed" and b"".join(first[1:]) == b"".join(rest[:-1])


def test_a_connection_that_only_seems_alive_is_taken_over(patient, loudness, talk, bursts):
    old, new = talk(patient), talk(patient)
    ready = old.hello()
    old.send(bursts(1.0))
    old.until("event")
    resumed = new.hello(resume=again(ready, 0))
    messages, code, reason = old.ending()
    assert (messages[-1]["code"], messages[-1]["fatal"], code, reason) == ("taken_over", True, 1008, "taken_over")
    new.send(bursts(2.0)[resumed["received_samples"] :])
    assert events_of(new.flush()) == heard(loudness, bursts(2.0))


def test_several_that_come_back_at_once_leave_one(patient, talk):
    ready = talk(patient).hello()
    clients = [talk(patient) for _ in range(5)]
    for client in clients:
        client.say("hello", version=1, resume=again(ready, 0))
    # All are let in, one after the other, and all but the last one are then told to go.
    assert all(client.read()["type"] == "ready" for client in clients)
    assert sorted(map(told, clients)) == ["nothing", *["taken_over"] * 4]


def told(client) -> str:
    try:
        return client.read(0.5)["code"]
    except TimeoutError:
        return "nothing"


def test_the_rest_of_a_long_message_is_taken_or_not_and_received_samples_says_which(running, loudness, talk, bursts):
    sound = bursts(6.0)
    with running(resume_s=RESUME_S, queue_s=0.2) as server:
        client = talk(server)
        ready = client.hello()
        client.send(sound, chunk_samples=len(sound))
        client.until("event")
        seq = client.seq
        client.drop()
        client = talk(server)
        client.seq = seq
        resumed = client.hello(resume=again(ready, seq))
        client.send(sound[resumed["received_samples"] :])
        duration_s = client.flush()[-1]["duration_s"]
    assert 0 < resumed["received_samples"] <= len(sound)
    assert duration_s == 6


def test_a_reset_that_was_carried_out_is_told_after_a_lost_connection(patient, talk, bursts, eventually):
    client = talk(patient)
    ready = client.hello()
    client.send(bursts(0.3))
    client.say("reset")
    eventually(lambda: open_session(patient, ready).said.seq == 1)
    client.drop()
    client = talk(patient)
    ready = client.hello(resume=again(ready, 0))
    assert (ready["seq"], ready["received_samples"]) == (1, 0)
    assert client.read()["type"] == "was_reset"


@pytest.mark.parametrize(
    "wrong",
    [{"secret": "0" * 32}, {"secret": "é\ud800"}, {"session": "unknown"}, {"seq": 99}, {"seq": -1}],
    ids=["secret", "no ASCII", "session", "seq ahead", "seq below"],
)
def test_a_stream_is_gone_on_with_only_by_whom_it_belongs_to(patient, talk, wrong):
    client = talk(patient)
    ready = client.hello()
    stranger = talk(patient)
    assert stranger.hello(resume=again(ready, 0, **wrong))["code"] == "resume_failed"
    assert stranger.ending()[1:] == (1008, "resume_failed")
    assert client.flush()[-1]["type"] == "flushed"


@pytest.mark.parametrize(
    "changed", [{"sample_rate": 8000}, {"encoding": "f32le"}, {"channels": 2}], ids=["rate", "encoding", "channels"]
)
def test_a_stream_goes_on_only_as_it_was(patient, talk, changed):
    ready = talk(patient).hello()
    assert talk(patient).hello(resume=again(ready, 0), **changed)["code"] == "resume_failed"


def test_a_stream_that_waited_too_long_is_gone_and_its_slot_is_free(running, talk, eventually):
    with running(resume_s=0.1) as server:
        client = talk(server)
        ready = client.hello()
        client.drop()
        eventually(lambda: not server.server.sessions)
        eventually(lambda: server.server.engines["loudness"].statistics.streams == 0)
        assert talk(server).hello(resume=again(ready, 0))["code"] == "resume_failed"


def test_where_too_much_was_said_meanwhile_the_stream_cannot_go_on(running, quieter, talk, bursts):
    with running({"quieter": quieter}, resume_s=RESUME_S, replay_bytes=10_000) as server:
        client = talk(server)
        ready = client.hello()
        client.send(bursts(1.0))
        client.flush()
        seq = client.seq
        client.drop()
        assert talk(server).hello(resume=again(ready, 1))["code"] == "resume_failed"
        assert talk(server).hello(resume=again(ready, seq))["type"] == "ready"


def test_where_too_much_is_kept_those_who_keep_most_give_up_and_nobody_else(running, talk, bursts, monkeypatch):
    monkeypatch.setattr("streamrnn.serve.buffered.FAIR_BYTES", 1500)
    with running(resume_s=RESUME_S, max_buffered_bytes=4000) as server:
        modest, greedy = talk(server), talk(server)
        ready = [client.hello() for client in (modest, greedy)]
        modest.send(bursts(2.0))
        events = events_of(modest.flush())
        greedy.send(np.tile(bursts(1.0), 40))
        greedy.flush()
        for client in (modest, greedy):
            client.drop()
        comes_back = talk(server)
        assert comes_back.hello(resume=again(ready[0], 0))["type"] == "ready"
        assert events_of(comes_back.until("flushed")) == events and events
        assert talk(server).hello(resume=again(ready[1], 0))["code"] == "resume_failed"


def test_what_is_kept_is_counted_and_given_back(running, talk, bursts, eventually):
    with running(resume_s=0.1) as server:
        client = talk(server)
        client.hello()
        client.send(np.tile(bursts(1.0), 3))
        client.flush()
        assert server.server.buffered.bytes > 500
        client.drop()
        eventually(lambda: server.server.buffered.bytes == 0)
