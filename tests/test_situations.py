"""How the shipped detector does in situations, composed here of synthesis and audio_samples alone.

ROWS holds each figure down to what it is today; SHORT lists the rows that miss their targets. Weights that do better
come with tighter bounds and a shorter list: a test fails where a row got worse, and where the list is no longer true.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from streamrnn.audio import ChunkSource, mixing, read_audio
from streamrnn.data.mixtures import Utterance
from streamrnn.data.situations import Recording
from streamrnn.evaluation.situations import SpeechJudge
from streamrnn.pretrained import load
from streamrnn.recipes.test_sets.situations import RATE, SITUATIONS, Pools
from streamrnn.runtime import run_file

SAMPLES = Path(__file__).parents[1] / "audio_samples"


@dataclass(frozen=True)
class Row:
    """A situation: the figure that counts, what it should be, what it is today, and which takes are judged."""

    figure: str
    target: float
    today: float
    numbers: tuple[int, ...] = (0, 1)

    def holds(self, figures: dict[str, float], bound: float) -> bool:
        found = figures[self.figure]
        return found >= bound if self.figure in ("speech_found", "roc_auc") else found <= bound


FALSE, FOUND, CHANGED, AUC = "false_speech_s_per_hour", "speech_found", "decisions_changed", "roc_auc"
ROWS = {
    "noise-begins": Row(FALSE, 36, 20),
    "music-begins": Row(FALSE, 36, 20),
    "level-steps": Row(FALSE, 36, 20),
    # A dial tone, a busy line, special information, a fax that calls, keys.
    "telephone-tones-8k": Row(FALSE, 36, 20, (0, 2, 22, 29, 30)),
    "breaths": Row(FALSE, 36, 20),
    "mute-then-room-8k": Row(FALSE, 36, 20, (0, 2)),
    "noise": Row(FALSE, 36, 0),
    "after-mute": Row(CHANGED, 0.01, 0.002),
    "push-to-talk": Row(FOUND, 0.97, 0.99),
    "whisper": Row(FOUND, 0.95, 0.97),
    "quiet-speech": Row(FOUND, 0.95, 0.99),
    "gsm-8k": Row(AUC, 0.98, 0.99),
    "half-a-second-after-noise": Row(FOUND, 0.85, 0.98),
    "two-seconds-after-noise": Row(FOUND, 0.88, 0.98),
    "scenes": Row(AUC, 0.98, 0.99),
}
# The rows in which the shipped weights miss their target.
SHORT: set[str] = set()


def int16(samples: np.ndarray) -> np.ndarray:
    return np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)


def voices() -> list[Utterance]:
    """The utterances of two conversations and an announcement, with 0.2 s around them."""
    made, around = [], RATE // 5
    with (SAMPLES / "truth.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["path"] in ("conversation.flac", "arabic_office.flac")]
    for row in rows:
        start, end = int(row["start"]), int(row["end"])
        samples, _ = read_audio(SAMPLES / row["path"], RATE, max(0, start - around), end + around)
        first = min(around, start)
        made.append(Utterance(int16(samples), ((first, first + end - start),)))
    return made


def noises(rng: np.random.Generator) -> list[np.ndarray]:
    """Wind, a hiss, rain whose drops are heard, an engine."""
    n = 12 * RATE
    time_s = np.arange(n) / RATE
    drops = mixing.coloured_noise(n, 0.0, rng) * (1 + 3 * (rng.random(n) < 0.001))
    engine = np.sum([np.sin(2 * np.pi * 83 * k * time_s + k) / k for k in range(1, 30)], axis=0)
    beaten = engine * (1 + 0.4 * np.sin(2 * np.pi * 7 * time_s)) + 2 * mixing.coloured_noise(n, 1.0, rng)
    wind = mixing.coloured_noise(n, 1.8, rng) * (1 + 0.7 * np.sin(2 * np.pi * 0.3 * time_s))
    return [wind, mixing.coloured_noise(n, 0.5, rng), drops, beaten]


def music(rng: np.random.Generator) -> list[np.ndarray]:
    """Two tunes of plucked strings over long chords."""
    tunes = []
    for beat_s in (0.24, 0.4):
        tune = np.zeros(12 * RATE)
        for start in np.arange(0, len(tune) - RATE, round(beat_s * RATE)):
            pitch_hz, time_s = 220 * 2 ** (rng.choice([0, 2, 4, 7, 9, 12]) / 12), np.arange(RATE) / RATE
            partials = [np.sin(2 * np.pi * pitch_hz * k * time_s) / k**1.3 for k in range(1, 12)]
            tune[start : start + RATE] += np.exp(-5 * time_s) * np.sum(partials, axis=0)
        chord = np.sum([np.sin(2 * np.pi * hz * np.arange(len(tune)) / RATE) for hz in (110, 165, 220)], axis=0)
        tunes.append(tune + 0.3 * chord)
    return tunes


@pytest.fixture(scope="module")
def pools() -> Pools:
    rng = np.random.default_rng(0)
    made = [int16(0.5 * sound / np.abs(sound).max()) for sound in noises(rng)]
    tunes = [int16(0.5 * tune / np.abs(tune).max()) for tune in music(rng)]
    room = np.exp(-np.arange(4800) / 800) * rng.standard_normal(4800)
    room[0] = 12
    return Pools(voices(), made, tunes, made[2:3], rooms=[room.astype(np.float32)])


class Offline:
    """The shipped detector, run over whole recordings: the numbers are those of a live stream, sooner."""

    def __init__(self):
        self._model = load("vad")
        self.frame_s, self.decision = self._model.frame_s, self._model.decision

    def hear(self, samples: np.ndarray, sample_rate: int) -> np.ndarray:
        chunks = np.split(samples, range(sample_rate, len(samples), sample_rate))
        return run_file(self._model, ChunkSource(chunks, sample_rate))[:, 0]


@pytest.fixture(scope="module")
def rows(pools) -> dict[str, dict[str, float]]:
    judge, found = SpeechJudge(Offline()), {}
    for situation in (situation for situation in SITUATIONS if situation.name in ROWS):
        for number in ROWS[situation.name].numbers:
            take = situation.compose(pools, np.random.default_rng([5, number]), number)
            heard = take.samples, take.sample_rate, take.segments, take.words
            judge.hear(Recording(*heard, take.judged_from, take.kind, situation.compared))
        found[situation.name] = judge.row()
    return found


@pytest.mark.parametrize("name", ROWS)
def test_no_situation_is_heard_worse_than_today(name, rows):
    row = ROWS[name]
    assert row.holds(rows[name], row.today), f"{row.figure} is {rows[name][row.figure]:.4f}, was {row.today}"


def test_the_rows_that_fall_short_are_those_that_are_listed(rows):
    assert {name for name, row in ROWS.items() if not row.holds(rows[name], row.target)} == SHORT
