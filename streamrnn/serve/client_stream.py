"""The client's side of a remote stream, without I/O: what to send next, what arrived, and what must be resent."""

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

# Half a second of 16 kHz in float32, so that a long message never holds up the server's other streams.
MESSAGE_BYTES = 1 << 15
# Limit of data in flight, and so of what is held for resending: over eight minutes at 16 kHz and 16 bit. The server
# reports progress once a second, and must not be able to process all of it in between.
WINDOW_BYTES = 1 << 24

# Errors after which the same stream can continue over another connection.
PASSING = frozenset({"busy", "idle", "shutting_down", "slow_reader"})
# What a server that shuts down sends about the end of the stream, unasked.
LAST_WORDS = frozenset({"event", "flushed"})
COMMAND_OF: dict[str, Command] = {"flushed": "flush", "was_reset": "reset", "closed": "close"}


class ClientStream:
    """One stream on a server, independent of the transport.

    The transport calls `connected` for each connection, sends what `next_message` returns until that is None, and
    passes everything it receives to `receive`. After a loss it does the same over another connection.

    Args:
        hello: the first message, without resume.
        restart: begin a new stream if the old one is gone; times continue.
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
        """How often a new stream was begun; and a counter that grows with every sign of progress."""
        self.finished = self.closed = False
        self._session: tuple[str, str] | None = None
        self._seq = self._sounded_bytes = 0
        self._openings: deque[str | bytes] = deque()
        self._is_open = False
        # The state handed over by a server that shuts down; what it sends afterwards ends the stream, if it ends there.
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
        """Whether a command is unanswered."""
        return self._command is not None

    @property
    def has_room(self) -> bool:
        """Whether little enough is in flight that more may be fed."""
        return self._outbox.held_bytes < WINDOW_BYTES

    @property
    def latency(self) -> RemoteLatency:
        """The algorithmic latency, and the response times measured here."""
        return RemoteLatency(self.ready.latency_ms if self.ready else np.nan, *self._answers.percentiles_ms())

    def connected(self) -> None:
        """Starts a new connection: hello comes first, then what was not acknowledged is resent."""
        self._is_open = self._is_going = False
        pieces = range(0, len(self._state), STATE_MESSAGE_BYTES)
        self._openings = deque([self._hello(), *(self._state[at : at + STATE_MESSAGE_BYTES] for at in pieces)])

    @property
    def is_open(self) -> bool:
        """Whether the server has answered hello on this connection."""
        return self._is_open

    def feed(self, chunk: Any) -> None:
        """Queues a chunk for sending.

        Raises:
            AudioError, TypeError: it is not sound; it is discarded as a whole.
            RuntimeError: the stream is finished or closed, or a command is unanswered.
            RemoteError: the stream was lost or refused before.
        """
        self._require_open()
        if self.finished or self._command is not None:
            raise RuntimeError("The stream was finished. Call reset() to start a new one, or close() it.")
        data, step = self._encoded(chunk), MESSAGE_BYTES // self._frame_bytes * self._frame_bytes
        for start in range(0, len(data), step):
            self._outbox.append(data[start : start + step])

    def command(self, command: Command) -> None:
        """Queues a flush, reset or close; `waits` until it is answered.

        Raises:
            RuntimeError: the stream is closed, or another command is unanswered.
            RemoteError: the stream was lost or refused before.
        """
        self._require_open()
        if self._command not in (None, command) and command != "close":
            raise RuntimeError(f"{self._command} is not answered yet; {command} has to wait for it.")
        self._command, self._command_sent = command, False
        if command == "reset":
            # What is held is no longer needed. So a reset that may have been lost can simply be resent.
            self._outbox.drop()

    def next_message(self) -> str | bytes | None:
        """The next message to send; None: there is none, or hello is unanswered, or the server is shutting down."""
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
        """Processes a message from the server.

        Raises:
            ServerRefused: it refused something, or does not speak this protocol.
            ConnectionLost: the stream is gone.
            Dropped: the connection must be replaced by a new one.
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
        """Whether events arrived since the last take_events()."""
        return bool(self._events)

    def take_events(self) -> list[Event]:
        """Returns the events that arrived since the last call."""
        events, self._events = self._events, []
        return events

    def take_levels(self) -> list[Levels]:
        """Returns the levels that arrived since the last call."""
        levels, self._levels = self._levels, []
        return levels

    def take_sound(self) -> np.ndarray:
        """Returns the sound (or flat numbers) that arrived since the last call, float32[n]."""
        sound, self._sound = self._sound, []
        return np.concatenate(sound) if sound else np.zeros(0, np.float32)

    def unreachable(self, error: ConnectionError) -> Exception:
        """Classifies a failure to connect: an error to raise, or one that is worth a retry."""
        if self.ready is None:
            return error
        # After a first connection, not_found may pass: proxies that have lost a server answer so for a while.
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
        # Where the server's stream begins within this one: at 0, until there was a restart.
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
        # Checked here: if the server refused it, the times of everything after it would shift.
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
                f"[n, {channels}], or connect with channels=1, which mixes them down."
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
        """Whether a numbered message is the next one, rather than a repetition."""
        if seq > self._seq + 1:
            raise self.lost(f"its messages {self._seq + 1} to {seq - 1} never arrived")
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
        # During a reset, the number may be the old stream's; nothing is held then.
        if self._command != "reset" and not self._outbox.rewind(self._origin_samples + fields["received_samples"]):
            raise self.lost("the server lost sound that it had acknowledged")

    def _take_going(self, fields: dict[str, Any]) -> None:
        """The server shuts down: it has processed what it reports, and hands over the resulting state."""
        # Older servers did not report the number of their last message.
        if (said := fields.get("said", self._seq)) > self._seq:
            raise self.lost(f"its messages {self._seq + 1} to {said} never arrived")
        received, self._state = self._origin_samples + fields["received_samples"], base64.b64decode(fields["state"])
        self._is_going, self._last_words = True, []
        if self._command != "reset":
            self._outbox.confirm(received)
        # Any number of clean shutdowns is progress, and does not use up the time for reconnecting.
        self.advances += 1

    def _hear_last_words(self) -> None:
        """Takes what a server that shut down sent about the end of the sound it had processed."""
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
        # Numbers are floats, whatever the encoding of the sound.
        gives_numbers = self.ready is not None and self.ready.gives == "numbers"
        self._sound.append(decoded(message, "f32le" if gives_numbers else self._encoding, 1))
        self._sound_samples += len(self._sound[-1])

    def _take_answer(self, command: Command) -> None:
        self._command = None
        if command == "reset":
            self._begin()
            self._sounded_bytes = 0
        if command == "flush":
            # Everything was answered; if a reconnect was to resend it, that is unnecessary too.
            self._outbox.drop()
        self.finished, self.closed = command == "flush", command == "close"

    def _take_error(self, code: str, message: str, fatal: bool) -> None:
        if code == "resume_failed":
            self._begin_anew(message)
        if code in PASSING and self.ready is not None:
            # A client with nothing to send may lose any number of connections.
            self.advances += code == "idle"
            raise Dropped(f"{code}: {message}")
        refused = ServerRefused(code, message)
        raise self._refused(refused) if fatal else refused

    def _refused(self, error: ServerRefused) -> ServerRefused:
        self.closed, self._failure = True, error
        return error

    def _begin_anew(self, reason: str) -> None:
        """The stream is gone. If that does no harm, the next connection asks for a new one."""
        # A finished stream is fully answered, and one being reset is to be discarded.
        if not (self._command == "reset" or self.finished or self._may_restart):
            raise self.lost(reason)
        self._session, self._seq, self._sounded_bytes, self._state = None, 0, 0, b""
        if self.finished:
            self._origin_samples = self._outbox.begin_samples
        elif self._command != "reset":
            self._go_on()
        raise Dropped(reason)

    def _go_on(self) -> None:
        """The server's next stream begins with the first sound that is not known to be processed."""
        self.restarts += 1
        self._hear_last_words()
        self._outbox.confirm(int(self._decided_s * self._rate))
        self._origin_samples = self._outbox.begin_samples
        if self.ready is not None:
            # Output that is lost becomes silence, or NaN, so that the rest keeps its position.
            self._sound.append(self.ready.missing(self._origin_samples, self._sound_samples))
            self._sound_samples += len(self._sound[-1])
        for start in self._open_speech.values():
            end_s = max(start.start_s, round(self._origin_samples / self._rate, 6))
            self._events.append(start.ended(end_s))
        self._open_speech = {}


__all__ = ["ClientStream"]
