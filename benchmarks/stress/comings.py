"""Many who come, lose their connection, come back, and go: more of them than there are slots."""

import asyncio
import random

from benchmarks.stress.report import Part
from benchmarks.stress.servers import Served
from benchmarks.stress.talking import Talk, events_of, speech
from streamrnn.pretrained import load

SOUNDS, CALLERS = 12, 8


async def try_streams(server: Served, part: Part, streams: int, seed: int) -> None:
    """Streams on 8 slots; half of them lose a connection or two. What each heard is what a Listener tells."""
    model, rng = load("vad"), random.Random(seed)
    sounds = [speech(n) for n in range(SOUNDS)]
    expected = [events_of(model, sound) for sound in sounds]
    left = streams

    async def call() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            number = rng.randrange(SOUNDS)
            part.count("streams")
            try:
                events = await _heard(server, part, sounds[number], rng)
            except Exception as error:
                part.fail(f"{type(error).__name__}: {error}")
                continue
            if events is not None:
                part.require(events == expected[number], f"sound {number}: {events} for {expected[number]}")

    await asyncio.gather(*(call() for _ in range(CALLERS)))


async def _heard(server: Served, part: Part, sound, rng: random.Random) -> list[tuple[str, float]] | None:
    talk = Talk(server)
    while (answer := await talk.open())["type"] != "ready":
        # As many callers as slots: one may be on its way out still.
        if answer.get("code") != "busy":
            raise AssertionError(str(answer))
        talk.drop()
        await asyncio.sleep(0.05)
    sent = 0
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        stop = rng.randrange(sent, len(sound) + 1)
        await talk.send(sound, sent, stop)
        if rng.random() < 0.5:
            await asyncio.sleep(0.05 * rng.random())
        talk.drop()
        part.count("resumes")
        ready = await talk.go_on()
        if ready["type"] != "ready":
            raise AssertionError(f"{ready['code']}: {ready['message']}")
        sent = ready["received_samples"]
    if rng.random() < 0.1:
        # Gone without a word: its slot has to come back by itself.
        part.count("streams that were left behind")
        talk.drop()
        return None
    await talk.send(sound, sent, len(sound))
    await talk.say('{"type": "close"}')
    await talk.until("closed")
    await talk.ending()
    return talk.events


__all__ = ["try_streams"]
