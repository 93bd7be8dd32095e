"""Vosk's WebSocket protocol, as telephone systems use it: numbers and commands, with the server's own models.

A dialect of streamrnn.serve at ws://HOST:PORT/, where Vosk's clients connect. They send 16-bit mono sound in binary
messages, each of which is answered by one JSON message.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from streamrnn.serve.connection import Connection
from streamrnn.serve.dialects import Conversation, Speaking
from streamrnn.serve.lines import Line, WebSocketLine
from streamrnn.serve.protocol import MOST_TEXT, Hello, ProtocolError, read_json
from streamrnn.serve.server import Server
from streamrnn.serve.sessions import Session
from streamrnn.serve.settings import ServerSettings

# The default of Vosk's server.
DEFAULT_RATE = 8000


class Vosk:
    """A dialect of streamrnn.serve: the WebSocket protocol of Vosk's server, at the path /."""

    def prepare(self, settings: ServerSettings) -> None:
        """Needs nothing."""

    def paths(self, server: Server) -> Mapping[str, Callable[[WebSocketLine], Connection]]:
        """The path that Vosk's clients use."""
        return {"/": lambda line: Talk(line, server)}

    async def begin(self, server: Server) -> None:
        """Nothing to do: it is served at the server's own address."""

    async def end(self) -> None:
        """Nothing to do: the server itself stops accepting connections."""


class Talk(Conversation):
    """The connection of one Vosk client. The first model of utterances answers, else the first one of keywords.

    Args:
        line: a WebSocket.
        server: that accepted it.
    """

    def __init__(self, line: Line, server: Speaking):
        super().__init__(line, server)
        self._hello = Hello(sample_rate=DEFAULT_RATE)
        self._session: Session | None = None
        self._words: list[dict[str, Any]] = []
        self._said: list[dict[str, Any]] = []
        self._partial, self._is_flushed = "", False

    async def talk(self) -> None:
        self.enter()
        while not self._is_flushed:
            message = await self.receive()
            if isinstance(message, bytes):
                await self._take(message)
            else:
                self._small.count()
                await self._obey(message)

    def tell(self, error: ProtocolError) -> None:
        self.send(json.dumps({"error": error.message, "code": error.code}))

    def part(self) -> None:
        if not self._is_flushed:
            self._answer_finally()

    async def _take(self, sound: bytes) -> None:
        session = self._session or await self._begin()
        if len(sound) < session.carried.small_bytes:
            self._small.count()
        try:
            await session.take(sound)
        except ProtocolError as error:
            # Every message is answered once, so a client that is out of step cannot recover.
            raise ProtocolError(error.code, error.message, 1007) from None
        await session.caught_up()
        self.send(json.dumps(self._result() if self._said else {"partial": self._partial}))

    async def _obey(self, text: str) -> None:
        try:
            asked = read_json(text) if len(text) <= MOST_TEXT else None
        except ValueError:
            asked = None
        if isinstance(asked, dict) and isinstance(config := asked.get("config"), dict):
            self._configure(config)
        elif isinstance(asked, dict) and asked.get("eof"):
            session = self._session or await self._begin()
            await session.leave()
            self._answer_finally()
        elif isinstance(asked, dict) and asked.get("reset"):
            if self._session is not None:
                await self._session.reset()
            self._words, self._said, self._partial = [], [], ""
        else:
            known = '{"config": {...}}, {"reset": 1} or {"eof": 1}'
            raise ProtocolError("bad_message", f"a text is none of {known}. Send sound as binary messages.", 1002)

    def _configure(self, config: dict[str, Any]) -> None:
        if self._session is not None:
            raise ProtocolError("bad_message", "config came after sound. It must be the first message.", 1002)
        rate = config.get("sample_rate", DEFAULT_RATE)
        if isinstance(rate, bool) or not isinstance(rate, int | float) or rate % 1:
            shown = str(rate)[:40]
            raise ProtocolError("bad_hello", f"sample_rate is {shown!r}; it must be a whole number, such as 8000.")
        # Parsing checks its range, as for any hello.
        self._hello = Hello.parse(Hello(config.get("model") if self._serves(config) else None, int(rate)).as_text())

    def _serves(self, config: dict[str, Any]) -> bool:
        # Other values are paths of Vosk's own models, which clients send as they were configured.
        return isinstance(config.get("model"), str) and config["model"] in self.server.engines

    async def _begin(self) -> Session:
        asked = self._hello.model or self._first_model()
        self._session = await self.open(Hello(asked, self._hello.sample_rate), self._hear)
        return self._session

    def _first_model(self) -> str:
        kinds = {name: engine.model.outlet().kinds for name, engine in self.server.engines.items()}
        for wanted in ("endpoint", "keyword"):
            for name, found in kinds.items():
                if wanted in found:
                    return name
        raise ProtocolError("unknown_model", f"no model here hears words; there are: {', '.join(kinds)}.")

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] != "event":
            return
        kind, label = message["kind"], message["label"]
        if kind == "partial":
            self._partial = label
        elif kind in ("word", "keyword"):
            word = {"conf": message["score"], "end": message["end_s"], "start": message["start_s"], "word": label}
            self._words.append(word)
        if kind in ("keyword", "endpoint"):
            # A command is a whole utterance.
            self._said += self._words
            self._words, self._partial = [], ""

    def _result(self) -> dict[str, Any]:
        words, self._said = self._said, []
        return {"result": words, "text": " ".join(word["word"] for word in words)}

    def _answer_finally(self) -> None:
        self._is_flushed = True
        self.send(json.dumps(self._result() if self._said else {"text": ""}))


__all__ = ["DEFAULT_RATE", "Vosk"]
