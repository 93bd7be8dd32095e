"""How clients reach a server: addresses, WebSocket options, and the time limit for reconnecting."""

import random
import secrets
import ssl
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from websockets.exceptions import InvalidMessage

from streamrnn.serve.client_errors import ServerRefused
from streamrnn.serve.client_stream import ClientStream

PATH = "/v1/stream"
SCHEMES = {"ws": "ws", "http": "ws", "wss": "wss", "https": "wss"}

OPEN_S = 10.0
# Progress comes once a second: a server that owes a message and sends none for this long is gone.
ANSWER_S = 30.0
CLOSE_S = 5.0
LONGEST_BYTES = 1 << 24
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
# Request timeout, too early, too many requests: the next try may succeed.
PASSING_STATUS = (408, 425, 429)
# One attempt to reconnect takes no longer than this, whatever goes wrong.
LONGEST_TRY_S = LONGEST_PAUSE_S + OPEN_S + ANSWER_S + CLOSE_S


def address(url: str) -> str:
    """The URL of streams on a server: ws://host:port/v1/stream.

    Raises:
        ValueError: it is not a ws, wss, http or https address.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise ValueError(f"{url!r} is not the address of a server. Pass one such as ws://127.0.0.1:8765.")
    path = parts.path.rstrip("/").removesuffix(PATH) + PATH
    return urlunsplit((SCHEMES[parts.scheme], parts.netloc, path, parts.query, ""))


def keyed(url: str) -> str:
    """The URL with a random key, unless it has one, ?s=KEY, by which load balancers recognise a returning client."""
    parts = urlsplit(url)
    if "s" in parse_qs(parts.query):
        return url
    query = "&".join(part for part in (parts.query, f"s={secrets.token_hex(16)}") if part)
    return urlunsplit(parts._replace(query=query))


def options(token: str | None) -> dict[str, Any]:
    """Options of websockets.connect, the same for both clients.

    The token is in a header, not in hello: a header is not forwarded when a server redirects.

    Raises:
        ValueError: the token is not valid.
    """
    if token is not None and not (token.isascii() and token.isprintable()):
        raise ValueError("the token has characters that a header cannot hold. Pass it without a line break.")
    return {
        "additional_headers": {} if token is None else {"Authorization": f"Bearer {token}"},
        # Sound does not compress.
        "compression": None,
        # Messages are taken at once; the server never waits for a busy client.
        "max_queue": None,
        "max_size": LONGEST_BYTES,
        "open_timeout": OPEN_S,
        "close_timeout": CLOSE_S,
    }


def refusal(url: str, error: Exception) -> ConnectionError:
    """The error for a server that could not be reached."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 403:
        return ServerRefused("forbidden", f"{url} answers 403: it serves no streams there, or denies you access.")
    if status in (401, 407):
        return ServerRefused("unauthorized", f"{url} answers {status}: it needs a different token.")
    if status is not None and 400 <= status < 500 and status not in PASSING_STATUS:
        return ServerRefused("not_found", f"{url} answers {status}. Is it a streamrnn server?")
    return ConnectionError(f"cannot reach {url} ({error or type(error).__name__}). {_advice(url, error)}")


def _advice(url: str, error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            "Its certificate must be signed for this name by an authority that this machine trusts. To trust your own, "
            "set SSL_CERT_FILE=cert.pem in the environment."
        )
    if isinstance(error, ssl.SSLError):
        return f"If the server has no certificate, its address begins with ws: {url.replace('wss:', 'ws:', 1)}."
    # A TLS server hangs up on plain text.
    if url.startswith("ws:") and isinstance(error, InvalidMessage):
        return f"If the server has a certificate, its address begins with wss: {url.replace('ws:', 'wss:', 1)}."
    return "Is `streamrnn serve` running there?"


class Patience:
    """How long a client tries to reconnect: reconnect_s for every loss.

    Losses in a row, with no progress between them, count as one.
    """

    def __init__(self, stream: ClientStream, reconnect_s: float):
        self._stream, self._reconnect_s = stream, reconnect_s
        self._advances, self._asked_s, self._ends_s, self._pause_s = -1, 0.0, 0.0, 0.0

    def pause_s(self, reason: str) -> float:
        """Seconds to wait before the next try.

        Raises:
            ConnectionLost: the time is up.
        """
        now_s = time.monotonic()
        if self._stream.advances != self._advances or now_s - self._asked_s > LONGEST_TRY_S:
            self._advances, self._ends_s, self._pause_s = self._stream.advances, now_s + self._reconnect_s, 0.0
        if now_s >= self._ends_s:
            raise self._stream.lost(reason)
        # The first try comes at once. Later ones are spread, so that a server's clients do not all reconnect together.
        pause_s = min(self._pause_s * random.uniform(0.5, 1.0), self._ends_s - now_s)
        self._pause_s = min(max(SHORTEST_PAUSE_S, 2 * self._pause_s), LONGEST_PAUSE_S)
        self._asked_s = now_s
        return pause_s


__all__ = ["ANSWER_S", "CLOSE_S", "OPEN_S", "Patience", "address", "keyed", "options", "refusal"]
