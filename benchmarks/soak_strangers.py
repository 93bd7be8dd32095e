"""Those who come to a server in a soak and are to be refused: hellos of every wrong kind."""

import asyncio
import json
import math
import struct
from dataclasses import dataclass

from benchmarks.soak_callers import Faults
from streamrnn.bench.wire import Received, Wire, binary_frame, open_wire

ANSWER_S = 30.0
GOOD = '{"type": "hello", "version": 1}'


@dataclass(frozen=True)
class Stranger:
    """One who is to be refused.

    Attributes:
        name: what is wrong.
        says: the messages.
        code: of the error; None where there is none.
        close_code: with which the connection ends.
    """

    name: str
    says: tuple[str | bytes, ...]
    code: str | None
    close_code: int


def _hello(**fields: object) -> str:
    return json.dumps({"type": "hello", "version": 1, **fields})


_NANS = struct.pack("<f", math.nan) * 800
_RESUME = {"session": "nobody's", "secret": "guessed", "seq": 0}
STRANGERS = (
    Stranger("no JSON", ("hello?",), "bad_message", 1002),
    Stranger("sound before hello", (bytes(320),), "bad_message", 1002),
    Stranger("flush before hello", ('{"type": "flush"}',), "bad_message", 1002),
    Stranger("a version of the future", (_hello(version=9),), "unsupported_version", 1008),
    Stranger("an unknown model", (_hello(model="nobody"),), "unknown_model", 1008),
    Stranger("an impossible rate", (_hello(sample_rate=1),), "bad_hello", 1008),
    Stranger("an unknown encoding", (_hello(encoding="mp3"),), "bad_hello", 1008),
    Stranger("too many channels", (_hello(channels=9),), "bad_hello", 1008),
    Stranger("an unknown setting", (_hello(settings={"mood": 1}),), "bad_hello", 1008),
    Stranger("somebody else's stream", (_hello(resume=_RESUME),), "resume_failed", 1008),
    Stranger("a message that is too long", (GOOD, bytes(2 << 20)), None, 1009),
    Stranger("nothing but broken sound", (GOOD, *[bytes(333)] * 30), "bad_audio", 1007),
    Stranger("nothing but NaN", (_hello(encoding="f32le"), *[_NANS] * 30), "bad_audio", 1007),
    Stranger("a flood", (GOOD, *['{"type": "sing"}'] * 400), "too_many_messages", 1008),
    Stranger("silence", (), "hello_timeout", 1008),
)


async def visit(url: str, token: str | None, stranger: Stranger, faults: Faults) -> None:
    """Comes, says it, and looks how it is answered."""
    codes: list[str] = []

    def take(message: Received) -> None:
        fields = json.loads(message)
        if fields["type"] == "error" and fields["fatal"]:
            codes.append(fields["code"])

    try:
        wire = await open_wire(url, token, take)
        _say(wire, stranger)
        await asyncio.wait_for(wire.ended.wait(), ANSWER_S)
    except (OSError, TimeoutError) as error:
        faults.report("wrong answers", f"{stranger.name}: {error!r}")
        return
    faults.counts[f"refused: {stranger.name}"] += 1
    if not codes and stranger.code is not None and wire.close_reason == stranger.code:
        # Frames that come faster than they are read end the connection before any is answered; the reason stays.
        codes.append(stranger.code)
    expected = [] if stranger.code is None else [stranger.code]
    if (codes, wire.close_code) != (expected, stranger.close_code):
        faults.report("wrong answers", f"{stranger.name}: {codes}, closed with {wire.close_code}")


def _say(wire: Wire, stranger: Stranger) -> None:
    for message in stranger.says:
        if isinstance(message, bytes):
            wire.send_frame(binary_frame(message))
        else:
            wire.send_text(message)


__all__ = ["STRANGERS", "Stranger", "visit"]
