"""Barge-in: notice at once that somebody begins to speak, as a voice assistant must, to fall silent.

python examples/02_microphone.py [--utterances N] [--seconds S]

`speech_start` comes while the first word is still being said; without padding its `start_s` is where that word began.
Ctrl-C ends it.
"""

import argparse
import sys
from contextlib import suppress
from threading import Timer

import streamrnn
from streamrnn.audio import AudioError


def main(utterances: int | None, seconds: float | None) -> None:
    streamrnn.configure()
    try:
        hearing = streamrnn.listen(streamrnn.load("vad"), "mic", padding_ms=0)
    except (AudioError, ImportError) as error:
        sys.exit(f"No microphone to listen to: {error}")
    if seconds is not None:
        # While nobody speaks, no event comes and the loop below waits: closing the source ends it from outside.
        timer = Timer(seconds, hearing.source.close)
        timer.daemon = True
        timer.start()
    print("Listening. Say something.", flush=True)
    ended = 0
    for event in hearing:
        match event.kind:
            case "speech_start":
                noticed_ms = 1000 * (event.decided_s - event.start_s)
                print(f"{event.start_s:7.2f} s  you begin to speak; noticed after {noticed_ms:.0f} ms", flush=True)
            case "speech_end":
                print(f"{event.end_s:7.2f} s  you are done", flush=True)
                ended += 1
        if ended == utterances:
            break


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Says when you begin to speak.")
    parser.add_argument("--utterances", type=int, metavar="N", help="stop after so many")
    parser.add_argument("--seconds", type=float, metavar="S", help="stop after this time")
    return parser.parse_args()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(**vars(arguments()))
