"""What somebody wants, known while they still speak; what is nothing for a machine goes to a person.

python examples/anything/intent.py ["a question of yours"]
"""

import sys

import streamrnn
from streamrnn.lines import QueryLines

QUESTIONS = [
    "please transfer a hundred dollars from checking to savings",
    "what is the weather going to be like in paris tomorrow",
    "who painted the ceiling of the sistine chapel",
]

model = streamrnn.load("intent")
lines, stream = QueryLines(model), streamrnn.Stream(model)
for question in sys.argv[1:] or QUESTIONS:
    answer = lines.answer(stream, question)
    if answer is None:
        continue
    words = [after["item"] for after in answer["after"]]
    for heard, after in enumerate(answer["after"], start=1):
        guess = after["label"] or "..."
        print(f"  {' '.join(words[:heard]):60} {guess} {after['confidence']:.2f}")
    print(f"-> {answer['label'] or 'a person takes over'}\n")
