"""A machine with four arms, somebody who pulls them, and a model that guesses the next pull before it is made.

python examples/anything/choices.py

Here a simple player pulls: mostly what gave most of late, sometimes another. `streamrnn run choices -` lets you pull.
"""

import numpy as np

import streamrnn
from streamrnn.lines import Bandit, ChoiceLines

PULLS = 100

model = streamrnn.load("choices")
lines, stream = ChoiceLines(model), streamrnn.Stream(model)
arms = model.settings.options
machine, rng = Bandit(arms, seed=1), np.random.default_rng(1)
valued = np.full(arms, 50.0)
told: dict = {}

for pull in range(PULLS):
    arm = int(rng.integers(arms)) if rng.random() < 0.15 else int(valued.argmax())
    reward = machine.pull(arm)
    valued[arm] += 0.5 * (reward - valued[arm])
    told = lines.answer(stream, f"{arm + 1},{reward:g}") or told
    if pull % 10 == 9:
        print(f"{pull + 1:3}  {lines.said(told)}")

print(f"{told['guesses']} presses, {told['right']} guessed before they were made")
print(f"the arms gave {', '.join(f'{value:.0f}' for value in valued)} points of late")
