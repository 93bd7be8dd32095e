"""A remote stream for asyncio: one task feeds it, the same or another one takes the events.

async with connect_async("ws://127.0.0.1:8765", "vad", 16_000) as listener:
    ...
    async for event in listener: ...
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Self

import numpy as np
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, WebSocketException

from streamrnn.audio import Encoding
from streamrnn.decisions import Event
from streamrnn.serve.client_answers import Levels, Ready, RemoteLatency
from streamrnn.serve.client_errors import Dropped
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

_NOT_ENTERED = "The client is not connected. Enter it first: async with connect_async(...) as client."


def connect_async(
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
) -> "AsyncClient":
    """Returns a remote stream, which `async with` opens; arguments and errors are those of streamrnn.serve.connect."""
    hello = Hello(model, sample_rate, encoding, channels, settings=decision, levels=levels)
    return AsyncClient(address(url), hello, token, reconnect_s, restart)


class AsyncClient:
    """A stream on a server, made by connect_async(); `async with` opens and closes it.

    Events are returned by feed() and finish(); or, if `async for` iterates over the client, by the iteration alone, as
    soon as they arrive, until finish() or close(). A background task exchanges messages, so a lost connection is
    noticed and restored even while nothing is fed.
    """

    def __init__(self, url: str, hello: Hello, token: str | None, reconnect_s: float, restart: bool):
        self._url, self._keyed, self._options = url, keyed(url), options(token)
        self.asked, self._stream = hello, ClientStream(hello, restart)
        self._patience = Patience(self._stream, reconnect_s)
        self._listeners, self._error = 0, None
        self._talking: asyncio.Task[None] | None = None
        self.levels: list[Levels] = []
        """Levels received since the last feed() or finish(), if they were requested."""

    @property
    def ready(self) -> Ready:
        """What the server reported about the stream: the model, its settings and timing."""
        if self._stream.ready is None:
            raise RuntimeError(_NOT_ENTERED)
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

    async def feed(self, chunk: Any) -> list[Event]:
        """Sends a chunk, see Client.feed; waits while too much is in flight."""
        self._require_alive()
        self._stream.feed(chunk)
        self._to_send.set()
        await self._until(lambda: self._stream.has_room)
        return self._come()

    async def finish(self) -> list[Event]:
        """Ends the stream and returns the remaining events."""
        if not self._stream.finished:
            await self._command("flush")
        return self._come()

    async def reset(self) -> None:
        """Discards all state: the next chunk begins a new stream."""
        await self._command("reset")
        self.levels = []

    def sound(self) -> np.ndarray:
        """Returns the sound received since the last call, float32[n], for models that output sound."""
        return self._stream.take_sound()

    def outputs(self) -> np.ndarray:
        """Returns the outputs received since the last call, float32[frames, out], for models that output numbers; NaN
        where a server lost them."""
        return self._stream.take_sound().reshape(-1, self.ready.out_features)

    async def close(self) -> None:
        """Closes the stream. Events not taken before are lost. A second call has no effect."""
        if not self._stream.closed:
            # Whatever fails here: the server discards streams whose client does not come back.
            with suppress(ConnectionError, TimeoutError, RuntimeError):
                await asyncio.wait_for(self._command("close"), CLOSE_S)
            self._stream.closed = True
        if self._talking is None:
            return
        self._talking.cancel()
        with suppress(asyncio.CancelledError):
            await self._talking
        await self._websocket.close()
        self._changed.set()

    async def __aenter__(self) -> Self:
        self._changed, self._to_send = asyncio.Event(), asyncio.Event()
        try:
            await self._open()
        except (ConnectionClosed, TimeoutError, Dropped) as error:
            raise refusal(self._url, error) from error
        self._talking = asyncio.create_task(self._talk())
        return self

    async def __aexit__(self, *_exception) -> None:
        await self.close()

    async def __aiter__(self) -> AsyncIterator[Event]:
        self._listeners += 1
        try:
            while not self._has_ended or self._stream.has_events:
                await self._until(lambda: self._stream.has_events or self._has_ended, silence_s=None)
                for event in self._stream.take_events():
                    yield event
            self._require_alive()
        finally:
            self._listeners -= 1

    @property
    def _has_ended(self) -> bool:
        return self._stream.finished or self._stream.closed

    def _come(self) -> list[Event]:
        self.levels = self._stream.take_levels()
        return [] if self._listeners else self._stream.take_events()

    async def _command(self, command: Any) -> None:
        self._require_alive()
        self._stream.command(command)
        self._to_send.set()
        await self._until(lambda: not self._stream.waits)

    def _require_alive(self) -> None:
        if self._talking is None:
            raise RuntimeError(_NOT_ENTERED)
        if self._error is not None:
            raise self._error

    async def _until(self, is_enough: Callable[[], bool], silence_s: float | None = ANSWER_S) -> None:
        while not is_enough():
            self._require_alive()
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), silence_s)
            except TimeoutError:
                # The background task will notice, and reconnect.
                self._websocket.transport.abort()

    async def _talk(self) -> None:
        """Exchanges messages until the stream ends, over as many connections as it takes."""
        try:
            while True:
                try:
                    await self._send_and_take(lambda: self._stream.closed)
                    return
                except (ConnectionClosed, TimeoutError, Dropped) as error:
                    await self._open_again(error)
        except Exception as error:
            self._error = error
        finally:
            self._changed.set()

    async def _send_and_take(self, is_enough: Callable[[], bool]) -> None:
        sending = asyncio.create_task(self._send_all(self._websocket))
        try:
            while not is_enough():
                self._stream.receive(await self._websocket.recv())
                self._to_send.set()
                self._changed.set()
        finally:
            sending.cancel()

    async def _send_all(self, websocket: ClientConnection) -> None:
        # The receiving side reads to the end, and so learns the reason.
        with suppress(ConnectionClosed):
            while True:
                self._to_send.clear()
                while (message := self._stream.next_message()) is not None:
                    await websocket.send(message)
                await self._to_send.wait()

    async def _open(self) -> None:
        """Opens a connection and sends hello."""
        try:
            self._websocket = await open_websocket(self._keyed, **self._options)
        except (OSError, WebSocketException) as error:
            raise self._stream.unreachable(refusal(self._url, error)) from error
        self._stream.connected()
        try:
            await asyncio.wait_for(self._send_and_take(lambda: self._stream.is_open), OPEN_S)
        except BaseException:
            self._websocket.transport.abort()
            raise

    async def _open_again(self, error: Exception) -> None:
        while True:
            self._websocket.transport.abort()
            await asyncio.sleep(self._patience.pause_s(str(error)))
            try:
                return await self._open()
            except (ConnectionClosed, TimeoutError, Dropped) as another:
                error = another


__all__ = ["AsyncClient", "connect_async"]
