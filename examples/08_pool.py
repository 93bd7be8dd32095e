"""Many calls in one process: a pool advances all streams that have sound in one step, and tells who said what when.

python examples/08_pool.py [CALLS]

The calls begin at different times and bring packets of different sizes at different rates, as callers do. Here one
loop does it all; in a server, connections feed their streams whenever a packet comes, and one task ticks.
"""

import sys
from pathlib import Path

import numpy as np

import streamrnn
from streamrnn.audio import read_audio

SAMPLES = Path(__file__).parents[1] / "audio_samples"
RECORDINGS = ("conversation.flac", "telephone_8k.wav", "stereo_44k.flac")
TICK_MS = 50

calls = int(sys.argv[1]) if len(sys.argv) > 1 else 6
pool = streamrnn.Pool(streamrnn.load("vad"), capacity=calls)
names, packets = {}, {}
for number in range(calls):
    sound, sample_rate = read_audio(SAMPLES / RECORDINGS[number % len(RECORDINGS)])
    stream = pool.open(sample_rate)
    names[stream] = f"call {number}"
    # What comes between two ticks; before, nothing comes for a while.
    cuts = range(sample_rate * TICK_MS // 1000, len(sound), sample_rate * TICK_MS // 1000)
    packets[stream] = iter([sound[:0]] * (5 * number) + np.split(sound, cuts))

while pool.streams:
    for stream in pool.streams:
        packet = next(packets[stream], None)
        if packet is not None:
            stream.feed(packet)
        else:
            stream.finish()
    for answer in pool.tick():
        for event in answer.events:
            print(f"{names[answer.stream]}  {event.decided_s:5.2f} s  {event.kind}")
        if answer.finished:
            answer.stream.close()

print(f"99 of 100 ticks took less than {pool.statistics.tick_p99_ms:.1f} ms.")
