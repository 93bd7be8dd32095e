"""A client of a soak: hears conversations over one stream, while its connections are lost and worse."""

import asyncio
import json
import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from streamrnn.bench.conversations import same
from streamrnn.bench.wire import Received, Wire, binary_frame, open_wire

CHUNK_S = 0.1
ANSWER_S = 30.0
MOST_PROBLEMS = 20
# Per message of sound: about one fault in four seconds of each client.
FAULT_SHARE = 0.025
LONGEST_ABSENCE_S = 1.0
SHARE_RESET, SHARE_ABANDONED, SHARE_CLOSED = 0.15, 0.05, 0.3

# What a client may say wrongly in the middle of a stream, and the code of the answer. The stream goes on.
NONSENSE: dict[str, tuple[str | bytes, str]] = {
    "no JSON": ("{", "bad_message"),
    "no object": ("[1, 2]", "bad_message"),
    "no type": ('{"kind": "flush"}', "bad_message"),
    "an unknown type": ('{"type": "sing"}', "bad_message"),
    "hello again": ('{"type": "hello", "version": 1}', "bad_message"),
    "half a sample": (bytes(333), "bad_audio"),
}


@dataclass(frozen=True)
class Sounds:
    """What clients hear: messages of sound, s16le, and the events that a Listener finds in them."""

    sample_rate: int
    messages: list[list[bytes]]
    events: list[list[dict[str, Any]]]


@dataclass
class Faults:
    """What was done, and what went wrong."""

    counts: Counter[str]
    problems: list[str]

    def report(self, kind: str, problem: str) -> None:
        """Something went wrong: counted, and told if it is among the first."""
        self.counts[kind] += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(f"{kind}: {problem}")


class Caller:
    """A client that hears one conversation after another.

    Args:
        url, token: of the server's streams.
        sounds: what it hears.
        faults: where it tells what it did, and what went wrong.
        chance: decides.
    """

    def __init__(self, url: str, token: str | None, sounds: Sounds, faults: Faults, chance: random.Random):
        self._url, self._token, self._sounds, self._faults, self._chance = url, token, sounds, faults, chance
        self._wire: Wire | None = None
        self._session: dict[str, Any] | None = None
        self._seq = 0
        self._events: list[dict[str, Any]] = []

    async def call_until(self, deadline_s: float) -> None:
        """Hears conversations until the time (of time.monotonic) has come."""
        await asyncio.sleep(self._chance.uniform(0, 2))
        while time.monotonic() < deadline_s or self._wire is not None:
            try:
                if time.monotonic() < deadline_s:
                    await self._hear(self._chance.randrange(len(self._sounds.messages)))
                else:
                    await self._close()
            except (OSError, TimeoutError, _Ended) as error:
                self._faults.report("wrong answers", f"a stream broke off: {error!r}")
                self._forget()
                await asyncio.sleep(LONGEST_ABSENCE_S)

    async def _hear(self, number: int) -> None:
        """One conversation, from hello or reset to flushed or to where it is given up."""
        if self._wire is None:
            await self._open()
        messages, self._events = self._sounds.messages[number], []
        ends_at = self._chance.randrange(len(messages)) if self._chance.random() < SHARE_RESET else None
        began_s, taken = time.monotonic(), 0
        while taken < len(messages):
            if taken == ends_at:
                return await self._give_up(number)
            self._send(binary_frame(messages[taken]))
            taken += 1
            if self._chance.random() < FAULT_SHARE:
                taken = await self._fail(taken)
            await asyncio.sleep(max(0.0, began_s + CHUNK_S * taken - time.monotonic()))
        await self._finish(number)

    async def _finish(self, number: int) -> None:
        self._say("flush")
        if self._chance.random() < FAULT_SHARE * 10:
            # Lost between the last sound and the last events.
            self._count("connections dropped before flushed")
            for message in self._sounds.messages[number][await self._come_back() :]:
                self._send(binary_frame(message))
            self._say("flush")
        await self._until("flushed")
        self._compare(number, len(self._sounds.events[number]))
        if self._chance.random() < 0.2:
            self._send(binary_frame(self._sounds.messages[0][0]))
            await self._expect("sound after flush", "finished")
        await (self._close() if self._chance.random() < SHARE_CLOSED else self._reset())

    async def _give_up(self, number: int) -> None:
        if self._chance.random() < SHARE_ABANDONED / SHARE_RESET:
            self._count("streams abandoned")
            self._forget()
            return
        await self._reset()
        self._compare(number, None)

    def _compare(self, number: int, count: int | None) -> None:
        """The events must be a Listener's: all `count` of them, or the first ones."""
        expected = self._sounds.events[number]
        right = sum(same(event, other) for event, other in zip(self._events, expected, strict=False))
        if right != len(self._events) or (count is not None and right != count):
            pairs = zip(self._events, expected, strict=False)
            first = next((pair for pair in pairs if not same(*pair)), "none differs")
            came = f"conversation {number}: {len(self._events)} of {len(expected)} events came, {right} right"
            self._faults.report("wrong events", f"{came}; the first that differs, and what it should be: {first}")
        self._count("conversations compared")

    async def _fail(self, taken: int) -> int:
        """A fault, between two messages of sound. Returns how many of them the server has."""
        fault = self._chance.choice(["drop", "drop", "drop", "take over", "nonsense", "nonsense"])
        match fault:
            case "drop":
                self._count("connections dropped")
                return await self._come_back()
            case "take over":
                return await self._take_over()
        name = self._chance.choice(list(NONSENSE))
        message, code = NONSENSE[name]
        if isinstance(message, bytes):
            self._send(binary_frame(message))
        elif self._wire is not None:
            self._wire.send_text(message)
        await self._expect(name, code)
        return taken

    async def _come_back(self) -> int:
        if self._wire is not None:
            self._wire.abort()
        await asyncio.sleep(self._chance.uniform(0, LONGEST_ABSENCE_S))
        return await self._open()

    async def _take_over(self) -> int:
        """A second connection, while the first one still seems alive."""
        self._count("connections taken over")
        first, inbox = self._wire, self._inbox
        taken = await self._open()
        assert first is not None
        # What the first one still heard was said again to the second.
        codes = []
        while (message := await asyncio.wait_for(inbox.get(), ANSWER_S)) is not None:
            fields = json.loads(message)
            codes += [fields["code"]] if fields["type"] == "error" else []
        if codes != ["taken_over"] or first.close_code != 1008:
            self._faults.report("wrong answers", f"take-over: {codes}, closed with {first.close_code}")
        return taken

    async def _open(self) -> int:
        """A connection, and the stream on it. Returns how many messages of sound the server has."""
        inbox: asyncio.Queue[Received | None] = asyncio.Queue()
        self._wire = await open_wire(self._url, self._token, inbox.put_nowait, lambda: inbox.put_nowait(None))
        self._inbox = inbox
        resume = {} if self._session is None else {"resume": {**self._session, "seq": self._seq}}
        self._say("hello", version=1, sample_rate=self._sounds.sample_rate, **resume)
        ready = await self._until("ready")
        self._session = {name: ready[name] for name in ("session", "secret")}
        taken, rest = divmod(ready["received_samples"], round(CHUNK_S * self._sounds.sample_rate))
        if rest:
            raise _Ended(f"the server took {rest} samples of a message, and not the rest")
        return taken

    async def _reset(self) -> None:
        self._say("reset")
        await self._until("was_reset")

    async def _close(self) -> None:
        self._say("close")
        await self._until("closed")
        self._count("streams closed")
        if self._wire is not None:
            await asyncio.wait_for(self._wire.ended.wait(), ANSWER_S)
            if self._wire.close_code != 1000:
                self._faults.report("wrong answers", f"after closed, the code was {self._wire.close_code}")
        self._forget()

    def _forget(self) -> None:
        """Leaves the stream alone, and the connection without a word."""
        if self._wire is not None:
            self._wire.abort()
        self._wire, self._session, self._seq = None, None, 0

    async def _expect(self, name: str, code: str) -> None:
        answer = await self._until("error")
        self._count(f"answered: {name}")
        if answer["code"] != code:
            self._faults.report("wrong answers", f"{name}: {answer['code']} in place of {code}")

    async def _until(self, kind: str) -> dict[str, Any]:
        """Takes messages up to one of this type."""
        while True:
            message = await asyncio.wait_for(self._inbox.get(), ANSWER_S)
            if message is None:
                raise _Ended(f"closed with {self._wire.close_code if self._wire else None}, waiting for {kind}")
            fields = json.loads(message)
            self._take(fields)
            if fields["type"] == kind:
                return fields
            if fields["type"] == "error":
                raise _Ended(f"{fields['code']}, waiting for {kind}: {fields['message']}")

    def _take(self, fields: dict[str, Any]) -> None:
        if "seq" in fields and fields["type"] != "ready":
            if fields["seq"] != self._seq + 1:
                raise _Ended(f"message {fields['seq']} came after {self._seq}")
            self._seq = fields["seq"]
        if fields["type"] == "event":
            self._events.append({name: value for name, value in fields.items() if name not in ("type", "seq")})

    def _send(self, frame: bytes) -> None:
        if self._wire is not None:
            self._wire.send_frame(frame)

    def _say(self, kind: str, /, **fields: Any) -> None:
        if self._wire is not None:
            self._wire.say(kind, **fields)

    def _count(self, what: str) -> None:
        self._faults.counts[what] += 1


class _Ended(Exception):
    """The stream cannot go on."""


__all__ = ["CHUNK_S", "Caller", "Faults", "Sounds"]
