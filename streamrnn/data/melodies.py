"""Synthesised music: notes of random instruments, chords, drums. For training.

All functions return float32[n].
"""

import numpy as np

from streamrnn.audio import mixing
from streamrnn.data.textures import equalised

Rng = np.random.Generator

# Semitones above the key of major, minor, pentatonic and chromatic scales.
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), tuple(range(12)))
TRIADS = ((0, 4, 7), (0, 3, 7), (0, 5, 7), (0, 4, 7, 10), (0, 3, 7, 10))


def music(rng: Rng, n: int, sample_rate: int) -> np.ndarray:
    """float32[n]: one to four instruments in one tempo and key, with or without drums, with a random colour."""
    beat_s, key = 60 / rng.uniform(60, 180), rng.uniform(36, 48)
    scale = SCALES[int(rng.integers(len(SCALES)))]
    line = np.zeros(n, np.float32)
    for _ in range(int(rng.integers(1, 5))):
        voice = _chords if rng.random() < 0.3 else _melody
        line += np.float32(rng.uniform(0.2, 1)) * voice(rng, n, sample_rate, beat_s, key, scale)
    if rng.random() < 0.5:
        line += np.float32(rng.uniform(0.2, 1.2)) * _drums(rng, n, sample_rate, beat_s)
    return equalised(rng, line, sample_rate) if rng.random() < 0.7 else line


def _melody(rng: Rng, n: int, sample_rate: int, beat_s: float, key: float, scale: tuple[int, ...]) -> np.ndarray:
    """Notes that walk over the scale, with rests."""
    instrument, line, at = Instrument(rng, sample_rate), np.zeros(n, np.float32), 0
    step, rests = int(rng.integers(0, 3 * len(scale))), rng.uniform(0, 0.3)
    while at < n:
        length = max(1, round(beat_s * rng.choice([0.25, 0.5, 0.5, 1, 1, 2, 4]) * sample_rate))
        if rng.random() >= rests:
            octave, degree = divmod(step, len(scale))
            note = instrument.note(rng, key + 12 * octave + scale[degree], length)
            line[at : at + len(note)] += note[: n - at]
        at += length
        step = int(np.clip(step + rng.integers(-3, 4), 0, 4 * len(scale)))
    return line


def _chords(rng: Rng, n: int, sample_rate: int, beat_s: float, key: float, scale: tuple[int, ...]) -> np.ndarray:
    """Held or broken chords."""
    instrument, line, at = Instrument(rng, sample_rate), np.zeros(n, np.float32), 0
    broken = 0.0 if rng.random() < 0.5 else beat_s / rng.choice([1, 2, 4])
    while at < n:
        length = max(1, round(beat_s * rng.choice([1, 2, 4]) * sample_rate))
        root = key + 12 * int(rng.integers(0, 3)) + scale[int(rng.integers(len(scale)))]
        for i, interval in enumerate(TRIADS[int(rng.integers(len(TRIADS)))]):
            start = at + round(i * broken * sample_rate)
            if start < n:
                note = instrument.note(rng, root + interval, length)
                line[start : start + len(note)] += note[: n - start]
        at += length
    return line


class Instrument:
    """A drawn timbre: one period of a wave, an envelope and a vibrato."""

    PERIOD = 2048

    def __init__(self, rng: Rng, sample_rate: int):
        self._rate = sample_rate
        self._numbers = np.arange(1, int(rng.integers(3, 25)))
        self._weights = self._numbers ** -rng.uniform(0.5, 2.5) * rng.uniform(0.1, 1, len(self._numbers))
        if rng.random() < 0.3:
            self._weights[1::2] *= 0.1
        self._offsets = rng.uniform(0, 2 * np.pi, len(self._numbers))
        self._periods: dict[int, np.ndarray] = {}
        self._attack_s = np.exp(rng.uniform(np.log(0.002), np.log(0.2)))
        # Plucked and struck notes die away; blown and bowed ones hold.
        self._decay_s = np.exp(rng.uniform(np.log(0.08), np.log(2))) if rng.random() < 0.6 else 1e9
        self._vibrato = (rng.uniform(0, 0.012) if rng.random() < 0.4 else 0.0, rng.uniform(4, 7))

    def note(self, rng: Rng, semitone: float, length: int) -> np.ndarray:
        """A note of MIDI number `semitone`, float32[length]."""
        base_hz = 440 * 2 ** ((semitone - 69) / 12)
        t = np.arange(length, dtype=np.float32) / np.float32(self._rate)
        depth, speed_hz = self._vibrato
        turns = base_hz * t
        if depth:
            turns += base_hz * depth / (2 * np.pi * speed_hz) * np.sin(2 * np.pi * speed_hz * t)
        # Only harmonics that this rate can hold.
        period = self._period(int(np.sum(self._numbers * base_hz < 0.46 * self._rate)))
        sound = period[(turns * self.PERIOD).astype(np.int64) % self.PERIOD]
        envelope = np.minimum(1, t / self._attack_s) * np.exp(-t / self._decay_s)
        release = min(length, round(0.03 * self._rate))
        envelope[length - release :] *= np.linspace(1, 0, release)
        return np.asarray(rng.uniform(0.4, 1) * envelope * sound, np.float32)

    def _period(self, harmonics: int) -> np.ndarray:
        if harmonics not in self._periods:
            phase = 2 * np.pi * np.arange(self.PERIOD) / self.PERIOD
            parts = zip(self._weights[:harmonics], self._numbers, self._offsets, strict=False)
            wave = sum((w * np.sin(h * phase + o) for w, h, o in parts), np.zeros(self.PERIOD))
            self._periods[harmonics] = wave.astype(np.float32)
        return self._periods[harmonics]


def _drums(rng: Rng, n: int, sample_rate: int, beat_s: float) -> np.ndarray:
    """A pattern of two bars at most that repeats: a thump, a snare, cymbals."""
    line, step = np.zeros(n, np.float32), max(1, round(beat_s / 4 * sample_rate))
    for _ in range(int(rng.integers(1, 4))):
        hit = _hit(rng, sample_rate)
        pattern = rng.random(int(rng.choice([8, 16]))) < rng.uniform(0.1, 0.5)
        for i, start in enumerate(range(0, n, step)):
            if pattern[i % len(pattern)]:
                line[start : start + len(hit)] += np.float32(rng.uniform(0.6, 1)) * hit[: n - start]
    return line


def _hit(rng: Rng, sample_rate: int) -> np.ndarray:
    length = round(rng.uniform(0.03, 0.4) * sample_rate)
    t = np.arange(length) / sample_rate
    decay = np.exp(-5 * t * sample_rate / length)
    if rng.random() < 0.4:
        sweep_hz = rng.uniform(40, 120) * (1 + 3 * np.exp(-t / 0.02))
        return np.asarray(2 * decay * np.sin(2 * np.pi * np.cumsum(sweep_hz) / sample_rate), np.float32)
    return decay.astype(np.float32) * mixing.coloured_noise(length, rng.uniform(-1.5, 1), rng)


__all__ = ["Instrument", "music"]
