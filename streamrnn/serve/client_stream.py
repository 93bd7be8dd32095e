"""A remote stream as its client knows it, without I/O: what to send next, what came, and what must be sent again."""

import dataclasses
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from streamrnn.audio import AudioError, as_samples
from streamrnn.decisions import Event
from streamrnn.serve.client_errors import ConnectionLost, Dropped, ServerRefused
from streamrnn.serve.client_outbox import Outbox
from streamrnn.serve.encodings import DTYPES, decoded, encoded
from streamrnn.serve.protocol import MOST_CHANNELS, Command, Hello, Resume, as_text

# Half a second of 16 kHz in float32: the server's other streams never wait for a long message.
MESSAGE_BYTES = 1 << 15
# What may be under way, and so what is held to be sent again: over eight minutes at 16 kHz and 16 bit. The server tells
# its progress once a second, and must not be able to work off all of it in between.
WINDOW_BYTES = 1 << 24
ANSWERS_MEASURED = 1000

# Errors after which the same stream can go on over another connection.
PASSING = frozenset({"busy", "idle", "shutting_down", "slow_reader"})
COMMAND_OF: dict[str, Command] = {"flushed": "flush", "was_reset": "reset", "closed": "close"}


@dataclass(frozen=True)
class Ready:
    """What the server said of the stream.

    Attributes:
        model: its name.
        sample_rate: of the stream, Hz.
        gives: "events" or "sound".
        labels: what events can be labelled with, if that is a fixed list; else empty.
        frame_s: seconds per value of the model's levels.
        latency_ms: algorithmic latency, resampling included.
        settings: all decision settings in force.
        resume_s: for so long the stream waits for its client to come back.
    """

    model: str
    sample_rate: int
    gives: str
    labels: tuple[str, ...]
    frame_s: float
    latency_ms: float
    settings: dict[str, Any]
    resume_s: float


class Levels(NamedTuple):
    """How much is heard of what the model listens for: values in [0, 1], float32[n], one per frame_s from start_s."""

    start_s: float
    frame_s: float
    values: np.ndarray


class RemoteLatency(NamedTuple):
    """What the answers of a server wait for.

    Attributes:
        algorithmic_ms: what no faster machine can remove, resampling included.
        answer_p50_ms, answer_p99_ms: from sending the sound that decides an event to receiving the event, of the last
            events (nan before the first). Meaningful where sound is sent as it is spoken.
    """

    algorithmic_ms: float
    answer_p50_ms: float
    answer_p99_ms: float


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
        if hello.encoding not in DTYPES or not 1 <= hello.channels <= MOST_CHANNELS:
            raise ValueError(
                f"got encoding={hello.encoding!r} and channels={hello.channels}; needed are {' or '.join(DTYPES)} and "
                f"1 to {MOST_CHANNELS} channels."
            )
        self._said, self._may_restart, self._clock = hello, restart, clock
        self._frame_bytes = hello.channels * DTYPES[hello.encoding].itemsize
        self.ready: Ready | None = None
        self.restarts = self.advances = 0
        """How often a new stream had to begin; and a number that grows whenever the server took or gave something."""
        self.finished = self.closed = False
        self._session: tuple[str, str] | None = None
        self._seq = 0
        self._greeted = self._is_open = False
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
        p50, p99 = np.percentile(1000 * np.array(self._answers_s or [np.nan]), [50, 99])
        return RemoteLatency(self.ready.latency_ms if self.ready else np.nan, float(p50), float(p99))

    def connected(self) -> None:
        """A new connection begins: hello comes first, and again what was not taken."""
        self._greeted = self._is_open = False

    @property
    def is_open(self) -> bool:
        """Whether the server has answered hello on this connection."""
        return self._is_open

    def feed(self, chunk: Any) -> None:
        """Takes a chunk, to be sent.

        Raises:
            AudioError, TypeError: it is no sound; it is ignored as a whole.
            RuntimeError: the stream was finished or closed, or a command waits for its answer.
        """
        if self.closed:
            raise RuntimeError("The stream was closed. Connect again for a new one.")
        if self.finished or self._command is not None:
            raise RuntimeError("The stream was finished. Call reset() to start a new one, or close() it.")
        data, step = self._encoded(chunk), MESSAGE_BYTES // self._frame_bytes * self._frame_bytes
        for start in range(0, len(data), step):
            self._outbox.append(data[start : start + step])

    def command(self, command: Command) -> None:
        """Asks for a flush, a reset or the end; `waits` until it is answered.

        Raises:
            RuntimeError: the stream was closed, or another command waits for its answer.
        """
        if self.closed:
            raise RuntimeError("The stream was closed. Connect again for a new one.")
        if self._command not in (None, command) and command != "close":
            raise RuntimeError(f"{self._command} was asked for and is not answered yet; {command} has to wait for it.")
        self._command, self._command_sent = command, False
        if command == "reset":
            # What is held is of no use any more. So a reset that may have been lost can simply be sent again.
            self._outbox.drop()

    def next_message(self) -> str | bytes | None:
        """What is to be sent now; None: nothing, or the answer to hello has to come first."""
        if not self._greeted:
            self._greeted = True
            return self._hello()
        if not self._is_open:
            return None
        message = self._outbox.take()
        if message is not None:
            self._sent_at.append((self._outbox.sent_samples, self._clock()))
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
            if isinstance(message, bytes):
                self._take_sound(message)
            else:
                self._take(json.loads(message))
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
        """The sound that came since the last call, float32[n]."""
        sound, self._sound = self._sound, []
        return np.concatenate(sound) if sound else np.zeros(0, np.float32)

    def unreachable(self, error: ConnectionError) -> Exception:
        """What a failure to connect means: the end, or that it is worth another try."""
        return error if self.ready is None or isinstance(error, ServerRefused) else Dropped(str(error))

    def lost(self, reason: str) -> ConnectionLost:
        """Gives the stream up. Returns the error that says what is lost."""
        self.closed = True
        return ConnectionLost(reason, self._outbox.begin_samples / self._rate, self.duration_s)

    @property
    def _rate(self) -> int:
        return self.ready.sample_rate if self.ready else self._said.sample_rate or 1

    def _begin(self) -> None:
        """A new stream at 0 s."""
        self._outbox = Outbox(self._frame_bytes)
        self._events: list[Event] = []
        self._levels: list[Levels] = []
        self._sound: list[np.ndarray] = []
        self._answers_s: deque[float] = deque(maxlen=ANSWERS_MEASURED)
        self._sent_at: deque[tuple[int, float]] = deque(maxlen=ANSWERS_MEASURED)
        # Where the server's stream begins in this one: at 0, until there was a restart.
        self._origin_samples = self._sound_samples = 0
        self._decided_s = 0.0
        self._open_speech: dict[str, Event] = {}
        self.finished = False

    def _hello(self) -> str:
        if self._session is None:
            return self._said.as_text()
        return replace(self._said, resume=Resume(*self._session, self._seq)).as_text()

    def _encoded(self, chunk: Any) -> bytes:
        # Checked here: what the server refused would shift the times of all that follows.
        encoding, channels = self._said.encoding, self._said.channels
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
        if "seq" in fields and kind != "ready" and not self._is_next(fields["seq"]):
            return
        match kind:
            case "ready":
                self._take_ready(fields)
            case "event":
                self._take_event(fields)
            case "levels":
                start_s = fields["start_s"] + self._origin_samples / self._rate
                self._levels.append(Levels(start_s, fields["frame_s"], np.array(fields["values"], np.float32)))
            case "progress":
                self.advances += self._outbox.confirm(self._origin_samples + fields["received_samples"])
            case "error":
                self._take_error(fields["code"], fields["message"], fields["fatal"])
            # A server that shuts down flushes and closes unasked: that ends a connection, and not the stream.
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
        known: dict[str, Any] = {field.name: fields[field.name] for field in dataclasses.fields(Ready)}
        self.ready = replace(Ready(**known), labels=tuple(fields["labels"]))
        self._session = fields["session"], fields["secret"]
        self._is_open, self._command_sent = True, False
        # While a reset is under way, the number may be the old stream's; nothing is held then.
        if self._command != "reset" and not self._outbox.rewind(self._origin_samples + fields["received_samples"]):
            raise self.lost("the server forgot sound that it had taken")

    def _take_event(self, fields: dict[str, Any]) -> None:
        names = (field.name for field in dataclasses.fields(Event))
        event = self._shifted(Event(**{name: fields[name] for name in names}))
        if event.kind == "speech_start":
            self._open_speech[event.label] = event
        elif event.kind == "speech_end":
            self._open_speech.pop(event.label, None)
        self._decided_s = max(self._decided_s, event.decided_s)
        if self._command is None:
            self._measure(event.decided_s * self._rate)
        self._events.append(event)

    def _shifted(self, event: Event) -> Event:
        """An event of the server's stream, in this stream's time."""
        if not self._origin_samples:
            return event
        shift_s = self._origin_samples / self._rate
        end_s = None if event.end_s is None else event.end_s + shift_s
        return replace(event, start_s=event.start_s + shift_s, end_s=end_s, decided_s=event.decided_s + shift_s)

    def _measure(self, decided_samples: float) -> None:
        # Half a sample, because seconds are rounded.
        sent_at = next((at for sent_samples, at in self._sent_at if sent_samples >= decided_samples - 0.5), None)
        if sent_at is not None:
            self._answers_s.append(self._clock() - sent_at)

    def _take_sound(self, message: bytes) -> None:
        self._is_next(self._seq + 1)
        self._sound.append(decoded(message, self._said.encoding, 1))
        self._sound_samples += len(self._sound[-1])

    def _take_answer(self, command: Command) -> None:
        self._command = None
        if command == "reset":
            self._begin()
        self.finished, self.closed = command == "flush", command == "close"

    def _take_error(self, code: str, message: str, fatal: bool) -> None:
        if code == "resume_failed":
            self._begin_anew(message)
        if code in PASSING and self.ready is not None:
            # Whoever has nothing to say may lose any number of connections.
            self.advances += code == "idle"
            raise Dropped(f"{code}: {message}")
        self.closed = self.closed or fatal
        raise ServerRefused(code, message)

    def _begin_anew(self, reason: str) -> None:
        """The stream is gone. Where that is no matter, the next connection asks for a new one."""
        if self._command == "reset":
            self._session, self._seq = None, 0
        elif self._may_restart and not self.finished:
            self._session, self._seq = None, 0
            self._go_on()
        else:
            raise self.lost(reason)
        raise Dropped(reason)

    def _go_on(self) -> None:
        """The server's next stream begins with the first sound of which nothing is known to be heard."""
        self.restarts += 1
        self._outbox.confirm(int(self._decided_s * self._rate))
        self._origin_samples = self._outbox.begin_samples
        if self.ready is not None and self.ready.gives == "sound":
            # What does not come back any more is silence, so that the rest stays in its place.
            missing = max(0, self._origin_samples - self._sound_samples)
            self._sound.append(np.zeros(missing, np.float32))
            self._sound_samples += missing
        for start in self._open_speech.values():
            end_s = max(start.start_s, self._origin_samples / self._rate)
            self._events.append(replace(start, kind="speech_end", end_s=end_s, decided_s=max(start.decided_s, end_s)))
        self._open_speech = {}


__all__ = ["ClientStream", "Levels", "Ready", "RemoteLatency"]
