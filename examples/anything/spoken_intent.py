"""What somebody wants, by the partial results of a recogniser, which change their mind: the model goes back with them.

python examples/anything/spoken_intent.py [PARTIALS.txt]

PARTIALS.txt has a partial result per line, each the words of an utterance so far. Without any, some are made up.
"""

import sys
from pathlib import Path

import numpy as np

import streamrnn
from streamrnn.lines import QueryLines

PARTIALS = ["what is", "what is my", "what is my balance", "what is my ballots", "what is my balance in checking"]


class Following:
    """A stream that says the same of a text, whatever partial results led to it."""

    def __init__(self, model):
        self.lines, self.stream = QueryLines(model), streamrnn.Stream(model)
        # The words that the stream has heard, its state before each, and what it said after each.
        self.words, self.before, self.said = [], [], []

    def hear(self, partial: str) -> int:
        """Takes a partial result; how many of its words were new."""
        words = partial.split()
        same = 0
        while same < min(len(words), len(self.words)) and words[same] == self.words[same]:
            same += 1
        if same < len(self.words):
            self.stream.restore(self.before[same])
            for of in (self.words, self.before, self.said):
                del of[same:]
        for word in words[same:]:
            self.before.append(self.stream.snapshot())
            self.words.append(word)
            self.said.append(self.stream.process(self.lines.frames(word))[-1])
        return len(words) - same


model = streamrnn.load("intent")
following = Following(model)
told = Path(sys.argv[1]).read_text().splitlines() if len(sys.argv) > 1 else PARTIALS
told = [partial for partial in told if partial.strip()]
for partial in told:
    new = following.hear(partial)
    posteriors = following.said[-1]
    best = int(posteriors.argmax())
    print(f"{partial:32} {new} new: {model.labels[best]} {posteriors[best]:.2f}")

whole = streamrnn.Stream(model).process(QueryLines(model).frames(told[-1]))[-1]
print("as of the whole text at once:", np.array_equal(following.said[-1], whole))
