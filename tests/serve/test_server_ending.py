"""A server that is asked to end says all that it has to say first."""

import threading

import pytest
from websockets.exceptions import InvalidStatus

from streamrnn.runtime import Listener


def test_when_the_server_ends_every_stream_is_flushed_and_told(running, loudness, talk, bursts):
    listener = Listener(loudness)
    expected = [event.kind for event in listener.feed(bursts(0.9)) + listener.finish()]
    with running() as server:
        clients = [talk(server) for _ in range(3)]
        for client in clients:
            client.hello()
            client.send(bursts(0.9))
        before = [client.until("progress") for client in clients]
        server.ask_to_end()
        for client, said in zip(clients, before, strict=True):
            messages, code, reason = client.ending()
            assert [m["kind"] for m in said + messages if m["type"] == "event"] == expected
            assert [m["type"] for m in messages[-2:]] == ["flushed", "error"]
            assert (messages[-1]["code"], code, reason) == ("shutting_down", 1012, "shutting_down")


def test_a_long_message_that_is_being_taken_does_not_hold_up_the_end(running, talk, bursts):
    with running(queue_s=0.2, tick_ms=100.0) as server:
        client = talk(server)
        client.hello()
        client.send(bursts(30.0), chunk_samples=30 * 16_000)
        client.until("event")
        server.ask_to_end()
        messages, code, reason = client.ending()
        assert 0 < messages[-2]["duration_s"] < 30
        assert (messages[-1]["code"], code, reason) == ("shutting_down", 1012, "shutting_down")


def test_those_who_have_not_said_hello_are_told_too(running, talk):
    with running() as server:
        client = talk(server)
        server.ask_to_end()
        messages, code, _ = client.ending()
        assert (messages[0]["code"], code) == ("shutting_down", 1012)


def test_while_it_ends_the_server_takes_no_one_more(running, talk, bursts, monkeypatch):
    with running() as server:
        client = talk(server)
        client.hello()
        monkeypatch.setattr(server.server, "is_ending", True)
        assert server.server.state == "ending"
        with pytest.raises(InvalidStatus):
            talk(server)
        monkeypatch.setattr(server.server, "is_ending", False)


def test_a_stream_without_a_connection_does_not_hold_up_the_end(running, talk):
    with running(resume_s=60.0, shutdown_s=60.0) as server:
        client = talk(server)
        client.hello()
        client.drop()
    assert not server.server.sessions


def test_ended_servers_leave_no_thread_behind(running, talk, bursts):
    before = threading.active_count()
    with running() as server:
        client = talk(server)
        client.hello()
        client.send(bursts(0.2))
        client.flush()
        client.close()
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("streamrnn")]
    assert not left and threading.active_count() <= before + 1
