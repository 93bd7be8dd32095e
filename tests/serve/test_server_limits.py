"""Peers that take too much: slow ones, mute ones, deaf ones, and too many of them."""

import contextlib
import socket
import struct
import time

import numpy as np
import pytest
from websockets.exceptions import InvalidStatus

from streamrnn.serve.guards import SparingFrames

UPGRADE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PING, PONG, TEXT, BINARY = 0x9, 0xA, 0x1, 0x2


def frame(opcode: int, data: bytes, announced: int | None = None) -> bytes:
    """A whole masked frame, or the beginning of one that is announced to be longer."""
    return bytes([0x80 | opcode, 0x80 | 127]) + struct.pack("!Q", announced or len(data)) + bytes(4) + data


def everything(peer: socket.socket) -> bytes:
    """All that comes, until the other side ends the connection."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := peer.recv(65_536):
            found += part
    return found


def is_closed(peer: socket.socket) -> bool:
    """Reads all that comes, until the other side ends the connection."""
    everything(peer)
    return True


def upgraded(raw, server) -> socket.socket:
    peer = raw(server, UPGRADE)
    assert peer.recv(4096).startswith(b"HTTP/1.1 101")
    return peer


@pytest.fixture
def quick_close(monkeypatch):
    """Peers that do not answer a close are not waited for long."""
    monkeypatch.setattr("streamrnn.serve.guards.CLOSE_S", 0.2)


@pytest.mark.parametrize("beginning", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX-A", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_a_request_whose_head_never_arrives_is_not_waited_for(running, raw, beginning):
    with running(head_s=0.3) as server:
        peer = raw(server, beginning)
        peer.settimeout(0.05)
        for _ in range(100):
            try:
                peer.sendall(b"a")
                if peer.recv(65_536) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        else:
            pytest.fail("the connection stays, byte by byte")


def test_a_hello_that_never_comes_is_not_waited_for(running, talk):
    with running(hello_s=0.2) as server:
        client = talk(server)
        messages, code, reason = client.ending()
        assert (messages[0]["code"], code, reason) == ("hello_timeout", 1008, "hello_timeout")


def test_a_hello_that_comes_byte_by_byte_is_not_waited_for(running, raw, eventually, quick_close):
    with running(hello_s=0.2) as server:
        peer = upgraded(raw, server)
        peer.sendall(frame(TEXT, b'{"type', announced=60))
        assert is_closed(peer)
        eventually(lambda: not server.server.connections)


def test_a_connection_from_which_nothing_whole_comes_is_ended_and_its_stream_waits(running, talk, quick_close):
    with running(idle_s=0.3, resume_s=5.0) as server:
        client = talk(server)
        client.hello()
        client.socket.socket.sendall(frame(BINARY, bytes(10), announced=1000))
        messages, code, reason = client.ending()
        assert (messages[-1]["code"], code, reason) == ("idle", 1001, "idle")
        assert len(server.server.sessions) == 1


def test_a_reader_that_never_reads_is_told_so_and_let_go(running, quieter, talk, eventually):
    options = {"slow_reader_s": 0.3, "max_unsent_bytes": 20_000, "resume_s": 5.0}
    with running({"quieter": quieter}, **options) as server, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        deaf.connect(("127.0.0.1", server.port))
        client = talk(server, sock=deaf, max_queue=1)
        client.hello()
        client.send(np.zeros(8 * 16_000, np.int16))
        eventually(lambda: not server.server.connections)
        assert len(server.server.sessions) == 1
        # Now it does read: all that was said, and why it was ended.
        assert client.ending()[1:] == (1008, "slow_reader")


@pytest.mark.parametrize("hello", [b"", frame(TEXT, b'{"type": "hello", "version": 1}')])
@pytest.mark.parametrize("small", [frame(PING, b""), frame(PONG, b"x"), frame(BINARY, b""), frame(TEXT, b"[")])
def test_small_frames_beyond_a_few_are_not_even_parsed(running, raw, eventually, monkeypatch, hello, small):
    parsed, recv_frame = [], SparingFrames.recv_frame
    monkeypatch.setattr(SparingFrames, "recv_frame", lambda self, f: (parsed.append(f), recv_frame(self, f)))
    with running(max_small_messages=30) as server:
        peer = upgraded(raw, server)
        peer.sendall(hello)
        if hello:
            peer.recv(4096)
        peer.sendall(small * 3000)
        answer = everything(peer)
        assert b"\x03\xf0too_many_messages" in answer
        assert len(parsed) < 200
        eventually(lambda: not server.server.connections)


def test_pings_whose_answers_nobody_reads_end_the_connection(running, raw, eventually, monkeypatch):
    monkeypatch.setattr("streamrnn.serve.guards.DEAF_TO_REASONS", 1000)
    with running() as server:
        peer = upgraded(raw, server)
        peer.sendall(frame(TEXT, b'{"type": "hello", "version": 1}'))
        eventually(lambda: server.server.sessions)
        with pytest.raises(ConnectionError):
            for _ in range(100_000):
                peer.sendall(frame(PING, bytes(120)))


def test_a_message_in_endless_parts_ends_the_connection(running, raw, eventually):
    with running() as server:
        peer = upgraded(raw, server)
        peer.sendall(bytes([TEXT, 0x80]) + bytes(4))
        peer.sendall((bytes([0, 0x80]) + bytes(4)) * 20_000)
        assert is_closed(peer)
        eventually(lambda: not server.server.connections)


def test_a_peer_that_answers_no_ping_is_given_up(running, raw, eventually):
    with running(ping_s=0.2, slow_reader_s=9.0, hello_s=9.0) as server:
        peer = upgraded(raw, server)
        eventually(lambda: not server.server.connections)
        assert is_closed(peer)


def test_a_peer_that_sends_sound_is_alive_also_when_its_pongs_are_late(running, raw, quick_close):
    with running(ping_s=0.1) as server:
        peer = upgraded(raw, server)
        peer.sendall(frame(TEXT, b'{"type": "hello", "version": 1}'))
        until = time.monotonic() + 0.8
        while time.monotonic() < until:
            peer.sendall(frame(BINARY, bytes(640)))
            time.sleep(0.02)
        assert len(server.server.connections) == 1


def test_too_many_small_messages_end_the_connection(running, talk):
    with running(max_small_messages=50) as server:
        client = talk(server)
        client.hello()
        client.send(np.zeros(100 * 160, np.int16), chunk_samples=160)
        assert client.flush()[-1]["duration_s"] == 1
        client.say("reset")
        client.until("was_reset")
        client.send(np.zeros(100 * 16, np.int16), chunk_samples=16)
        messages, code, reason = client.ending()
        assert (messages[-1]["code"], code, reason) == ("too_many_messages", 1008, "too_many_messages")


def test_no_more_streams_are_given_than_there_are(running, talk, eventually):
    with running(max_streams=1, resume_s=0.1) as server:
        first = talk(server)
        first.hello()
        second = talk(server)
        assert second.hello()["code"] == "busy"
        assert second.ending()[1:] == (1013, "busy")
        assert server.server.state == "full"
        first.say("close")
        first.ending()
        assert talk(server).hello()["type"] == "ready"


def test_newcomers_are_refused_while_too_many_say_nothing(running, talk):
    with running(max_newcomers=2) as server:
        mute = [talk(server) for _ in range(2)]
        with pytest.raises(InvalidStatus) as refused:
            talk(server)
        assert refused.value.response.status_code == 503
        assert mute[0].hello()["type"] == "ready"
        assert talk(server).hello()["type"] == "ready"


def test_a_flood_of_connections_is_cut_off_and_leaves_nothing(running, raw, talk, eventually):
    with running(max_connections=4, head_s=0.5) as server:
        peers = [raw(server) for _ in range(12)]
        for peer in peers:
            assert is_closed(peer)
        assert talk(server).hello()["type"] == "ready"


def test_streams_that_were_cut_off_leave_no_slot_behind(running, talk, bursts, eventually):
    with running(resume_s=0.1) as server:
        engine = server.server.engines["loudness"]
        for _ in range(3):
            clients = [talk(server) for _ in range(8)]
            for client in clients:
                client.hello()
                client.send(bursts(0.2))
                client.drop()
            eventually(lambda: engine.statistics.streams == 0 and not server.server.connections)
        assert not server.server.sessions and server.server.buffered.bytes == 0
