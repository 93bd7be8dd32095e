"""The client's side of `streamrnn bench serve`, in a process of its own: many streams in real time, and idle ones.

python -m streamrnn.bench.serve_load reads a Load as JSON from standard input, and writes what it measured as JSON.
"""

import asyncio
import json
import math
import sys
import time
from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass, field
from typing import Any

from streamrnn.bench.server_process import Cost
from streamrnn.bench.wire import Received, Wire, binary_frame, open_wire

CHUNK_MS = 100
# Number of connections opened at the same time.
OPENING = 32
READY_S = 60.0
FLUSHED_S = 60.0
SAMPLED_S = 0.25
# Seconds are rounded to microseconds.
ROUNDING = 1e-4


@dataclass(frozen=True)
class Load:
    """The load to put on a server.

    Attributes:
        url: of its streams.
        hello: fields of the first message.
        sounds: s16le sound, base64; stream i sends sounds[i modulo their number].
        chunk_bytes: bytes of a message.
        streams: that send a message every 100 ms, spread evenly.
        idle: that say hello and then nothing, until the end.
        server_pid: of the server, to measure what it costs; None where it is elsewhere.
        token: of the server, if it wants one.
    """

    url: str
    hello: dict[str, Any]
    sounds: list[str]
    chunk_bytes: int
    streams: int
    idle: int = 0
    server_pid: int | None = None
    token: str | None = field(default=None, repr=False)

    def frames(self) -> list[list[bytes]]:
        """The messages of each sound, ready for the wire."""
        sounds, step = [b64decode(sound) for sound in self.sounds], self.chunk_bytes
        return [[binary_frame(sound[i : i + step]) for i in range(0, len(sound), step)] for sound in sounds]


def encoded(pcm: bytes) -> str:
    """Encodes sound for a Load."""
    return b64encode(pcm).decode()


class LoadStream:
    """One connection: what it sent and when, and what it received."""

    def __init__(self, frames: list[bytes]):
        self.frames, self.sent_at = frames, [0.0] * len(frames)
        self.events: list[dict[str, Any]] = []
        self.latencies_ms: list[float] = []
        self.errors: list[str] = []
        self.latency_ms = math.nan
        self.ready, self.flushed = asyncio.Event(), asyncio.Event()
        self._flushing = False

    async def open(self, load: Load) -> None:
        """Sends hello, and waits for the answer."""
        self.wire: Wire = await open_wire(load.url, load.token, self._take, self._end)
        self.wire.say("hello", version=1, **load.hello)
        await asyncio.wait_for(self.ready.wait(), READY_S)

    def send(self, number: int) -> None:
        """Sends a message of sound."""
        self.sent_at[number] = time.perf_counter()
        self.wire.send_frame(self.frames[number])

    async def finish(self) -> None:
        """Waits for the last events, and closes."""
        self._flushing = True
        self.wire.say("flush")
        try:
            await asyncio.wait_for(self.flushed.wait(), FLUSHED_S)
        except TimeoutError:
            self.errors.append("no answer to flush")
        self.wire.say("close")

    def _take(self, message: Received) -> None:
        now_s, fields = time.perf_counter(), json.loads(message)
        match fields["type"]:
            case "event":
                self._take_event(fields, now_s)
            case "ready":
                self.latency_ms = fields["latency_ms"]
                self.ready.set()
            case "flushed":
                self.flushed.set()
            case "error":
                self.errors.append(fields["code"])

    def _take_event(self, fields: dict[str, Any], now_s: float) -> None:
        del fields["type"], fields["seq"]
        self.events.append(fields)
        # Events decided by the end of the stream do not depend on sound.
        if not self._flushing:
            decisive = math.ceil(1000 * fields["decided_s"] / CHUNK_MS - ROUNDING) - 1
            self.latencies_ms.append(1000 * (now_s - self.sent_at[decisive]))

    def _end(self) -> None:
        if not self.flushed.is_set():
            self.errors.append(f"closed with {self.wire.close_code}")
        self.ready.set()
        self.flushed.set()


async def bear(load: Load) -> dict[str, Any]:
    """Puts the load on the server. Returns the results, ready for JSON."""
    frames, server = load.frames(), Cost(load.server_pid)
    start_mb, peak = server.resident_mb, _Peak(server)
    watching = asyncio.create_task(peak.watch())
    streams = [LoadStream(frames[i % len(frames)]) for i in range(load.streams)]
    idle = [LoadStream(frames[i % len(frames)][:1]) for i in range(load.idle)]
    await _open_all([*streams, *idle], load)
    cpu_s, own_s, began_s = server.cpu_s, time.process_time(), time.perf_counter()
    late_ms = await _pace(streams)
    took_s = time.perf_counter() - began_s
    used = None if cpu_s is None else (server.cpu_s - cpu_s) / took_s  # pyright: ignore[reportOptionalOperand]
    own = (time.process_time() - own_s) / took_s
    await asyncio.gather(*(stream.finish() for stream in streams))
    # Connections that were idle all the time must work at once.
    held = await _held(idle)
    await asyncio.gather(*(asyncio.wait_for(stream.wire.ended.wait(), READY_S) for stream in [*streams, *idle]))
    watching.cancel()
    return {
        "streams": [_told(stream) for stream in streams],
        "idle_held": held,
        "late_ms": late_ms,
        "server_cores": used,
        "generator_cores": own,
        "start_mb": start_mb,
        "peak_mb": peak.mb,
        "end_mb": server.resident_mb,
        "took_s": took_s,
    }


class _Peak:
    """The peak memory of a process while it was watched."""

    def __init__(self, server: Cost):
        self._server, self.mb = server, server.resident_mb

    async def watch(self) -> None:
        while self.mb is not None:
            self.mb = max(self.mb, self._server.resident_mb or 0.0)
            await asyncio.sleep(SAMPLED_S)


async def _open_all(streams: list[LoadStream], load: Load) -> None:
    gate = asyncio.Semaphore(OPENING)

    async def open_one(stream: LoadStream) -> None:
        async with gate:
            await stream.open(load)

    await asyncio.gather(*map(open_one, streams))


async def _pace(streams: list[LoadStream]) -> list[float]:
    """Sends every message when it is due. Returns by how many milliseconds messages were late."""
    began_s, late_ms = time.perf_counter(), []
    for number in range(len(streams[0].frames) if streams else 0):
        for place, stream in enumerate(streams):
            due_s = began_s + CHUNK_MS / 1000 * (number + place / len(streams))
            now_s = time.perf_counter()
            if due_s > now_s:
                await asyncio.sleep(due_s - now_s)
                now_s = time.perf_counter()
            late_ms.append(1000 * (now_s - due_s))
            stream.send(number)
        # Even if sending is late, so that answers are received.
        await asyncio.sleep(0)
    return late_ms


async def _held(idle: list[LoadStream]) -> int:
    for stream in idle:
        stream.send(0)
    await asyncio.gather(*(stream.finish() for stream in idle))
    return sum(not stream.errors for stream in idle)


def _told(stream: LoadStream) -> dict[str, Any]:
    names = ("events", "latencies_ms", "errors", "latency_ms")
    return {name: getattr(stream, name) for name in names}


def _allow_files(needed: int) -> None:
    """Raises the limit of open files, as far as it goes: often it is 1024."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), hard))


def main() -> None:
    """Reads a Load, applies it, and writes the results."""
    load = Load(**json.load(sys.stdin))
    _allow_files(load.streams + load.idle + 100)
    json.dump(asyncio.run(bear(load)), sys.stdout)


def as_json(load: Load) -> str:
    """What main() reads."""
    return json.dumps(asdict(load))


if __name__ == "__main__":
    main()

__all__ = ["CHUNK_MS", "Load", "LoadStream", "as_json", "bear", "encoded"]
