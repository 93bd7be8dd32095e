"""OpenAI's Realtime API for transcription, with the server's own models: the official client needs another base_url.

A dialect of streamrnn.serve at /v1/realtime. A voice activity model detects where speech starts and stops, a model of
utterances transcribes; either may be missing.
"""

from collections.abc import Callable, Mapping

from streamrnn.integrations.realtime_talk import Talk
from streamrnn.serve.connection import Connection
from streamrnn.serve.lines import WebSocketLine
from streamrnn.serve.server import Server
from streamrnn.serve.settings import ServerSettings


class Realtime:
    """A dialect of streamrnn.serve: transcription sessions of OpenAI's Realtime API, at /v1/realtime."""

    def prepare(self, settings: ServerSettings) -> None:
        """Needs nothing."""

    def paths(self, server: Server) -> Mapping[str, Callable[[WebSocketLine], Connection]]:
        """The path that OpenAI's client uses."""
        return {"/v1/realtime": lambda line: Talk(line, server)}

    async def begin(self, server: Server) -> None:
        """Nothing to do: it is served at the server's own address."""

    async def end(self) -> None:
        """Nothing to do: the server itself stops accepting connections."""


__all__ = ["Realtime"]
