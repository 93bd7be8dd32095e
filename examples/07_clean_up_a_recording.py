"""Take the noise out of a recording, and out of sound that is still coming in.

python examples/07_clean_up_a_recording.py [NOISY] [CLEAN.wav]

`enhance_file` does whole recordings. An Enhancer does the same live: feed it chunks of any size, and it hands out sound
of the same rate, all of it with flush(), each sample in its place.
"""

import sys
from pathlib import Path

import numpy as np

import streamrnn
from streamrnn.audio import FileSource, write_audio

KEYBOARD = Path(__file__).parents[1] / "audio_samples" / "mandarin_keyboard.ogg"

noisy = sys.argv[1] if len(sys.argv) > 1 else KEYBOARD
clean = sys.argv[2] if len(sys.argv) > 2 else "clean.wav"
model = streamrnn.load("denoise")

whole, sample_rate = streamrnn.enhance_file(model, noisy)
write_audio(clean, whole, sample_rate)

with FileSource(noisy, chunk_ms=20) as source:  # or Microphone()
    enhancer = streamrnn.Enhancer(model, source.sample_rate)
    live = np.concatenate([*(enhancer.process(chunk) for chunk in source), enhancer.flush()])

print(f"{len(whole) / sample_rate:.1f} s written to {clean}, {enhancer.latency.algorithmic_ms:.1f} ms late when live")
print("The same sound, live and as a whole:", np.allclose(live, whole, atol=1e-4))
