"""Music as lines of simultaneous keys, as a picture's grid, and as sound of plain sines."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from streamrnn.lines.line import Feeding, LineError

REST = "-"
NOTE = re.compile(r"([A-Ga-g])([#b]?)(-?\d)")
STEPS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
# Amplitudes of the partials of a tone, and its decay rate per second.
PARTIALS, FADING = (1.0, 0.4, 0.2, 0.1), 1.5


class MusicLines:
    """A line lists the notes of a frame, such as "C3 G3 E4 C5" or, as MIDI numbers, "48 55 64 72"; - is a rest. An
    empty line begins another piece.

    The answer has the surprisal of the frame, and the frame expected next.

    Args:
        model: a Music.
    """

    def __init__(self, model: Any):
        self._model, self._settings = model, model.settings
        self._output: np.ndarray | None = None

    def frames(self, line: str) -> np.ndarray:
        frame, s = np.zeros((1, self._settings.keys), np.float32), self._settings
        words = line.split()
        if not words:
            raise LineError(f"it is empty; write {REST} for a rest")
        for word in words if words != [REST] else ():
            key = midi_of(word) - s.lowest_midi
            if not 0 <= key < s.keys:
                last = s.lowest_midi + s.keys - 1
                raise LineError(f"{word} is none of the model's keys, {name_of(s.lowest_midi)} to {name_of(last)}")
            frame[0, key] = 1
        return frame

    def answer(self, stream: Feeding, line: str) -> dict[str, Any] | None:
        if not line.strip():
            stream.reset()
            self._output = None
            return None
        frame, before = self.frames(line), self._output
        self._output = stream.process(frame)[-1]
        nats = None if before is None else -float(self._model.log_probability(before[None], frame)[0])
        expected = self._model.draw(self._output, np.random.default_rng(0), 0)
        return {
            "keys": self.names(frame[0]),
            "nats": None if nats is None else round(nats, 3),
            "expected": self.names(expected),
        }

    def said(self, answer: Mapping[str, Any]) -> str:
        came, comes = (" ".join(answer[name]) or REST for name in ("keys", "expected"))
        nats = "" if answer["nats"] is None else f"  {answer['nats']:.1f} nats"
        return f"{came}{nats}; expected next: {comes}"

    def names(self, frame: np.ndarray) -> list[str]:
        """The names of the sounding keys."""
        return [name_of(self._settings.lowest_midi + int(key)) for key in np.flatnonzero(frame > 0.5)]


def midi_of(word: str) -> int:
    """The MIDI number of a note: C4 and 60 are middle C.

    Raises:
        LineError: it is not a note.
    """
    if word.isdecimal():
        return int(word[:4])
    if found := NOTE.fullmatch(word):
        letter, sign, octave = found.groups()
        return 12 * (int(octave) + 1) + STEPS[letter.lower()] + {"#": 1, "b": -1, "": 0}[sign]
    raise LineError(f"{word[:20]!r} is no note; write C4, F#3 or 60")


def name_of(midi: int) -> str:
    """The name of a MIDI number: 60 is C4."""
    return f"{NAMES[midi % 12]}{midi // 12 - 1}"


def sound_of(
    frames: Sequence[np.ndarray] | np.ndarray, lowest_midi: int, frames_per_s: float, sample_rate: int = 16_000
) -> np.ndarray:
    """Renders frames of keys as sound, a few sines per key: float32[samples] in [-1, 1]. Held keys are not struck
    again.

    Args:
        frames: [time, keys], 1 where a key sounds.
        lowest_midi: MIDI number of the first key.
        frames_per_s: frames per second.
        sample_rate: Hz.
    """
    roll = np.asarray(frames) > 0.5
    length = round(sample_rate / frames_per_s)
    sound = np.zeros(len(roll) * length + sample_rate // 2, np.float32)
    for key in np.flatnonzero(roll.any(axis=0)):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], roll[:, key], [False]]).astype(int)))
        for begin, end in edges.reshape(-1, 2):
            tone = _tone(440 * 2 ** ((lowest_midi + key - 69) / 12), (end - begin) * length, sample_rate)
            sound[begin * length : begin * length + len(tone)] += tone
    return sound / max(1.0, float(np.abs(sound).max()))


def _tone(hz: float, held_samples: int, sample_rate: int) -> np.ndarray:
    """A struck string, damped when its key is let go."""
    at = np.arange(held_samples + sample_rate // 4) / sample_rate
    wave = sum(part * np.sin(2 * np.pi * hz * n * at) for n, part in enumerate(PARTIALS, 1) if n * hz < sample_rate / 2)
    released = np.clip(at - held_samples / sample_rate, 0, None)
    return (0.15 * wave * np.exp(-FADING * at - 20 * released) * np.minimum(1, 200 * at)).astype(np.float32)


__all__ = ["REST", "MusicLines", "midi_of", "name_of", "sound_of"]
