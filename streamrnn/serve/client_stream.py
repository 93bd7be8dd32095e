"""A remote stream as its client knows it, without I/O: what to send next, what came, and what must be sent again."""

import base64
import dataclasses
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np

from streamrnn.audio import AudioError, Encoding, as_samples
from streamrnn.audio.encodings import ENCODINGS, sample_bytes
from streamrnn.decisions import Event
from streamrnn.decisions.events import OPTIONAL
from streamrnn.serve.client_answers import AnswerTimes, Levels, Ready, RemoteLatency
from streamrnn.serve.client_errors import ConnectionLost, Dropped, RemoteError, ServerRefused
from streamrnn.serve.client_outbox import Outbox
from streamrnn.serve.encodings import decoded, encoded
from streamrnn.serve.protocol import MOST_CHANNELS, STATE_MESSAGE_BYTES, Command, Hello, Resume, as_text

# Half a second of 16 kHz in float32: the server's other streams never wait for a long message.
MESSAGE_BYTES = 1 << 15
# What may be under way, and so what is held to be sent again: over eight minutes at 16 kHz and 16 bit. The server tells
# its progress once a second, and must not be able to work off all of it in between.
WINDOW_BYTES = 1 << 24

# Errors after which the same stream can go on over another connection.
PASSING = frozenset({"busy", "idle", "shutting_down", "slow_reader"})
# What a server that ends says of the end of the stream, unasked.
LAST_WORDS = frozenset({"event", "flushed"})
COMMAND_OF: dict[str, Command] = {"flushed": "flush", "was_reset": "reset", "closed": "close"}


class ClientStream:
    """One stream of a server, whatever carries its messages.

    A carrier calls `connected` for each connection, sends what `next_message` gives until that is None, and hands
    everything that comes to `receive`. After a loss it does the same over another connection.

    Args:
        hello: the first message, without resume.
        restart: begin a new stream where the old one is gone; times go on.
        clock: seconds, monotonic.

    Raises:
        ValueError: there is no such encoding or number of channels.
    """

    def __init__(self, hello: Hello, restart: bool = False, clock: Callable[[], float] = time.monotonic):
        if hello.encoding not in ENCODINGS or not 1 <= hello.channels <= MOST_CHANNELS:
            raise ValueError(
                f"got encoding={hello.encoding!r} and channels={hello.channels}; needed are {' or '.join(ENCODINGS)} "
                f"and 1 to {MOST_CHANNELS} channels."
            )
        self._said, self._may_restart, self._clock = hello, restart, clock
        self._encoding: Encoding = cast(Encoding, hello.encoding)
        self._frame_bytes = hello.channels * sample_bytes(self._encoding)
        self.ready: Ready | None = None
        self.restarts = self.advances = 0
        """How often a new stream had to begin; and a number that grows whenever the server took or gave something."""
        self.finished = self.closed = False
        self._session: tuple[str, str] | None = None
        self._seq = self._sounded_bytes = 0
        self._openings: deque[str | bytes] = deque()
        self._is_open = False
        # What a server that ends gives along, and what it says after that: the end of the stream, if it ends there.
        self._state, self._is_going = b"", False
        self._last_words: list[dict[str, Any] | bytes] = []
        self._failure: RemoteError | None = None
        self._command: Command | None = None
        self._command_sent = False
        self._begin()

    @property
    def duration_s(self) -> float:
        """Seconds of sound given to feed() since the last reset."""
        return self._outbox.end_samples / self._rate

    @property
    def waits(self) -> bool:
        """Whether a command has not been answered yet."""
        return self._command is not None

    @property
    def has_room(self) -> bool:
        """Whether so little is under way that more may be fed."""
        return self._outbox.held_bytes < WINDOW_BYTES

    @property
    def latency(self) -> RemoteLatency:
        """Algorithmic latency, and that of answers as measured here."""
        return RemoteLatency(self.ready.latency_ms if self.ready else np.nan, *self._answers.percentiles_ms())

    def connected(self) -> None:
        """A new connection begins: hello comes first, and again what was not taken."""
        self._is_open = self._is_going = False
        pieces = range(0, len(self._state), STATE_MESSAGE_BYTES)
        self._openings = deque([self._hello(), *(self._state[at : at + STATE_MESSAGE_BYTES] for at in pieces)])

    @property
    def is_open(self) -> bool:
        """Whether the server has answered hello on this connection."""
        return self._is_open

    def feed(self, chunk: Any) -> None:
        """Takes a chunk, to be sent.

        Raises:
            AudioError, TypeError: it is no sound; it is ignored as a whole.
            RuntimeError: the stream was finished or closed, or a command waits for its answer.
            RemoteError: the stream was lost or refused before.
        """
        self._require_open()
        if self.finished or self._command is not None:
            raise RuntimeError("The stream was finished. Call reset() to start a new one, or close() it.")
        data, step = self._encoded(chunk), MESSAGE_BYTES // self._frame_bytes * self._frame_bytes
        for start in range(0, len(data), step):
            self._outbox.append(data[start : start + step])

    def command(self, command: Command) -> None:
        """Asks for a flush, a reset or the end; `waits` until it is answered.

        Raises:
            RuntimeError: the stream was closed, or another command waits for its answer.
            RemoteError: the stream was lost or refused before.
        """
        self._require_open()
        if self._command not in (None, command) and command != "close":
            raise RuntimeError(f"{self._command} was asked for and is not answered yet; {command} has to wait for it.")
        self._command, self._command_sent = command, False
        if command == "reset":
            # What is held is of no use any more. So a reset that may have been lost can simply be sent again.
            self._outbox.drop()

    def next_message(self) -> str | bytes | None:
        """What is to be sent now; None: nothing, or the answer to hello has to come first, or the server ends."""
        if self._openings:
            return self._openings.popleft()
        if not self._is_open or self._is_going:
            return None
        message = self._outbox.take()
        if message is not None:
            self._answers.sent(self._outbox.sent_samples)
        elif self._command is not None and not self._command_sent:
            self._command_sent = True
            return as_text(self._command)
        return message

    def receive(self, message: str | bytes) -> None:
        """Takes a message from the server.

        Raises:
            ServerRefused: it refused something, or speaks another language.
            ConnectionLost: the stream is gone.
            Dropped: the connection is to be given up for a new one.
        """
        try:
            content = message if isinstance(message, bytes) else json.loads(message)
            if self._is_going and (isinstance(content, bytes) or content["type"] in LAST_WORDS):
                self._last_words.append(content)
            elif isinstance(content, bytes):
                self._is_next(self._seq + 1)
                self._sounded_bytes += len(content)
                self._take_sound(content)
            else:
                self._take(content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ServerRefused("bad_message", f"it sent {message[:60]!r}. Is it a streamrnn server?") from error

    @property
    def has_events(self) -> bool:
        """Whether events came since the last take_events()."""
        return bool(self._events)

    def take_events(self) -> list[Event]:
        """The events that came since the last call."""
        events, self._events = self._events, []
        return events

    def take_levels(self) -> list[Levels]:
        """The levels that came since the last call."""
        levels, self._levels = self._levels, []
        return levels

    def take_sound(self) -> np.ndarray:
        """The sound (or flat numbers) that came since the last call, float32[n]."""
        sound, self._sound = self._sound, []
        return np.concatenate(sound) if sound else np.zeros(0, np.float32)

    def unreachable(self, error: ConnectionError) -> Exception:
        """What a failure to connect means: the end, or that it is worth another try."""
        if self.ready is None:
            return error
        # Where there was a server: proxies that have lost it know neither it nor its path for a while.
        if isinstance(error, ServerRefused) and error.code != "not_found":
            return self._refused(error)
        return Dropped(str(error))

    def lost(self, reason: str) -> ConnectionLost:
        """Gives the stream up. Returns the error that says what is lost."""
        self.closed = True
        self._hear_last_words()
        heard_s = self._outbox.begin_samples / self._rate
        self._failure = ConnectionLost(reason, heard_s, self.duration_s, self._events)
        return self._failure

    @property
    def _rate(self) -> int:
        return self.ready.sample_rate if self.ready else self._said.sample_rate or 1

    def _begin(self) -> None:
        """A new stream at 0 s."""
        self._outbox = Outbox(self._frame_bytes)
        self._events: list[Event] = []
        self._levels: list[Levels] = []
        self._sound: list[np.ndarray] = []
        self._answers = AnswerTimes(self._clock)
        # Where the server's stream begins in this one: at 0, until there was a restart.
        self._origin_samples = self._sound_samples = 0
        self._decided_s = 0.0
        self._open_speech: dict[str, Event] = {}
        self.finished = False

    def _require_open(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self.closed:
            raise RuntimeError("The stream was closed. Connect again for a new one.")

    def _hello(self) -> str:
        if self._session is None:
            return self._said.as_text()
        return replace(
            self._said, resume=Resume(*self._session, self._seq, len(self._state), self._sounded_bytes)
        ).as_text()

    def _encoded(self, chunk: Any) -> bytes:
        # Checked here: what the server refused would shift the times of all that follows.
        encoding, channels = self._encoding, self._said.channels
        if isinstance(chunk, memoryview | bytes | bytearray):
            decoded(chunk := bytes(chunk), encoding, channels)
            return chunk
        if channels == 1:
            return encoded(as_samples(chunk), encoding)
        array = np.asarray(chunk)
        if array.ndim != 2 or array.shape[1] != channels:
            raise AudioError(
                f"a chunk has shape {list(array.shape)}; the stream was opened with {channels} channels. Pass "
                f"[n, {channels}], or connect with channels=1: all are mixed down then."
            )
        return encoded(as_samples(array.reshape(-1)), encoding)

    def _take(self, fields: dict[str, Any]) -> None:
        kind = fields["type"]
        is_numbered = "seq" in fields and kind != "ready" and not self._is_going
        if is_numbered and not self._is_next(fields["seq"]):
            return
        match kind:
            case "ready":
                self._take_ready(fields)
            case "event":
                self._take_event(fields)
            case "levels":
                start_s = round(fields["start_s"] + self._origin_samples / self._rate, 6)
                self._levels.append(Levels(start_s, fields["frame_s"], np.array(fields["values"], np.float32)))
            case "progress":
                self.advances += self._outbox.confirm(self._origin_samples + fields["received_samples"])
            case "going":
                self._take_going(fields)
            case "error":
                self._take_error(fields["code"], fields["message"], fields["fatal"])
            case "flushed" | "was_reset" | "closed" if COMMAND_OF[kind] == self._command:
                self._take_answer(COMMAND_OF[kind])

    def _is_next(self, seq: int) -> bool:
        """Whether a numbered message is the next one, and no repetition."""
        if seq > self._seq + 1:
            raise self.lost(f"its messages {self._seq + 1} to {seq - 1} never came")
        is_next = seq == self._seq + 1
        self._seq += is_next
        self.advances += is_next
        return is_next

    def _take_ready(self, fields: dict[str, Any]) -> None:
        known: dict[str, Any] = {
            field.name: fields[field.name] for field in dataclasses.fields(Ready) if field.name in fields
        }
        self.ready = replace(Ready(**known), labels=tuple(fields["labels"]), kinds=tuple(fields["kinds"]))
        self._session = fields["session"], fields["secret"]
        self._is_open, self._command_sent = True, False
        self._state, self._last_words = b"", []
        # While a reset is under way, the number may be the old stream's; nothing is held then.
        if self._command != "reset" and not self._outbox.rewind(self._origin_samples + fields["received_samples"]):
            raise self.lost("the server forgot sound that it had taken")

    def _take_going(self, fields: dict[str, Any]) -> None:
        """The server ends. It has worked off what it says it has, and gives the state that comes of it."""
        # Servers of before did not say how much they had said.
        if (said := fields.get("said", self._seq)) > self._seq:
            raise self.lost(f"its messages {self._seq + 1} to {said} never came")
        received, self._state = self._origin_samples + fields["received_samples"], base64.b64decode(fields["state"])
        self._is_going, self._last_words = True, []
        if self._command != "reset":
            self._outbox.confirm(received)
        # However often servers end: that is no reason to lose patience.
        self.advances += 1

    def _hear_last_words(self) -> None:
        """Takes what a server that ended said of the end of the sound that it had heard."""
        words, self._last_words = self._last_words, []
        for word in words:
            if isinstance(word, bytes):
                self._take_sound(word)
            elif word["type"] == "event":
                self._take_event(word)

    def _take_event(self, fields: dict[str, Any]) -> None:
        names = (field.name for field in dataclasses.fields(Event))
        event = self._shifted(Event(**{name: fields[name] for name in names if name in fields or name not in OPTIONAL}))
        if event.begins:
            self._open_speech[event.label] = event
        elif event.ends:
            self._open_speech.pop(event.label, None)
        self._decided_s = max(self._decided_s, event.decided_s)
        if self._command is None:
            self._answers.answered(event.decided_s * self._rate)
        self._events.append(event)

    def _shifted(self, event: Event) -> Event:
        """An event of the server's stream, in this stream's time."""
        return event.later(self._origin_samples / self._rate) if self._origin_samples else event

    def _take_sound(self, message: bytes) -> None:
        # Numbers are floats, whatever the encoding of sound.
        gives_numbers = self.ready is not None and self.ready.gives == "numbers"
        self._sound.append(decoded(message, "f32le" if gives_numbers else self._encoding, 1))
        self._sound_samples += len(self._sound[-1])

    def _take_answer(self, command: Command) -> None:
        self._command = None
        if command == "reset":
            self._begin()
            self._sounded_bytes = 0
        if command == "flush":
            # All of it was answered; where it was sent to again, it is not needed either.
            self._outbox.drop()
        self.finished, self.closed = command == "flush", command == "close"

    def _take_error(self, code: str, message: str, fatal: bool) -> None:
        if code == "resume_failed":
            self._begin_anew(message)
        if code in PASSING and self.ready is not None:
            # Whoever has nothing to say may lose any number of connections.
            self.advances += code == "idle"
            raise Dropped(f"{code}: {message}")
        refused = ServerRefused(code, message)
        raise self._refused(refused) if fatal else refused

    def _refused(self, error: ServerRefused) -> ServerRefused:
        self.closed, self._failure = True, error
        return error

    def _begin_anew(self, reason: str) -> None:
        """The stream is gone. Where that is no matter, the next connection asks for a new one."""
        # What was finished is answered, and what is to be forgotten may be.
        if not (self._command == "reset" or self.finished or self._may_restart):
            raise self.lost(reason)
        self._session, self._seq, self._sounded_bytes, self._state = None, 0, 0, b""
        if self.finished:
            self._origin_samples = self._outbox.begin_samples
        elif self._command != "reset":
            self._go_on()
        raise Dropped(reason)

    def _go_on(self) -> None:
        """The server's next stream begins with the first sound of which nothing is known to be heard."""
        self.restarts += 1
        self._hear_last_words()
        self._outbox.confirm(int(self._decided_s * self._rate))
        self._origin_samples = self._outbox.begin_samples
        if self.ready is not None:
            # What does not come back any more is silence, or no numbers, so that the rest stays in its place.
            self._sound.append(self.ready.missing(self._origin_samples, self._sound_samples))
            self._sound_samples += len(self._sound[-1])
        for start in self._open_speech.values():
            end_s = max(start.start_s, round(self._origin_samples / self._rate, 6))
            self._events.append(start.ended(end_s))
        self._open_speech = {}


__all__ = ["ClientStream"]
