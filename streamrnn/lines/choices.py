"""Choices and their rewards, or a game for a player who types choices alone; each is predicted before it is made."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from streamrnn.lines.line import Feeding, LineError, cells_of, numbers_of


class Bandit:
    """A multi-armed bandit whose rewards drift, so that the best arm changes.

    Args:
        arms: number of arms.
        seed: equal seeds drift alike.

    Source: Daw et al. 2006, "Cortical substrates for exploratory decisions in humans": means that decay towards 50 by
    .9836 per choice and move by 2.8, payoffs that spread by 4, all in points from 1 to 100.
    """

    def __init__(self, arms: int, seed: int = 0):
        self._rng = np.random.default_rng(seed)
        self._means = self._rng.uniform(20, 80, arms)

    def pull(self, arm: int) -> float:
        """The reward of this arm, 1 to 100 points; then all arms drift."""
        points = float(np.clip(np.round(self._rng.normal(self._means[arm], 4)), 1, 100))
        self._means = 0.9836 * self._means + 0.0164 * 50 + self._rng.normal(0, 2.8, len(self._means))
        return points


class ChoiceLines:
    """A line is a choice, from 1 on, and its reward, separated by a comma. A choice alone plays a game, in which a
    drifting bandit gives the reward. An empty line starts over, as for another person.

    The answer has the prediction made before the choice was known, and how many were correct so far.

    Args:
        model: a Choices.
        seed: of the game.
    """

    def __init__(self, model: Any, seed: int = 0):
        self._settings, self._seed = model.settings, seed
        self._begin()

    def frames(self, line: str) -> np.ndarray:
        cells = cells_of(line)
        if len(cells) == 1:
            raise LineError("it has no reward; write the choice and what it gave, such as 2,71")
        choice, reward = numbers_of(cells, 2, "a choice with its reward")
        if np.isnan(choice):
            return np.zeros((1, 2), np.float32)
        self._check(float(choice))
        if not 0 <= reward <= self._settings.highest:
            raise LineError(f"its reward is {reward:g}; it must be from 0 to {self._settings.highest:g}")
        return np.array([[choice, reward]], np.float32)

    def answer(self, stream: Feeding, line: str) -> dict[str, Any] | None:
        if not line.strip():
            stream.reset()
            self._begin()
            return None
        frames = self.frames(line if "," in line else self._played(line))
        choice, reward = (float(number) for number in frames[0])
        guessed = None if self._next is None else int(self._next.argmax()) + 1
        told: dict[str, Any] = {"choice": int(choice) or None, "reward": reward, "guessed": guessed}
        if guessed is not None and choice:
            told["probability"] = round(float(self._next[int(choice) - 1]), 4)  # pyright: ignore[reportOptionalSubscript]
            self._guesses += 1
            self._right += guessed == choice
        expected = self._next = stream.process(frames)[-1]
        following = {str(number): round(float(p), 4) for number, p in enumerate(expected, start=1)}
        return {**told, "right": self._right, "guesses": self._guesses, "next": following}

    def said(self, answer: Mapping[str, Any]) -> str:
        # The next prediction is not shown: a player who knows it would choose differently.
        guessed, choice = answer["guessed"], answer["choice"]
        gave = "no choice" if choice is None else f"{choice} gave {answer['reward']:g}"
        if guessed is None or choice is None:
            return gave
        verdict = "as" if guessed == choice else f"not {guessed}, as"
        return f"{gave}; {verdict} I guessed ({answer['right']} of {answer['guesses']} right)"

    def _begin(self) -> None:
        self._game = Bandit(self._settings.options, self._seed)
        self._next: np.ndarray | None = None
        self._right = self._guesses = 0

    def _played(self, line: str) -> str:
        """Adds the game's reward to a choice. Invalid choices are refused before the game continues."""
        choice = float(numbers_of([line.strip()], 1, "a choice")[0])
        self._check(choice)
        return f"{choice:g},{self._game.pull(int(choice) - 1) * self._settings.highest / 100:g}"

    def _check(self, choice: float) -> None:
        if choice not in range(1, self._settings.options + 1):
            raise LineError(f"its choice is {choice:g}; it must be one of 1 to {self._settings.options}")


__all__ = ["Bandit", "ChoiceLines"]
