"""See a transcript grow while somebody speaks, and be told when an utterance is over.

python examples/06_transcribe_digits.py [RECORDING]

Partial results come as soon as a symbol is heard and may still change; a word is sent once it won't. An utterance ends
with a silence, whose length is a setting of the decoder like any other. Pass "mic" to be heard yourself.
"""

import sys
from pathlib import Path

import streamrnn

DIGITS = Path(__file__).parents[1] / "audio_samples" / "digits.flac"

source = sys.argv[1] if len(sys.argv) > 1 else DIGITS
model = streamrnn.load("digits")
for event in streamrnn.listen(model, source, endpoint_ms=1500):
    match event.kind:
        case "partial":
            print(f"after {event.decided_s:5.2f} s: {event.label} ...")
        case "endpoint":
            print(f"after {event.decided_s:5.2f} s: {event.label}, said from {event.start_s:.2f} s on")
