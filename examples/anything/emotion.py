"""What a comment expresses, word by word: a label is given as soon as its posterior is high enough.

python examples/anything/emotion.py ["a comment of yours"]
"""

import sys

import streamrnn
from streamrnn.lines import WordLines

COMMENTS = [
    "thank you so much, this made my day",
    "what is wrong with you, I hate this stupid thing",
    "I am so sorry for your loss, that must hurt",
]

model = streamrnn.load("emotion")
lines, stream = WordLines(model), streamrnn.Stream(model)
for comment in sys.argv[1:] or COMMENTS:
    answer = lines.answer(stream, comment)
    if answer is None:
        continue
    shown: list[str] = []
    for after in answer["after"]:
        shown.append(after["item"])
        print(f"  {' '.join(shown):60} {', '.join(after['labels']) or '...'}")
    print(f"-> {', '.join(answer['labels']) or 'nothing that stands out'}\n")
