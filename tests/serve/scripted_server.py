"""A server that says an event for every so many samples, and loses whatever a test wants lost."""

import base64
import json
from typing import Any

import numpy as np

from streamrnn.serve.client_stream import ClientStream
from streamrnn.serve.protocol import Hello

RATE = 8000
# How the state of a stream begins here; its last byte tells which one it is.
STATE = b"state" * 4000
EVENT_SAMPLES = 400


class Server:
    """Says an event for every 400 samples, and takes lost clients back."""

    def __init__(self, gives: str = "events"):
        self.gives, self.heard, self.said, self.is_gone = gives, b"", [], False
        self.states: list[tuple[bytes, list[str | bytes]]] = []
        self.state, self.awaited_bytes = b"", 0

    def answer(self, message: str | bytes) -> list[str | bytes]:
        before = len(self.said)
        if isinstance(message, bytes) and self.awaited_bytes:
            self.state += message
            return self.take_state() if len(self.state) == self.awaited_bytes else []
        if isinstance(message, bytes):
            self.hear(message)
            return [*self.said[before:], told("progress", received_samples=self.received, processed_s=0.0)]
        fields = json.loads(message)
        match fields["type"]:
            case "hello":
                return self.greet(fields)
            case "flush":
                self.say("flushed", duration_s=self.received / RATE)
            case "reset":
                self.heard = b""
                self.say("was_reset")
            case "close":
                self.say("closed")
        return self.said[before:]

    @property
    def received(self) -> int:
        return len(self.heard) // 2

    def greet(self, hello: dict[str, Any]) -> list[str | bytes]:
        resume = hello.get("resume")
        self.state, self.awaited_bytes = b"", (resume or {}).get("state_bytes", 0)
        if self.awaited_bytes:
            assert resume["seq"] == len(self.states[-1][1])
            return []
        if resume is None:
            self.heard, self.said, self.is_gone = b"", [], False
        elif self.is_gone or resume["secret"] != "known only here":
            return [told("error", code="resume_failed", message="it is not here", fatal=True)]
        return [self.ready(), *self.said[resume["seq"] if resume else 0 :]]

    def take_state(self) -> list[str | bytes]:
        assert self.state.startswith(STATE)
        (self.heard, said), self.awaited_bytes = self.states[self.state[-1]], 0
        self.said = list(said)
        return [self.ready()]

    def end(self, last_events: int = 0) -> list[str | bytes]:
        """What a server says that ends; the next one knows nothing but the state."""
        state = STATE + bytes([len(self.states)])
        self.states.append((self.heard, list(self.said)))
        text = base64.b64encode(state).decode()
        words: list[str | bytes] = [told("going", received_samples=self.received, said=len(self.said), state=text)]
        before, end_s = len(self.said), self.received / RATE
        for _ in range(last_events):
            self.say("event", kind="speech_end", label="speech", start_s=0.0, end_s=end_s, score=0.5, decided_s=end_s)
        self.say("flushed", duration_s=end_s)
        words += self.said[before:]
        self.is_gone, self.heard, self.said = True, b"", []
        return words

    def ready(self) -> str:
        return told(
            "ready",
            version=1,
            session="one",
            secret="known only here",
            model="vad",
            sample_rate=RATE,
            encoding="s16le",
            gives=self.gives,
            kinds=["speech_start", "speech_end"],
            labels=["speech"],
            out_features=1,
            frame_s=0.01,
            latency_ms=40.0,
            settings={"threshold": 0.5},
            received_samples=self.received,
            seq=len(self.said),
            resume_s=30.0,
        )

    def hear(self, sound: bytes) -> None:
        before, self.heard = self.received, self.heard + sound
        if self.gives == "sound":
            self.said.append(sound)
        for number in range(before // EVENT_SAMPLES, self.received // EVENT_SAMPLES):
            kind, time_s = ("speech_start", "speech_end")[number % 2], (number + 1) * EVENT_SAMPLES / RATE
            end_s = time_s if number % 2 else None
            self.say("event", kind=kind, label="speech", start_s=0.0, end_s=end_s, score=0.5, decided_s=time_s)

    def say(self, message_type: str, /, **fields: Any) -> None:
        self.said.append(told(message_type, seq=len(self.said) + 1, **fields))


def told(message_type: str, /, **fields: Any) -> str:
    return json.dumps({"type": message_type, **fields})


def connected(server: Server, restart: bool = False, **hello: Any) -> ClientStream:
    stream = ClientStream(Hello("vad", RATE, **hello), restart)
    stream.connected()
    exchange(stream, server)
    return stream


def exchange(stream: ClientStream, server: Server) -> None:
    """All that there is to say, both ways."""
    while (message := stream.next_message()) is not None:
        for answer in server.answer(message):
            stream.receive(answer)


def pcm(samples: int) -> bytes:
    return np.random.default_rng(samples).integers(-9000, 9000, samples).astype("<i2").tobytes()
