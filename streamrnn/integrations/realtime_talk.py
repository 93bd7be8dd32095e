"""One client of OpenAI's Realtime API: translates its events, and the messages of its streams into items of speech."""

import base64
import binascii
import json
import math
import secrets
from dataclasses import dataclass, field
from typing import Any

from streamrnn.integrations.realtime_session import Refused, Setup
from streamrnn.serve.dialects import Conversation, Speaking
from streamrnn.serve.lines import Line
from streamrnn.serve.protocol import Hello, ProtocolError, read_json
from streamrnn.serve.sessions import Session

# A word belongs to speech that starts at most this much later: models of words and of speech differ by some frames.
_NEAR_S = 0.5


@dataclass
class _Item:
    """Speech from its start to its end, and the words in it. Times are seconds of the client's sound."""

    id: str = field(default_factory=lambda: f"item_{secrets.token_hex(12)}")
    start_s: float = 0.0
    end_s: float | None = None
    words: list[str] = field(default_factory=list)
    is_told: bool = False  # of its start

    def is_told_by(self, word_s: float) -> bool:
        """Whether its start was reported, and a word at this time may be part of it."""
        return self.is_told and word_s >= self.start_s - _NEAR_S


class Talk(Conversation):
    """The connection of one client; errors leave its session open.

    Args:
        line: a WebSocket.
        server: that accepted it.
    """

    def __init__(self, line: Line, server: Speaking):
        super().__init__(line, server)
        self._setup = Setup()
        self._hearing: Session | None = None
        self._writing: Session | None = None
        self._is_open = False
        # Where the current streams began in the client's sound, and where it ends so far.
        self._offset_s = self._received_s = 0.0
        # How far speech was detected; words wait for it, so that each is assigned to the item it was spoken in.
        self._heard_s = self._written_s = 0.0
        self._words: list[tuple[float, str]] = []
        self._present = _Item()
        self._unwritten: list[_Item] = []
        self._previous: str | None = None
        # Items that end by then have all their words.
        self._complete_s = 0.0

    async def talk(self) -> None:
        self.enter()
        self._say("session.created", session=self._setup.as_dict())
        while True:
            message = await self.receive()
            event_id = None
            try:
                event = _event(message)
                event_id = event.get("event_id")
                await self._obey(event)
            except Refused as refused:
                self._refuse(refused.code, refused.message, refused.param, event_id)

    def tell(self, error: ProtocolError) -> None:
        self._refuse(error.code, error.message, None, None)

    def part(self) -> None:
        self._deliver(math.inf)
        self._complete_until(None)

    def _refuse(self, code: str, message: str, param: str | None, event_id: Any) -> None:
        kind = "server_error" if code in ("internal", "shutting_down", "busy") else "invalid_request_error"
        error = {"type": kind, "code": code, "message": message, "param": param, "event_id": event_id}
        self._say("error", error=error)

    def _say(self, kind: str, /, **fields: Any) -> None:
        self.send(json.dumps({"type": kind, "event_id": f"event_{secrets.token_hex(10)}", **fields}))

    async def _obey(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind == "input_audio_buffer.append":
            await self._append(event.get("audio"))
            return
        self._small.count()
        match kind:
            case "session.update":
                self._update(self._setup.updated(event.get("session")))
            case "input_audio_buffer.commit":
                await self._commit()
            case "input_audio_buffer.clear":
                self._close()
                self._say("input_audio_buffer.cleared")
            case _:
                known = "session.update, input_audio_buffer.append, input_audio_buffer.commit, input_audio_buffer.clear"
                raise Refused("invalid_value", f"there is no event {str(kind)[:60]!r} here; there are: {known}.")

    def _update(self, setup: Setup) -> None:
        # What cannot be met is refused before anything changes.
        setup.writer(self.server.engines)
        setup.detector(self.server.engines)
        if setup != self._setup:
            self._close()
        self._setup = setup
        self._say("session.updated", session=setup.as_dict())

    async def _append(self, audio: Any) -> None:
        try:
            sound = base64.b64decode(audio, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise Refused(
                "invalid_value", "audio is no base64. Send the bytes of samples in base64.", "audio"
            ) from None
        if not self._is_open:
            await self._open()
        sessions = [session for session in (self._hearing, self._writing) if session is not None]
        if len(sound) < sessions[0].carried.small_bytes:
            self._small.count()
        for session in sessions:
            try:
                await session.take(sound)
            except ProtocolError as error:
                if error.code != "bad_audio":
                    raise
                raise Refused("invalid_value", error.message, "audio") from None
        self._received_s = self._offset_s + sessions[0].received_samples / self._setup.sample_rate

    async def _open(self) -> None:
        writer, detector = self._setup.writer(self.server.engines), self._setup.detector(self.server.engines)
        if writer is None and detector is None:
            there = ", ".join(self.server.engines)
            raise Refused("model_not_found", f"no model here hears utterances or speech; there are: {there}.")
        self._is_open = True
        form: dict[str, Any] = {
            "sample_rate": self._setup.sample_rate,
            "encoding": self._setup.encoding,
            "levels": True,
        }
        if detector is not None:
            name, settings = detector
            self._hearing = await self.open(Hello(name, settings=settings, **form), self._hear_speech)
        if writer is not None:
            name, settings = writer
            self._writing = await self.open(Hello(name, settings=settings, **form), self._hear_words)

    def _close(self) -> None:
        """Discards the streams and their results; later sound begins new ones, on the same time axis."""
        for session in (self._hearing, self._writing):
            if session is not None:
                self.close(session)
        self._hearing = self._writing = None
        self._is_open, self._offset_s = False, self._received_s
        self._present, self._unwritten, self._words = _Item(start_s=self._offset_s), [], []

    async def _commit(self) -> None:
        if not self._is_open:
            raise Refused("input_audio_buffer_commit_empty", "there is no sound to commit. Append some before.")
        for session in (self._hearing, self._writing):
            if session is not None:
                await session.leave()
        self._deliver(math.inf)
        if self._setup.detection is None or self._present.words:
            self._end(self._present, self._received_s, told=self._setup.detection is not None)
        self._complete_until(None)
        self._close()

    def _hear_speech(self, message: dict[str, Any]) -> None:
        if message["type"] == "levels":
            self._heard_s = self._offset_s + message["start_s"] + len(message["values"]) * message["frame_s"]
            self._deliver(self._heard_s)
            self._complete_until(self._complete_s)
        if message["type"] != "event":
            return
        if message["kind"] == "speech_start":
            self._start(self._offset_s + message["start_s"])
        elif message["kind"] == "speech_end":
            self._end(self._present, self._offset_s + message["end_s"], told=True)
            if self._writing is None:
                self._unwritten.clear()

    def _hear_words(self, message: dict[str, Any]) -> None:
        if message["type"] == "levels":
            self._written_s = self._offset_s + message["start_s"] + len(message["values"]) * message["frame_s"]
            self._complete_s = self._written_s - self._patience_s
            self._complete_until(self._complete_s)
        if message["type"] != "event":
            return
        start_s = self._offset_s + message["start_s"]
        detects_alone = self._hearing is None and self._setup.detection is not None
        if message["kind"] in ("partial", "word") and detects_alone:
            if message["label"] and not self._present.is_told:
                self._start(start_s)
            elif not (message["label"] or self._present.words):
                self._think_better(start_s)
        if message["kind"] == "word":
            self._words.append((start_s, message["label"]))
            self._deliver(math.inf if self._hearing is None else self._heard_s)
        elif message["kind"] == "endpoint":
            if detects_alone:
                self._end(self._present, self._offset_s + message["end_s"], told=True)
                self._complete_until(None)
            else:
                # The words of the first item that the utterance overlaps are complete.
                ends = [item.end_s or 0.0 for item in self._unwritten]
                self._complete_s = max(self._complete_s, next((end_s for end_s in ends if start_s < end_s), 0.0))
                self._complete_until(self._complete_s)

    def _deliver(self, heard_s: float) -> None:
        """Reports the words up to then, each as part of its item.

        A word outside of detected speech waits for speech that starts with it, and is discarded as noise if none does:
        it would belong to an item that never starts or ends.
        """
        while self._words and self._words[0][0] <= heard_s:
            start_s, word = self._words[0]
            item = next((item for item in self._unwritten if start_s < (item.end_s or 0.0)), self._present)
            if self._detects_speech and heard_s < math.inf and not item.is_told_by(start_s):
                if not item.is_told and heard_s < start_s + self._hesitation_s:
                    return
                self._words.pop(0)
                continue
            self._words.pop(0)
            text = word if not item.words else f" {word}"
            item.words.append(word)
            kind = "conversation.item.input_audio_transcription.delta"
            self._say(kind, item_id=item.id, content_index=0, delta=text)

    @property
    def _detects_speech(self) -> bool:
        return self._hearing is not None and self._setup.detection is not None

    @property
    def _hesitation_s(self) -> float:
        """Delay after a word until it is known whether speech starts with it."""
        assert self._hearing is not None
        decision = {**vars(self._hearing.engine.model.decision), **self._hearing.overrides}
        return _NEAR_S + sum(decision.get(name, 0.0) for name in ("padding_ms", "min_speech_ms")) / 1000

    @property
    def _patience_s(self) -> float:
        """Delay after an item's end until all its words are known."""
        assert self._writing is not None
        model = self._writing.engine.model
        return model.algorithmic_latency_ms / 1000 + self._writing.overrides.get("endpoint_ms", 0.0) / 1000

    def _start(self, start_s: float) -> None:
        self._present.start_s, self._present.is_told = start_s, True
        self._say("input_audio_buffer.speech_started", audio_start_ms=round(1000 * start_s), item_id=self._present.id)

    def _think_better(self, end_s: float) -> None:
        """Ends an item whose only word was retracted."""
        if self._present.is_told:
            self._end(self._present, end_s, told=True)
            self._complete_until(None)

    def _end(self, item: _Item, end_s: float, told: bool) -> None:
        """Ends the current item, which waits for its words, and begins the next."""
        item.end_s = end_s
        if told:
            self._say("input_audio_buffer.speech_stopped", audio_end_ms=round(1000 * end_s), item_id=item.id)
        self._say("input_audio_buffer.committed", item_id=item.id, previous_item_id=self._previous)
        self._previous = item.id
        self._unwritten.append(item)
        self._present = _Item(start_s=end_s)

    def _complete_until(self, known_s: float | None) -> None:
        """Reports the whole text of items that end by then; of all ended ones if nothing more is to come."""
        while self._unwritten and (known_s is None or (self._unwritten[0].end_s or 0.0) <= known_s):
            item = self._unwritten.pop(0)
            self._say(
                "conversation.item.input_audio_transcription.completed",
                item_id=item.id,
                content_index=0,
                transcript=" ".join(item.words),
                usage={"type": "duration", "seconds": round((item.end_s or 0.0) - item.start_s, 3)},
            )


def _event(message: Any) -> dict[str, Any]:
    try:
        event = read_json(message) if isinstance(message, str) else None
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise Refused("invalid_json", "a message is no JSON object. Send events of the Realtime API.")
    return event


__all__ = ["Talk"]
