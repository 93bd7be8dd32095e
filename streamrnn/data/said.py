"""Phrases spoken by synthetic voices, cached in a folder, so that a repeated command finds them there."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from streamrnn.audio import write_audio
from streamrnn.data.voices import Voices
from streamrnn.replacing import replace_file

COLUMNS = ("path", "speaker", "transcript", "split")
# Share of recordings by voices that are held out of training.
VALID_SHARE = 0.15
# Punctuation changes the intonation: a question, a call.
ENDINGS = (".", "!", "?", ",", "")
# Natural voices are drawn more often.
SHARES = {"kokoro": 4.0, "espeak-ng": 2.0, "flite": 1.5, "festival": 0.5}


def say_phrases(
    phrases: Sequence[str],
    count: int,
    voices: Sequence[Voices],
    out: Path,
    sample_rate: int,
    seed: int = 0,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Has `count` recordings said in the folder `out`, one phrase after the other, with a manifest.csv.

    Existing recordings are kept; each depends on its number, the seed and the voices alone.

    Raises:
        RuntimeError: a program failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    table = out / "manifest.csv"
    # A row is written after its recording, so the rows list the complete ones.
    written = table.read_bytes() if table.is_file() else b""
    whole = written[: written.rfind(b"\n") + 1]
    if whole != written:
        # An incomplete row, as a full disk leaves it, would merge with the next.
        replace_file(table, whole)
    done = whole.count(b"\n") - 1
    weights = np.array([SHARES.get(one.name, 1.0) for one in voices])
    with table.open("a" if done > 0 else "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        if done <= 0:
            rows.writerow(COLUMNS)
        for number in range(max(done, 0), count):
            rng = np.random.default_rng([seed, number])
            voice = voices[int(rng.choice(len(voices), p=weights / weights.sum()))]
            phrase, valid = phrases[number % len(phrases)], bool(rng.random() < VALID_SHARE)
            said = voice.say(rng, phrase + str(rng.choice(ENDINGS)), sample_rate, held_out=valid)
            level = np.float32(0.5 / max(float(np.abs(said.samples).max(initial=0)), 1e-3))
            write_audio(out / f"{number:05}.flac", said.samples * level, sample_rate)
            rows.writerow((f"{number:05}.flac", said.voice, phrase, "valid" if valid else "train"))
            file.flush()
            told(number + 1, count)


__all__ = ["say_phrases"]
