"""A pool under many threads: streams that come, are fed in pieces, reset, moved and closed while it ticks."""

import random
import threading

import numpy as np

from benchmarks.stress.report import Part
from benchmarks.stress.talking import events_of, speech
from streamrnn import Pool, load
from streamrnn.runtime import QueueFull

THREADS, SOUNDS, CAPACITY = 7, 10, 16


def try_pool(part: Part, streams: int, seed: int) -> None:
    """Streams of `vad` under 7 threads; what each heard is what a Listener tells, whatever the others did."""
    model = load("vad")
    sounds = [speech(100 + n) for n in range(SOUNDS)]
    expected = [events_of(model, sound) for sound in sounds]
    pool, ended, lock = Pool(model, CAPACITY), threading.Event(), threading.Lock()
    heard: dict[object, list] = {}
    finished: dict[object, threading.Event] = {}
    left = streams

    def tick() -> None:
        while not ended.is_set():
            answers = pool.tick()
            for answer in answers:
                heard[answer.stream] += [(event.kind, round(event.start_s, 4)) for event in answer.events]
                if answer.error is not None:
                    part.fail(f"{answer.error!r}")
                if answer.finished:
                    finished[answer.stream].set()
            if not answers:
                ended.wait(0.001)

    def come(number: int) -> None:
        nonlocal left
        rng = random.Random(f"{seed} {number}")
        while True:
            with lock:
                left -= 1
                if left < 0:
                    return
                part.count("streams of a pool")
            which = rng.randrange(SOUNDS)
            try:
                events = _once(pool, sounds[which], rng, heard, finished)
            except Exception as error:
                part.fail(f"{type(error).__name__}: {error}")
                continue
            part.require(events in (None, expected[which]), f"sound {which}: {events} for {expected[which]}")

    ticking = threading.Thread(target=tick)
    ticking.start()
    threads = [threading.Thread(target=come, args=(number,)) for number in range(THREADS - 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended.set()
    ticking.join()
    part.require(pool.streams == [], f"{len(pool.streams)} streams are left")
    slots = [pool.open() for _ in range(pool.capacity)]
    part.require(len(slots) == CAPACITY, "slots are missing")


def _once(pool: Pool, sound: np.ndarray, rng: random.Random, heard: dict, finished: dict) -> list | None:
    stream = pool.open()
    heard[stream], finished[stream] = [], threading.Event()
    # A stream that was opened before it was noted could have been answered already; it was not fed yet.
    try:
        if rng.random() < 0.2:
            _feed(stream, sound[: rng.randrange(len(sound))], rng)
            if rng.random() < 0.3:
                return None
            stream.reset()
            heard[stream].clear()
        _feed(stream, sound, rng)
        stream.finish()
        if not finished[stream].wait(60):
            raise TimeoutError("it never finished")
        return heard[stream]
    finally:
        stream.close()


def _feed(stream, sound: np.ndarray, rng: random.Random) -> None:
    waiting, at = threading.Event(), 0
    while at < len(sound):
        chunk = sound[at : at + rng.choice((160, 777, 1600, 4000))].copy()
        try:
            stream.feed(chunk)
        except QueueFull:
            waiting.wait(0.002)
            continue
        at += len(chunk)
        # The caller's array is the caller's.
        chunk[:] = 32_767


__all__ = ["try_pool"]
