"""A remote stream with the interface of a local one: feed chunks, get events or sound. Needs neither JAX nor a model.

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
        url: of the server, such as ws://127.0.0.1:8765; wss, http and https work too.
        model: one of those served (GET /v1/models lists them); default: the first.
        sample_rate: of the chunks, 8,000 to 96,000; default: the model's own.
        channels: 1 mixes all channels down here; 2 to 8 sends them interleaved, and the server mixes.
        encoding: of the sound in both directions, and of chunks passed as bytes: s16le; f32le, which is exact; or
            mulaw and alaw for telephony (G.711).
        token: the server's bearer token, if it has one.
        reconnect_s: how long to retry after a lost connection; the stream then continues without a gap. The server
            keeps it for `ready.resume_s` (30 s by default); one that shuts down cleanly hands it over to the next.
        restart: if the stream is gone, as after a crash of the server, begin a new one with the sound that was not yet
            acknowledged. Event times continue; open speech ends there. `restarts` counts. Otherwise ConnectionLost is
            raised, by this and every later call.
        levels: also receive levels, for meters and plots.
        decision: settings that override the model's (for vad: threshold=0.7, min_silence_ms=500, ...).

    Raises:
        ValueError: the address, encoding, number of channels or token is not valid.
        ServerRefused: no such model, rate or setting; a wrong token; or the server is full.
        ConnectionError: there is no server at the address, or it does not answer.
    """
    hello = Hello(model, sample_rate, encoding, channels, settings=decision, levels=levels)
    return Client(address(url), hello, token, reconnect_s, restart)


class Client:
    """A stream on a server, made by connect(). Its interface is a Listener's, or an Enhancer's if the model outputs
    sound. A context manager, which closes it.

    Not thread-safe; separate clients are independent. No method blocks forever: a server that owes a message and sends
    none for 30 s counts as lost. Every method raises the errors of feed().
    """

    def __init__(self, url: str, hello: Hello, token: str | None, reconnect_s: float, restart: bool):
        self._url, self._keyed, self._options = url, keyed(url), options(token)
        self.asked, self._stream = hello, ClientStream(hello, restart)
        self._patience = Patience(self._stream, reconnect_s)
        self.levels: list[Levels] = []
        """Levels received during the last feed() or finish(), if they were requested."""
        try:
            self._open()
        except (ConnectionClosed, TimeoutError, Dropped) as error:
            raise refusal(url, error) from error

    @property
    def ready(self) -> Ready:
        """What the server reported about the stream: the model, its settings and timing."""
        assert self._stream.ready is not None
        return self._stream.ready

    @property
    def duration_s(self) -> float:
        """Seconds of sound fed so far."""
        return self._stream.duration_s

    @property
    def finished(self) -> bool:
        """Whether finish() was called and all events have arrived."""
        return self._stream.finished

    @property
    def restarts(self) -> int:
        """How often a new stream was begun because the server had lost the old one."""
        return self._stream.restarts

    @property
    def latency(self) -> RemoteLatency:
        """The algorithmic latency and the measured response times."""
        return self._stream.latency

    def feed(self, chunk: Any) -> list[Event]:
        """Sends a chunk and returns the events that have arrived; events that it decides may come with later calls.

        Blocks while sound is fed faster than the server can process it.

        Args:
            chunk: float in [-1, 1], int16, or bytes of the stream's encoding; [n] or [n, channels]; n may be 0.

        Raises:
            AudioError, TypeError: the chunk is not sound; it is discarded as a whole.
            RuntimeError: the stream is finished or closed.
            ServerRefused: the server refused to continue.
            ConnectionLost: the connection was lost and not restored in time, or the stream is gone.
        """
        self._stream.feed(chunk)
        self._talk_until(lambda: self._stream.has_room)
        return self._come()

    def finish(self) -> list[Event]:
        """Ends the stream and returns the remaining events. No event reaches past the end of the sound."""
        if not self._stream.finished:
            self._stream.command("flush")
            self._talk_until(lambda: not self._stream.waits)
        return self._come()

    def reset(self) -> None:
        """Discards all state: the next chunk begins a new stream."""
        self._stream.command("reset")
        self._talk_until(lambda: not self._stream.waits)
        self.levels = []

    def sound(self) -> np.ndarray:
        """Returns the sound received since the last call, float32[n], for models that output sound: mono, at the
        stream's sample rate. After finish(), it totals as many samples as were fed."""
        return self._stream.take_sound()

    def outputs(self) -> np.ndarray:
        """Returns the outputs received since the last call, float32[frames, out], for models that output numbers; NaN
        where a server lost them."""
        return self._stream.take_sound().reshape(-1, self.ready.out_features)

    def close(self) -> None:
        """Closes the stream. Events not collected by finish() are lost. A second call has no effect."""
        if not self._stream.closed:
            # Whatever fails here: the server discards streams whose client does not come back.
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
        """Sends and receives, reconnecting as needed, until `is_enough`."""
        while True:
            try:
                return self._send_and_take(is_enough, ANSWER_S)
            except (ConnectionClosed, TimeoutError, Dropped) as error:
                self._open_again(error)

    def _send_and_take(self, is_enough: Callable[[], bool], silence_s: float) -> None:
        try:
            self._send_all()
        finally:
            # Even if the connection has ended: the messages that arrived before say why.
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
        """Opens a connection and sends hello."""
        self._connection = ExitStack()
        try:
            self._websocket = self._connection.enter_context(open_websocket(self._keyed, **self._options))
            # If the server stopped reading, send() would block forever.
            self._websocket.socket.settimeout(ANSWER_S)
        # From the timeout: the connection is closed already.
        except (OSError, WebSocketException) as error:
            raise self._stream.unreachable(refusal(self._url, error)) from error
        self._stream.connected()
        try:
            self._send_and_take(lambda: self._stream.is_open, OPEN_S)
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        """Closes a connection that is no longer usable; the peer may be gone."""
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
