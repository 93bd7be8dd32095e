"""Strangers whose bytes cost more than their arrival; `python -m benchmarks.stress.floods` is a process of them.

Each kind is a way to say much in few bytes. A stranger who is shown the door comes back at once.
"""

import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

READ = 256 * 1024
UPGRADE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_UPLOAD = b"POST /v1/recordings HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"


def frame(head: int, data: bytes = b"") -> bytes:
    """A masked frame of at most 125 bytes; `head` is its first byte."""
    return bytes([head, 0x80 | len(data)]) + bytes(4) + data


def _text(text: bytes) -> bytes:
    return bytes([0x81, 0xFE]) + len(text).to_bytes(2, "big") + bytes(4) + text


def _filled(part: bytes) -> bytes:
    return part * (READ // len(part))


# What is said first, and what is said again and again.
KINDS: dict[str, tuple[bytes, bytes]] = {
    "pings": (UPGRADE, _filled(frame(0x89))),
    "pongs": (UPGRADE, _filled(frame(0x8A))),
    "empty messages": (UPGRADE, _filled(frame(0x82))),
    "empty fragments": (UPGRADE + frame(0x02), _filled(frame(0x00))),
    "one-byte messages": (UPGRADE, _filled(frame(0x81, b"["))),
    "compressed frames": (UPGRADE, _filled(frame(0xC1, b"x"))),
    "one-byte chunks": (_UPLOAD, _filled(b"1\r\nx\r\n")),
    "pipelined requests": (b"", _filled(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")),
    "pipelined refusals": (b"", _filled(b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")),
    "many headers": (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"a:\r\n" * 3900 + b"\r\n", b""),
    "half a request": (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"a: " + b"b" * 15_000, b""),
    "hellos of brackets": (UPGRADE + _text(b"[" * 16_000), b""),
    "hellos of digits": (UPGRADE + _text(b"1" * 4_200), b""),
    "hellos of keys": (UPGRADE + _text(b"{" + b",".join(b'"%d":0' % n for n in range(1600)) + b"}"), b""),
    "no HTTP": (b"\r\n" * 4 + b"\0" * 4000, b""),
}


def flood(kind: str, connections: int, seconds: float, port: int, connect: Callable[[int], socket.socket]) -> int:
    """Lets so many strangers of a kind come, each again as soon as it is let go. Returns how often they came."""
    deadline_s, visits = time.monotonic() + seconds, [0] * connections

    def come(number: int) -> None:
        while time.monotonic() < deadline_s:
            with suppress(OSError), connect(port) as peer:
                visits[number] += 1
                _say(peer, kind, deadline_s)

    threads = [threading.Thread(target=come, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(visits)


def _say(peer: socket.socket, kind: str, deadline_s: float) -> None:
    first, again = KINDS[kind]
    peer.settimeout(0.5)
    peer.sendall(first)
    if not again:
        peer.recv(65_536)
        return
    reading = threading.Thread(target=_read, args=(peer,))
    reading.start()
    try:
        while time.monotonic() < deadline_s:
            with suppress(TimeoutError):
                peer.sendall(again)
    finally:
        with suppress(OSError):
            peer.shutdown(socket.SHUT_RDWR)
        reading.join()


def _read(peer: socket.socket) -> None:
    # Pongs are read: a stranger whose answers pile up would be let go.
    with suppress(OSError):
        while True:
            with suppress(TimeoutError):
                if not peer.recv(65_536):
                    return


def plainly(port: int) -> socket.socket:
    """A connection without TLS."""
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def by_tls(port: int) -> socket.socket:
    """A connection with TLS, its certificate unchecked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plainly(port))


def main() -> None:
    """kind, connections, seconds, port: as `flood`."""
    os.nice(5)
    kind, connections, seconds, port = sys.argv[1:5]
    print(flood(kind, int(connections), float(seconds), int(port), plainly))


if __name__ == "__main__":
    main()

__all__ = ["KINDS", "UPGRADE", "by_tls", "flood", "frame", "plainly"]
