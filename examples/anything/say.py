"""How words are said that no dictionary has: names and coined words, ready to be listened for.

python examples/anything/say.py [WORD ...]
"""

import sys

import streamrnn
from streamrnn.lines import SpellingLines

WORDS = ["zorbitron", "kowalski", "streaming", "novalight"]

model = streamrnn.load("say-en")
lines, stream = SpellingLines(model), streamrnn.Stream(model)
answer = lines.answer(stream, " ".join(sys.argv[1:] or WORDS))
for said in answer["words"] if answer is not None else []:
    sounds = " ".join(said["phonemes"])
    print(f'{said["word"]:12} {sounds:32} streamrnn run phrases mic --phrase "hey /{sounds}/"')
