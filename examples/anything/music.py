"""A chorale that goes on: how surprising each chord is, and how a model plays on after them.

python examples/anything/music.py [OUT.wav]
"""

import sys

import numpy as np

import streamrnn
from streamrnn.audio import write_audio
from streamrnn.lines import REST, MusicLines, sound_of

# Bass, tenor, alto, soprano, a frame per quarter note: a cadence in C, and a chord that has no place in it.
CHORDS = ["C3 G3 E4 C5", "F3 A3 F4 C5", "G3 B3 D4 G4", "C3 G3 E4 C5", "F#3 A#3 C#4 F#4", "C3 G3 E4 C5"]
FRAMES, RATE = 32, 16_000

model = streamrnn.load("music")
lines, stream = MusicLines(model), streamrnn.Stream(model)
for chord in CHORDS:
    answer = lines.answer(stream, chord)
    if answer is not None:
        print(lines.said(answer))

given = [lines.frames(chord)[0] for chord in CHORDS[:4]]
played = list(streamrnn.generate(model, given, FRAMES, temperature=0.8, seed=1))
print("plays on:", ", ".join(" ".join(lines.names(frame)) or REST for frame in played[:8]), "...")
if len(sys.argv) > 1:
    s = model.settings
    write_audio(sys.argv[1], sound_of(np.array([*given, *played]), s.lowest_midi, s.frames_per_s, RATE), RATE)
    print(f"{sys.argv[1]}: {(len(given) + FRAMES) / s.frames_per_s:.0f} s")
