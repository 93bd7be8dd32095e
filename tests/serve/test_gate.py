"""Who comes in, what is counted from when on, and how much of it is read."""

import contextlib
import inspect
import re
import socket
import ssl
import time
import tomllib
from importlib.metadata import version
from pathlib import Path

import h11
import httpx
import pytest
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import ConnectionClosed
from websockets.server import ServerProtocol

from streamrnn.serve import connect, guards
from streamrnn.serve.allowance import Allowance
from streamrnn.serve.gate import STRANGER_BYTES, Gate

CERTIFICATE = Path(__file__).parent / "localhost.pem"
UPLOAD = b"POST /v1/recordings HTTP/1.1\r\nHost: localhost\r\n"


def everything(peer: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := peer.recv(65_536):
            found += part
    return found


def test_an_allowance_is_spent_and_comes_back(monkeypatch):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    allowance = Allowance(3, 2)
    assert [allowance.spend() for _ in range(5)] == [True, True, True, False, False]
    now = 0.6
    assert [allowance.spend() for _ in range(2)] == [True, False]
    now = 100.0
    assert [allowance.spend() for _ in range(4)] == [True, True, True, False]


def test_what_comes_is_read_in_slices_and_others_have_their_turn_between(running, raw, monkeypatch):
    sizes, updated = [], Gate.buffer_updated
    monkeypatch.setattr(Gate, "buffer_updated", lambda self, n: (sizes.append(n), updated(self, n))[1])
    with running() as server:
        peer = raw(server, UPLOAD + b"Content-Length: 200000\r\n\r\n" + bytes(200_000))
        assert peer.recv(65_536).startswith(b"HTTP/1.1 400")
    assert max(sizes) == STRANGER_BYTES and sum(sizes) > 200_000


@pytest.fixture
def parsed(monkeypatch):
    """What HTTP's parser gave, in all connections."""
    events, next_event = [], guards.SparingRequests.next_event

    def noted(self):
        event = next_event(self)
        if isinstance(event, h11.Event):
            events.append(event)
        return event

    monkeypatch.setattr(guards.SparingRequests, "next_event", noted)
    return events


def test_nothing_is_read_of_a_body_after_its_refusal(running, raw, parsed):
    with running(upload_bytes=100) as server:
        peer = raw(server, UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"c8\r\n" + bytes(200) + b"\r\n")
        answer = peer.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 413") and b"connection: close" in answer
        before = len(parsed)
        with contextlib.suppress(ConnectionError):
            peer.sendall(b"40\r\n" + bytes(64) + b"\r\n" * 1000)
        everything(peer)
        assert len(parsed) == before


def test_a_request_that_comes_before_the_answer_to_the_last_one_is_complete_is_answered(running, raw):
    with running() as server:
        request = UPLOAD + b"Content-Length: 9\r\n\r\n" + bytes(9)
        peer = raw(server, request + request[:-4])
        answer = b""
        while answer.count(b"HTTP/1.1 400") < 1:
            answer += peer.recv(65_536)
        peer.sendall(request[-4:])
        while answer.count(b"HTTP/1.1 400") < 2:
            part = peer.recv(65_536)
            assert part
            answer += part


def test_the_lines_of_a_body_are_not_those_of_a_head(running, raw):
    with running() as server:
        peer = raw(server, UPLOAD + b"Content-Length: 3000\r\n\r\n" + 3000 * b"\n")
        assert b'"bad_audio"' in peer.recv(65_536)


def test_a_body_of_crumbs_is_refused(running, raw, parsed):
    with running() as server:
        peer = raw(server, UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 5000)
        assert everything(peer).startswith(b"HTTP/1.1 400")
        assert len(parsed) < 400


def test_a_head_of_many_lines_is_refused_before_it_is_parsed(running, raw, parsed):
    with running() as server:
        peer = raw(server, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a:\r\n" * 3000 + b"\r\n")
        assert everything(peer).startswith(b"HTTP/1.1 400")
        assert not parsed


def test_requests_upon_requests_are_refused(running, raw, parsed):
    with running() as server:
        peer = raw(server)
        for _ in range(200):
            with contextlib.suppress(ConnectionError):
                peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                if not peer.recv(4096):
                    break
        assert 100 <= len([event for event in parsed if isinstance(event, h11.Request)]) < 130


def test_until_hello_a_message_may_not_be_long(running, talk):
    with running() as server:
        early, late = talk(server), talk(server)
        with contextlib.suppress(ConnectionClosed):
            early.socket.send(bytes(20_000))
        assert early.ending()[1] == 1009
        late.hello()
        late.socket.send(bytes(20_000))
        assert late.flush()[-1]["duration_s"] == 0.625


def test_parts_of_messages_count_as_held(running, talk, eventually):
    with running() as server:
        client = talk(server)
        client.hello()
        head = bytes([0x82, 0xFF]) + (100_000).to_bytes(8, "big") + bytes(4)
        client.socket.socket.sendall(head + bytes(60_000))
        eventually(lambda: server.server.buffered.bytes >= 60_000)
        client.drop()
        eventually(lambda: not server.server.sessions and not server.server.buffered.bytes)


def test_one_address_has_only_its_share_of_newcomers(running, raw, talk, eventually):
    with running(max_newcomers_per_address=3) as server:
        known = [talk(server) for _ in range(3)]
        for client in known:
            client.hello()
        mute = [raw(server) for _ in range(3)]
        assert everything(raw(server)) == b""
        mute.pop().close()
        eventually(
            lambda: raw(server, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").recv(99).startswith(b"HTTP/1.1 200")
        )
        assert all(client.flush()[-1]["type"] == "flushed" for client in known)


def test_over_tls_all_is_the_same(running, talk, bursts):
    trusting = ssl.create_default_context(cafile=CERTIFICATE)
    with running(certfile=CERTIFICATE) as server:
        client = talk(server, scheme="wss", ssl=trusting)
        client.hello()
        client.send(bursts(1.0))
        assert client.flush()[-1]["duration_s"] == 1.0
        with httpx.Client(trust_env=False, verify=trusting) as http:
            answer = http.post(f"https://127.0.0.1:{server.port}/v1/recordings", content=bytes(100_000))
        assert answer.json()["error"]["code"] == "bad_audio"


def test_handshakes_that_never_happen_are_counted_at_once_and_not_waited_for(running, raw, talk, eventually):
    trusting = ssl.create_default_context(cafile=CERTIFICATE)
    with running(certfile=CERTIFICATE, head_s=0.3, max_connections=4) as server:
        mute = [raw(server) for _ in range(4)]
        assert everything(raw(server)) == b""
        for peer in mute:
            assert everything(peer) == b""
        assert talk(server, scheme="wss", ssl=trusting).hello()["type"] == "ready"
        plain = raw(server, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"HTTP" not in everything(plain)


def test_a_server_that_ends_does_not_wait_for_handshakes(running, raw, eventually):
    with running(certfile=CERTIFICATE, head_s=60.0) as server:
        peer = raw(server)
        server.ask_to_end()
        assert everything(peer) == b""


@pytest.mark.parametrize(
    ("guard", "guarded", "new"),
    [
        (guards.GuardedHTTP, H11Protocol, {"has_more_to_come", "settings", "conn"}),
        (
            guards.GuardedWebSocket,
            WebSocketsSansIOProtocol,
            {"admit", "has_more_to_come", "settings", "buffered", "conn"},
        ),
        (guards.SparingFrames, ServerProtocol, {"held_bytes", "allowance"}),
        (guards.SparingRequests, h11.Connection, {"has_refused"}),
    ],
)
def test_each_guard_overrides_what_there_still_is(guard, guarded, new):
    own = {name for name in vars(guard) if not name.startswith("_")} - new
    assert own and not [name for name in own if not callable(getattr(guarded, name, None))]
    # Names that a guard reads, and neither sets nor defines.
    source = inspect.getsource(guard)
    read = set(re.findall(r"self\.([a-z]\w*)", source)) - set(vars(guard)) - new
    theirs = "\n".join(inspect.getsource(c) for c in guarded.__mro__[:-1] if c.__module__ != "builtins")
    assert not [name for name in read if not re.search(rf"\b{name}\b", theirs)]


def test_packages_whose_insides_are_guarded_have_upper_bounds_and_are_within_them():
    extras = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    bounds = dict(
        re.match(r"([\w-]+)>=[\d.]+,<([\d.]+)$", needed).groups() for needed in extras["optional-dependencies"]["serve"]
    )
    assert {"uvicorn", "websockets", "starlette", "h11"} <= set(bounds)
    for package, bound in bounds.items():
        assert tuple(map(int, version(package).split(".")[:2])) < tuple(map(int, (bound + ".0").split(".")[:2]))


def test_a_client_that_speaks_no_tls_or_trusts_nobody_is_told_what_to_do(running):
    with running(certfile=CERTIFICATE) as server:
        plain = f"ws://127.0.0.1:{server.port}"
        with pytest.raises(ConnectionError, match="If the server has a certificate, its address begins with wss: wss:"):
            connect(plain)
        with pytest.raises(ConnectionError, match=r"must be signed for this name .* SSL_CERT_FILE=cert\.pem"):
            connect(plain.replace("ws:", "wss:"))
    with (
        running() as server,
        pytest.raises(ConnectionError, match="If the server has no certificate, its address begins with ws: ws:"),
    ):
        connect(f"wss://127.0.0.1:{server.port}")
