"""A digit that is known before it is whole: probabilities while the pen still moves.

python examples/anything/pen.py [x,y,x,y,...]
"""

import sys

import numpy as np

import streamrnn
from streamrnn.lines import PenLines

# Points of a pen on a pad of 100 by 100, the origin below on the left: a seven, and a three.
STROKES = ["10,90,50,95,90,95,75,70,60,45,50,25,45,10,40,0", "20,90,60,100,75,80,45,60,80,45,90,20,50,0,10,10"]

model = streamrnn.load("pen")
lines, stream = PenLines(model), streamrnn.Stream(model)
for stroke in sys.argv[1:] or STROKES:
    after = [stream.process(point[None])[-1] for point in lines.frames(stroke)]
    for posteriors in after:
        heights = ["▁▂▃▄▅▆▇█"[min(int(8 * p), 7)] for p in posteriors]
        print("  " + " ".join(map("".join, zip(model.labels, heights, strict=True))))
    best = int(np.argmax(after[-1]))
    print(f"-> {model.labels[best]} ({after[-1][best]:.2f})\n")
    stream.reset()
