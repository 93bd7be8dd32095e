"""Hear a recording as if it were live, and be told at each moment what has just been decided.

python examples/01_stream_file.py [RECORDING]

`listen` takes any source: a path, an array, a pipe, "mic". Live, the same sound gives the same events. Where only the
result counts, `streamrnn.speech_segments(model, path)` is the one-liner.
"""

import sys
from pathlib import Path

import streamrnn

CONVERSATION = Path(__file__).parents[1] / "audio_samples" / "conversation.flac"

recording = sys.argv[1] if len(sys.argv) > 1 else CONVERSATION
model = streamrnn.load("vad")
for event in streamrnn.listen(model, recording):
    match event.kind:
        case "speech_start":
            print(f"after {event.decided_s:5.2f} s: somebody speaks since {event.start_s:.2f} s")
        case "speech_end":
            print(f"after {event.decided_s:5.2f} s: that was speech from {event.start_s:.2f} to {event.end_s:.2f} s")
