"""A text that writes itself: the rest of the word while one types, and what might come after.

python examples/anything/completion.py ["a line to begin with"]
"""

import sys

import numpy as np

import streamrnn
from streamrnn.lines import TextLines

model = streamrnn.load("typing")
lines, stream = TextLines(model), streamrnn.Stream(model)

typed = sys.argv[1] if len(sys.argv) > 1 else "Good morrow, my noble fri"
ids, _ = lines.known(typed)
stream.process(ids[:-1])
before = stream.snapshot()
expected = stream.process(ids[-1:])[-1]
print(f"{typed}[{lines.completion(stream, expected)}]")

# Whatever is tried from a snapshot leaves no trace.
for temperature in (0.5, 1.0):
    stream.restore(before)
    drawn = streamrnn.generate(stream, ids[-1:], 200, temperature=temperature, seed=1)
    print(f"\nat a temperature of {temperature}:\n{typed}{''.join(lines.symbols[item] for item in drawn)}")

likely = np.argsort(-expected)[:5]
print("\nmay come next:", ", ".join(f"{lines.symbols[item]!r} {expected[item]:.2f}" for item in likely))
