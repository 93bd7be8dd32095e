"""Translate German numbers below 1,000 into English by one GRU that reads and then writes, trained here in minutes.

python examples/anything/translate.py [UPDATES]

Pairs are made by rule, with every tenth number kept for the test. German says ones before tens and runs words together
(zweiundvierzig), so the network cannot copy: it has to remember what it read until it is time to say it.
"""

import random
import sys
import tempfile
from pathlib import Path

import streamrnn
from streamrnn.learning import TrainingSettings
from streamrnn.lines import TextLines
from streamrnn.models import NextItemSettings
from streamrnn.phonetics.numerals import cardinal
from streamrnn.recipes.next_item import TypingRecipe, TypingTraining
from streamrnn.recipes.train import train

TEENS = "zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn"
ONES = f"null ein zwei drei vier fünf sechs sieben acht neun {TEENS}".split()
TENS = ["zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"]


def german(n: int, last: bool = True) -> str:
    if n < 20:
        return "eins" if n == 1 and last else ONES[n]
    if n < 100:
        return (f"{german(n % 10, last=False)}und" if n % 10 else "") + TENS[n // 10 - 2]
    return f"{german(n // 100, last=False)}hundert" + (german(n % 100) if n % 100 else "")


numbers = random.Random(0).sample(range(1000), 1000)
learned, new = numbers[:900], numbers[900:]
with tempfile.TemporaryDirectory() as folder:
    text = Path(folder, "pairs.txt")
    text.write_text("".join(f"{german(n)}={cardinal(n)}\n" for n in learned * 8), encoding="utf-8")
    updates = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    training = TrainingSettings(steps=updates, learning_rate=3e-3, ema_decay=0.98, validate_every=300)
    recipe = TypingRecipe([text], TypingTraining(NextItemSettings(hidden=256), training))
    model, nats = train(recipe, "typing", Path(folder, "run"))
lines, right = TextLines(model), 0
for count, n in enumerate(new):
    prompt = lines.frames(f"\n{german(n)}=")
    written = "".join(lines.symbols[i] for i in streamrnn.generate(model, prompt, 60, temperature=0))
    said = written.partition("\n")[0]
    right += said == cardinal(n)
    if count < 4:
        print(f"{german(n)} = {said}")
print(f"{right} of {len(new)} numbers that it has not seen are translated without a mistake")
