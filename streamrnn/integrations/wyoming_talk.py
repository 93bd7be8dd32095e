"""One Wyoming client: its requests, and the streams that process its sound."""

import asyncio
import json
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, Eventable
from wyoming.info import Describe
from wyoming.ping import Ping, Pong
from wyoming.version import __version__
from wyoming.wake import Detect, Detection, NotDetected

from streamrnn.integrations.wyoming_offers import Offers
from streamrnn.serve.dialects import Conversation, Speaking
from streamrnn.serve.lines import Line
from streamrnn.serve.protocol import HIGHEST_RATE, LOWEST_RATE, MOST_CHANNELS, Hello, ProtocolError
from streamrnn.serve.sessions import Session

# Silence that ends an utterance, by the client's sensitivity setting: Home Assistant's values.
ENDPOINTS_MS = {"aggressive": 250.0, "default": 700.0, "relaxed": 1250.0}


class _Listening(Protocol):
    """Processes the sound between AudioStart and AudioStop."""

    sessions: list[Session]

    async def take(self, sound: bytes) -> None: ...
    async def stop(self) -> None: ...


class Talk(Conversation):
    """A Wyoming connection. Detect or Transcribe set the purpose of the next sound; an Error ends the connection.

    Args:
        line: over TCP.
        server: that accepted it.
        offers: what the server offers.
    """

    knows_tokens = False

    def __init__(self, line: Line, server: Speaking, offers: Offers):
        super().__init__(line, server)
        self.offers = offers
        self._asked: Detect | Transcribe | None = None
        self._format: tuple[int, int, int] | None = None
        self._listening: _Listening | None = None

    async def talk(self) -> None:
        try:
            async with asyncio.timeout(self._settings.hello_s):
                event = await self.receive()
        except TimeoutError:
            raise ProtocolError("hello_timeout", f"nothing came within {self._settings.hello_s:g} s.") from None
        while True:
            try:
                await self._take(event)
            except (KeyError, TypeError, AttributeError) as error:
                what = f"{event.type[:40]} lacks {error}, or has something else in its place"
                raise ProtocolError("bad_message", f"{what}. Send events of the Wyoming protocol.", 1002) from None
            event = await self.receive()

    def say(self, event: Eventable) -> None:
        """Sends an event."""
        found = event.event()
        data = json.dumps(found.data).encode()
        head = json.dumps({"type": found.type, "version": __version__, "data_length": len(data)})
        self.send(head.encode() + b"\n" + data)

    def tell(self, error: ProtocolError) -> None:
        self.say(Error(text=error.message, code=error.code))

    def part(self) -> None:
        if isinstance(self._listening, _Writing):
            self._listening.tell()

    async def _take(self, event: Event) -> None:
        if AudioChunk.is_type(event.type):
            await self._take_chunk(AudioChunk.from_event(event))
            return
        self._small.count()
        if Describe.is_type(event.type):
            self.say(self.offers.info())
        elif Ping.is_type(event.type):
            self.say(Pong(text=Ping.from_event(event).text))
        elif Detect.is_type(event.type):
            await self._detect(Detect.from_event(event))
        elif Transcribe.is_type(event.type):
            self._asked = Transcribe.from_event(event)
        elif AudioStart.is_type(event.type):
            start = AudioStart.from_event(event)
            await self._start((start.rate, start.width, start.channels), start.timestamp)
        elif AudioStop.is_type(event.type):
            await self._stop()

    async def _detect(self, asked: Detect) -> None:
        if not isinstance(asked.names or [], list):
            raise TypeError("a list of names")
        if isinstance(self._listening, _Waking):
            await self._listening.listen(self.offers.listening(asked.names))
        else:
            self._asked = asked

    async def _take_chunk(self, chunk: AudioChunk) -> None:
        form = (chunk.rate, chunk.width, chunk.channels)
        if self._format is None:
            # Satellites omit AudioStart.
            await self._start(form, chunk.timestamp)
        if form != self._format:
            raise ProtocolError("bad_audio", f"a chunk has {_said(form)} after {_said(self._format)}.", 1007)
        if len(chunk.audio) < chunk.rate * chunk.width * chunk.channels // 100:
            self._small.count()
        if self._listening is not None:
            await self._listening.take(_as_int16(chunk.audio, chunk.width))

    async def _start(self, form: tuple[int, int, int], timestamp: int | None) -> None:
        if self._listening is not None:
            self._end()
        rate, width, channels = form
        if any(type(number) is not int for number in form) or width not in _INT16:
            raise ProtocolError("bad_audio", f"the sound has {_said(form)}; a width of 1, 2 or 4 is heard.", 1007)
        if not (LOWEST_RATE <= rate <= HIGHEST_RATE and 1 <= channels <= MOST_CHANNELS):
            limits = f"{LOWEST_RATE} to {HIGHEST_RATE} Hz and up to {MOST_CHANNELS} channels are heard"
            raise ProtocolError("bad_audio", f"the sound has {_said(form)}; {limits}.", 1007)
        self._format = form
        asked, self._asked = self._asked, None
        hello = Hello(sample_rate=rate, channels=channels)
        if isinstance(asked, Transcribe) or (asked is None and not self.offers.wake):
            asked = asked or Transcribe()
            self._listening = writing = _Writing(self, self.offers.writing(asked.name, asked.language))
            await writing.begin(hello, asked.vad_sensitivity)
        else:
            words = self.offers.listening(asked.names if asked else None)
            self._listening = waking = _Waking(self, hello, timestamp if type(timestamp) is int else 0)
            await waking.listen(words)

    async def _stop(self) -> None:
        if self._listening is not None:
            await self._listening.stop()
            self._end()

    def _end(self) -> None:
        assert self._listening is not None
        for session in self._listening.sessions:
            self.close(session)
        self._listening, self._format = None, None


class _Waking:
    """Reports wake words as long as there is sound; at its end, reports if there was none."""

    def __init__(self, talk: Talk, hello: Hello, begin_ms: int):
        self.sessions: list[Session] = []
        self._talk, self._hello, self._begin_ms, self._heard = talk, hello, begin_ms, False
        self._words: set[str] = set()

    async def listen(self, words: dict[str, tuple[str, ...]]) -> None:
        """Starts listening for these wake words, with the models that detect them."""
        self._words = set(words)
        running = {session.engine.name for session in self.sessions}
        for name in sorted({name for names in words.values() for name in names} - running):
            self.sessions.append(await self._talk.open(replace(self._hello, model=name), self._hear))

    async def take(self, sound: bytes) -> None:
        for session in self.sessions:
            await session.take(sound)

    async def stop(self) -> None:
        for session in self.sessions:
            await session.leave()
        if not self._heard:
            self._talk.say(NotDetected())

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "event" and message["label"] in self._words:
            self._heard = True
            moment_ms = self._begin_ms + round(1000 * message["decided_s"])
            self._talk.say(Detection(name=message["label"], timestamp=moment_ms))


class _Writing:
    """Reports the transcript once, when the utterance or the sound is over. Later sound is ignored."""

    def __init__(self, talk: Talk, name: str):
        self.sessions: list[Session] = []
        self._talk, self._name, self._is_over = talk, name, False
        self._texts: list[str] = []
        # Time of the last command, and the pause after it that ends the transcript.
        self._command_s: float | None = None
        self._pause_s = 0.0

    async def begin(self, hello: Hello, sensitivity: Any) -> None:
        endpoint_ms = ENDPOINTS_MS.get(str(getattr(sensitivity, "value", sensitivity)), ENDPOINTS_MS["default"])
        model = self._talk.server.engines[self._name].model
        settings = {"endpoint_ms": endpoint_ms} if hasattr(model.decision, "endpoint_ms") else {}
        self._pause_s = endpoint_ms / 1000 + model.algorithmic_latency_ms / 1000
        hello = replace(hello, model=self._name, settings=settings)
        self.sessions.append(await self._talk.open(hello, self._hear))

    async def take(self, sound: bytes) -> None:
        if self._is_over:
            return
        session = self.sessions[0]
        await session.take(sound)
        heard_s = session.received_samples / session.stream.sample_rate
        if self._command_s is not None and heard_s - self._command_s > self._pause_s:
            # The rest of the chunk may hold another command.
            await session.caught_up()
            if heard_s - self._command_s > self._pause_s:
                self.tell()

    async def stop(self) -> None:
        await self.sessions[0].leave()
        self.tell()

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] != "event" or self._is_over:
            return
        if message["kind"] == "keyword":
            self._texts.append(message["label"].replace("_", " "))
            self._command_s = message["decided_s"]
        elif message["kind"] == "endpoint":
            self._texts.append(message["label"])
            self.tell()

    def tell(self) -> None:
        """Reports the transcript, if it has not."""
        if not self._is_over:
            self._is_over = True
            self._talk.say(Transcript(text=" ".join(self._texts), language=self._talk.offers.asr[self._name]))


_INT16 = {1: "<u1", 2: "<i2", 4: "<i4"}


def _as_int16(sound: bytes, width: int) -> bytes:
    """Converts samples of 1 (unsigned), 2 or 4 bytes to 16 bits."""
    if width == 2:
        return sound
    if len(sound) % width:
        raise ProtocolError("bad_audio", f"a chunk has {len(sound)} bytes; its width is {width}.", 1007)
    samples = np.frombuffer(sound, _INT16[width])
    wide = samples.astype(np.int32)
    return ((wide - 128) << 8 if width == 1 else wide >> 16).astype("<i2").tobytes()


def _said(form: tuple[int, int, int] | None) -> str:
    rate, width, channels = form or (0, 0, 0)
    return f"{str(rate)[:20]} Hz, {str(width)[:20]} bytes per sample and {str(channels)[:20]} channels"


__all__ = ["Talk"]
