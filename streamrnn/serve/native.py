"""A connection of the streaming protocol: hello, then sound and commands for one stream."""

import asyncio
import math
from collections.abc import Callable
from typing import Protocol

from streamrnn.serve.connection import Connection, Host
from streamrnn.serve.handover import Handover
from streamrnn.serve.lines import Line
from streamrnn.serve.protocol import MOST_STATE_BYTES, PROTOCOL_ERROR, Hello, ProtocolError, parse_command
from streamrnn.serve.sessions import Payload, Session

# Limit of refused sound messages in a row.
MOST_BAD_AUDIO = 20


class Welcoming(Host, Protocol):
    """What such a connection needs from its server."""

    async def welcome(self, hello: Hello, connection: "NativeConnection") -> Session: ...
    def keep(self, session: Session, data: bytes, taken_samples: int) -> None: ...


class NativeConnection(Connection):
    """Speaks the protocol of docs/protocol.md. Its session outlives it, to be resumed by another connection.

    Args:
        line: not accepted yet; its messages are str or bytes.
        host: the server.
    """

    def __init__(self, line: Line, host: Welcoming):
        super().__init__(line, host)
        self.session: Session | None = None
        self._welcoming = host

    async def talk(self) -> None:
        try:
            async with asyncio.timeout(self._settings.hello_s):
                hello = await self._hello()
        except TimeoutError:
            seconds = f"{self._settings.hello_s:g} s"
            raise ProtocolError("hello_timeout", f"no hello came within {seconds}. It must come first.") from None
        self.is_asking = True
        try:
            self.session = await self._welcoming.welcome(hello, self)
        finally:
            self.is_asking = False
            self.answered.set()
        if self.session.carried.sample_rate is None:
            # Items may be an hour apart; pings detect a lost client.
            self._idle_s = math.inf
        bad_audio = 0
        while not self.session.is_closed:
            try:
                await self._take(await self.receive(), self.session)
                bad_audio = 0
            except ProtocolError as error:
                bad_audio += error.code in ("bad_audio", "bad_items")
                if bad_audio > MOST_BAD_AUDIO:
                    raise ProtocolError(error.code, error.message, 1007, **error.details) from None
                if error.fatal:
                    raise
                self.refuse(error)

    def tell(self, error: ProtocolError) -> None:
        self.send(error.as_text())

    async def go(self, seal: Callable[[Handover], bytes]) -> None:
        if self.session is not None and not self.session.is_closed:
            await self.session.go(seal)

    def left(self) -> None:
        if self.session is not None and self.session.connection is self:
            self.session.detach()

    def drop(self) -> None:
        if self.session is not None:
            self.session.forget()

    async def state(self, size: int) -> bytes:
        """Receives a stream's state, which follows hello in messages that total `size` bytes.

        Raises:
            ProtocolError: resume_failed, hello_timeout or bad_message; something else arrived, or not all of it.
        """
        if not 0 < size <= MOST_STATE_BYTES:
            raise ProtocolError("resume_failed", f"state_bytes is {size}; it must be up to {MOST_STATE_BYTES}.")
        state = b""
        try:
            async with asyncio.timeout(self._settings.hello_s):
                while len(state) < size and isinstance(part := await self.receive(), bytes) and part:
                    state += part
        except TimeoutError:
            seconds = f"{self._settings.hello_s:g} s"
            raise ProtocolError("hello_timeout", f"no state came within {seconds}, as announced by hello.") from None
        if len(state) != size:
            what = f"after hello, binary messages of {size} bytes together must follow, as it says."
            raise ProtocolError("bad_message", what, PROTOCOL_ERROR)
        return state

    async def _hello(self) -> Hello:
        message = await self.receive()
        if isinstance(message, bytes):
            raise ProtocolError("bad_message", "sound arrived before hello. Send hello first.", 1002)
        return Hello.parse(message)

    async def _take(self, message: Payload, session: Session) -> None:
        if isinstance(message, bytes):
            if len(message) < session.carried.small_bytes:
                self._small.count()
            before = session.received_samples
            try:
                await session.take(message)
            finally:
                # Even if only a part is taken: the client resends the rest over another connection.
                self._welcoming.keep(session, message, session.received_samples - before)
            return
        self._small.count()
        command, items = parse_command(message)
        match command:
            case "items":
                await session.take(items)
            case "flush":
                await session.flush()
            case "reset":
                await session.reset()
            case "close":
                await session.close()


__all__ = ["NativeConnection", "Welcoming"]
