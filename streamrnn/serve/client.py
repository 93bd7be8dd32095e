"""A stream of a server as if it were here: feed it chunks, get events or sound. Needs neither JAX nor a model.

with connect("ws://127.0.0.1:8765", "vad", 16_000) as listener:
    for chunk in chunks:
        for event in listener.feed(chunk): ...
"""

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any, Self

import numpy as np
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import connect as open_websocket

from streamrnn.audio import Encoding
from streamrnn.decisions import Event
from streamrnn.serve.client_answers import Levels, Ready, RemoteLatency
from streamrnn.serve.client_async import AsyncClient, connect_async
from streamrnn.serve.client_errors import ConnectionLost, Dropped, ServerRefused
from streamrnn.serve.client_link import (
    ANSWER_S,
    CLOSE_S,
    OPEN_S,
    Patience,
    address,
    keyed,
    options,
    refusal,
)
from streamrnn.serve.client_stream import ClientStream
from streamrnn.serve.protocol import Hello


def connect(
    url: str,
    model: str | None = None,
    sample_rate: int | None = None,
    *,
    channels: int = 1,
    encoding: Encoding = "s16le",
    token: str | None = None,
    reconnect_s: float = 30.0,
    restart: bool = False,
    levels: bool = False,
    **decision: Any,
) -> "Client":
    """Opens a stream on a server.

    Args:
        url: of the server, such as ws://127.0.0.1:8765; wss, http and https will do, too.
        model: one of those served (GET /v1/models lists them); default: the first.
        sample_rate: of the chunks, 8,000 to 96,000; default: the model's own.
        channels: 1 mixes all down here; 2 to 8 send them interleaved, for the server to mix.
        encoding: of sound on its way, both ways, and of chunks that are bytes: s16le; f32le, which is exact;
            or telephony's mulaw and alaw (G.711).
        token: the server's bearer token, where it has one.
        reconnect_s: after a loss, the connection is sought again for so long, and the stream goes on without a gap. The
            server keeps it for `ready.resume_s`, which is 30 s unless it was told otherwise; one that ends in order
            hands it over to the next.
        restart: where the stream is gone, as after a crash of the server, a new one begins with the sound that was not
            taken yet, and event times go on; speech that was open ends there. `restarts` counts. Else ConnectionLost
            is raised, by every call from then on.
        levels: also receive levels, for meters and plots.
        decision: settings that override the model's (for vad: threshold=0.7, min_silence_ms=500, ...).

    Raises:
        ValueError: the address, the encoding, the number of channels or the token cannot be one.
        ServerRefused: there is no such model, rate or setting; a wrong token; all streams are taken.
        ConnectionError: there is no server, or it does not answer.
    """
    hello = Hello(model, sample_rate, encoding, channels, settings=decision, levels=levels)
    return Client(address(url), hello, token, reconnect_s, restart)


class Client:
    """A stream of a server, made by connect(). It is used like a Listener, or like an Enhancer where the model gives
    sound; a context manager that closes it.

    Not thread-safe; separate clients are independent. Every method ends: a server that says nothing for 30 s while it
    ought to is taken for lost, and all of them raise what feed() raises.
    """

    def __init__(self, url: str, hello: Hello, token: str | None, reconnect_s: float, restart: bool):
        self._url, self._keyed, self._options = url, keyed(url), options(token)
        self.asked, self._stream = hello, ClientStream(hello, restart)
        self._patience = Patience(self._stream, reconnect_s)
        self.levels: list[Levels] = []
        """What came during the last feed() or finish(), where levels were asked for."""
        try:
            self._open()
        except (ConnectionClosed, TimeoutError, Dropped) as error:
            raise refusal(url, error) from error

    @property
    def ready(self) -> Ready:
        """What the server said of the stream: the model, its settings and times."""
        assert self._stream.ready is not None
        return self._stream.ready

    @property
    def duration_s(self) -> float:
        """Seconds of sound taken so far."""
        return self._stream.duration_s

    @property
    def finished(self) -> bool:
        """Whether the stream was finished, and all events have come."""
        return self._stream.finished

    @property
    def restarts(self) -> int:
        """How often a new stream had to begin, because the server had lost the old one."""
        return self._stream.restarts

    @property
    def latency(self) -> RemoteLatency:
        """Algorithmic latency, and how long answers took."""
        return self._stream.latency

    def feed(self, chunk: Any) -> list[Event]:
        """Sends a chunk, and returns the events that have come; those that it decides come with later ones.

        Sound that comes faster than the server can work it off waits here.

        Args:
            chunk: float in [-1, 1], int16, or bytes of the stream's encoding; [n] or [n, channels]; n may be 0.

        Raises:
            AudioError, TypeError: the chunk is not sound; it is ignored as a whole.
            RuntimeError: the stream was finished or closed.
            ServerRefused: the server refused to go on.
            ConnectionLost: the connection was lost, and could not be had again in time, or the stream is gone.
        """
        self._stream.feed(chunk)
        self._talk_until(lambda: self._stream.has_room)
        return self._come()

    def finish(self) -> list[Event]:
        """Ends the stream: the events still under way. No event reaches past the end of the sound."""
        if not self._stream.finished:
            self._stream.command("flush")
            self._talk_until(lambda: not self._stream.waits)
        return self._come()

    def reset(self) -> None:
        """Forgets everything: the next chunk is the first of a new stream."""
        self._stream.command("reset")
        self._talk_until(lambda: not self._stream.waits)
        self.levels = []

    def sound(self) -> np.ndarray:
        """The sound that has come since the last call, float32[n], of models that give sound: mono, at the stream's
        rate. After finish(), as many samples have come as went in."""
        return self._stream.take_sound()

    def outputs(self) -> np.ndarray:
        """The numbers that have come since the last call, float32[frames, out], of models that give numbers; NaN where
        a server lost them."""
        return self._stream.take_sound().reshape(-1, self.ready.out_features)

    def close(self) -> None:
        """Gives the stream back. Events that were not fetched by finish() are lost. A second call does nothing."""
        if not self._stream.closed:
            # Whatever goes wrong now: the server lets go of streams whose client does not come back.
            with suppress(ConnectionClosed, ConnectionError, TimeoutError, Dropped, RuntimeError):
                self._stream.command("close")
                self._send_and_take(lambda: not self._stream.waits, CLOSE_S)
            self._stream.closed = True
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception) -> None:
        self.close()

    def _come(self) -> list[Event]:
        self.levels = self._stream.take_levels()
        return self._stream.take_events()

    def _talk_until(self, is_enough: Callable[[], bool]) -> None:
        """Sends what is to be sent and takes what has come, and goes on until it is enough."""
        while True:
            try:
                return self._send_and_take(is_enough, ANSWER_S)
            except (ConnectionClosed, TimeoutError, Dropped) as error:
                self._open_again(error)

    def _send_and_take(self, is_enough: Callable[[], bool], silence_s: float) -> None:
        try:
            self._send_all()
        finally:
            # Also where the connection has ended: the reason is among what came before.
            self._take_all()
        while not is_enough():
            self._stream.receive(self._websocket.recv(silence_s))
            self._send_all()

    def _send_all(self) -> None:
        while (message := self._stream.next_message()) is not None:
            self._websocket.send(message)

    def _take_all(self) -> None:
        with suppress(TimeoutError):
            while True:
                self._stream.receive(self._websocket.recv(0))

    def _open(self) -> None:
        """Opens a connection and says hello."""
        self._connection = ExitStack()
        try:
            self._websocket = self._connection.enter_context(open_websocket(self._keyed, **self._options))
            # A server that stops reading would let send() wait without end.
            self._websocket.socket.settimeout(ANSWER_S)
        # Of the timeout: the connection is closed already.
        except (OSError, WebSocketException) as error:
            raise self._stream.unreachable(refusal(self._url, error)) from error
        self._stream.connected()
        try:
            self._send_and_take(lambda: self._stream.is_open, OPEN_S)
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        """Ends a connection that is of no more use; nobody may be there to say goodbye to."""
        with suppress(OSError):
            self._websocket.socket.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _open_again(self, error: Exception) -> None:
        while True:
            self._drop()
            time.sleep(self._patience.pause_s(str(error)))
            try:
                return self._open()
            except (ConnectionClosed, TimeoutError, Dropped) as another:
                error = another


__all__ = ["AsyncClient", "Client", "ConnectionLost", "ServerRefused", "connect", "connect_async"]
