"""Records from the default microphone, and says `hearing RATE` as soon as it does.

python -m tests.system.record OUT.npy SECONDS [SAMPLE_RATE]
"""

import sys

import numpy as np

from streamrnn.audio import Microphone

out, seconds = sys.argv[1], float(sys.argv[2])
with Microphone(sample_rate=int(sys.argv[3]) if len(sys.argv) > 3 else None) as microphone:
    chunks, recorded_samples = [], 0
    for chunk in microphone:
        if not chunks:
            print("hearing", microphone.sample_rate, flush=True)
        chunks.append(chunk.reshape(len(chunk), -1).mean(axis=1))
        recorded_samples += len(chunk)
        if recorded_samples >= seconds * microphone.sample_rate:
            break
np.save(out, np.concatenate(chunks))
