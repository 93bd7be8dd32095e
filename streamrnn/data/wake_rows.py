"""Rows of sound to train wake words: the word among other sound, and sound without it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from streamrnn.audio import as_samples, mixing
from streamrnn.data.augment import Augment
from streamrnn.data.clips import pick
from streamrnn.data.spoken import laid_over, trimmed

LEVEL = 0.05
# Most words said in one row.
MOST_SAID = 3


@dataclass(frozen=True)
class Row:
    """Samples, float32[n] in [-1, 1]; occurrences of the word, (start, end) each, in samples; and, for sound as
    recorded, where each recording begins (below 0: before the row), and its index.
    """

    samples: np.ndarray
    spans: tuple[tuple[int, int], ...] = ()
    recorded: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class WakeRows:
    """Composes rows of one length.

    Attributes:
        words: recordings of the word alone, int16[n] or float32[n] in [-1, 1].
        near: recordings of similar phrases, and of parts of the word.
        talk: other recordings of speech.
        sounds: noise and music.
        augment: of whole rows: rooms, noise, bands, level; its speed is of single recordings.
        length: of rows, in samples.
        sample_rate: of everything.
    """

    words: Sequence[np.ndarray]
    near: Sequence[np.ndarray]
    talk: Sequence[np.ndarray]
    sounds: Sequence[np.ndarray]
    augment: Augment
    length: int
    sample_rate: int

    def with_word(self, rng: np.random.Generator, number: int) -> Row:
        """A row with word `number` once, possibly others, and between them pauses, talk and similar phrases."""
        line, spans, at = np.zeros(0, np.float32), [], int(rng.uniform(0, 1.0) * self.sample_rate)
        after, told = self.words[number % len(self.words)], 0
        while True:
            if len(line) and rng.random() < 0.4:
                line, at = self._laid(rng, line, self._other(rng), at)
            said = self._said(rng, after)
            if told and at + len(said) + self.sample_rate // 2 > self.length:
                break
            line, start = self._laid(rng, line, said, at)[0], at
            begins, ends = trimmed(said, self.sample_rate)[1]
            spans.append((start + begins, min(start + ends, self.length - 1)))
            at, told = start + len(said) + self._pause(rng), told + 1
            if told == MOST_SAID or at > self.length - self.sample_rate:
                break
            after = pick(rng, self.words)
        spans = [(start, end) for start, end in spans if end < self.length - self.sample_rate // 10]
        return Row(self._finished(rng, line), tuple(spans))

    def near_word(self, rng: np.random.Generator, number: int) -> Row:
        """A row full of similar phrases, beginning with phrase `number`."""
        return self._filled(rng, [self.near[number % len(self.near)]], self.near)

    def as_recorded(self, pool: Sequence[np.ndarray]) -> Iterator[Row]:
        """Yields all recordings, concatenated unchanged, as rows of the same length."""
        gap = np.zeros(self.sample_rate // 10, np.float32)
        line, begins = np.zeros(0, np.float32), list[tuple[int, int]]()
        for index, samples in enumerate(pool):
            begins.append((len(line), index))
            line = np.concatenate([line, as_samples(samples), gap])
            while len(line) >= self.length:
                yield Row(line[: self.length], recorded=self._within(begins))
                line, begins = line[self.length :], [(begin - self.length, index) for begin, index in begins]
        if len(line):
            yield Row(np.pad(line, (0, self.length - len(line))), recorded=self._within(begins))

    def _within(self, begins: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
        """The recordings that overlap a row; earlier ones are dropped."""
        under_way = max((place for place, (begin, _) in enumerate(begins) if begin <= 0), default=0)
        del begins[:under_way]
        return tuple((begin, index) for begin, index in begins if begin < self.length)

    def talked(self, rng: np.random.Generator) -> Row:
        """A row of talk and occasional sounds, augmented."""
        return self._filled(rng, [], self.talk if rng.random() < 0.85 or not self.sounds else self.sounds)

    def _filled(self, rng: np.random.Generator, first: list[np.ndarray], pool: Sequence[np.ndarray]) -> Row:
        line, at = np.zeros(0, np.float32), 0
        while at < self.length:
            samples = first.pop() if first else pick(rng, pool)
            line, at = self._laid(rng, line, self._said(rng, samples), at)
        return Row(self._finished(rng, line))

    def _other(self, rng: np.random.Generator) -> np.ndarray:
        pool = self.near if self.near and rng.random() < 0.4 else self.talk or self.near or self.words
        other = as_samples(pick(rng, pool))
        longest = int(rng.uniform(0.5, 2.5) * self.sample_rate)
        start = int(rng.integers(max(1, len(other) - longest + 1)))
        return self._said(rng, other[start : start + longest])

    def _said(self, rng: np.random.Generator, samples: np.ndarray) -> np.ndarray:
        """Trims a recording's silence, changes its speed, and levels it to the others."""
        speed = self.augment.settings.speed
        cut = as_samples(samples)[: 2 * self.length]
        said = mixing.change_speed(as_samples(trimmed(cut, self.sample_rate)[0]), rng.uniform(*speed))
        return mixing.gain(said * np.float32(LEVEL / max(float(np.std(said)), 1e-4)), rng.normal(0, 3))

    def _laid(self, rng: np.random.Generator, line: np.ndarray, said: np.ndarray, at: int) -> tuple[np.ndarray, int]:
        return laid_over(line, said, at), at + len(said) + self._pause(rng)

    def _pause(self, rng: np.random.Generator) -> int:
        return int(rng.triangular(0, 0.05, 0.8) * self.sample_rate)

    def _finished(self, rng: np.random.Generator, line: np.ndarray) -> np.ndarray:
        fitted = np.pad(line[: self.length], (0, max(0, self.length - len(line))))
        still = Augment(
            self.augment.noise,
            self.augment.music,
            self.augment.rooms,
            self.augment.voices,
            self.sample_rate,
            type(self.augment.settings)(**{**vars(self.augment.settings), "speed": (1.0, 1.0)}),
        )
        return still(rng, fitted)


__all__ = ["Row", "WakeRows"]
