"""Makes two_words/: clips of two words by synthetic voices, a folder per word, to train a keyword model on.

A third folder, unknown/, has other words by the same voices, so that a model learns what not to listen for.

    python audio_samples/make_words.py --out audio_samples/two_words

The names of the files are VOICE_nohash_NUMBER.ogg, as Speech Commands names its clips: what stands before "_nohash_" is
the speaker, who is in one split only. Needs soundfile and the Debian packages of make_samples.py.
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile
from make_samples import Voice, synthesise

SAMPLE_RATE = 16_000
LENGTH_S = 1.0
WORDS = ("compass", "lantern")
OTHERS = [
    "window",
    "good morning",
    "seven",
    "compare",
    "later on",
    "maybe",
    "the kitchen",
    "thank you",
    "promise",
    "turn",
]
ESPEAK = [
    *("en-us+m1", "en-us+f1", "en-us+f5", "en-us+klatt2", "en-gb+m2", "en-gb+f2", "en-gb+m7", "en-gb+klatt4"),
    *("en-gb-scotland+m3", "en-gb-scotland+f3", "en-029+m4", "en-029+f4", "en-gb-x-rp+m5", "en-gb-x-rp+f2"),
    *("en-gb-x-gbclan+m6", "en-gb-x-gbclan+f1", "en-gb-x-gbcwmd+m8", "en-us-nyc+m3", "en-us-nyc+f3"),
]
VOICES: list[Voice] = [
    *(("espeak-ng", name) for name in ESPEAK),
    *(("flite", name) for name in ("awb", "kal", "rms", "slt")),
    *(("text2wave", name) for name in ("cmu_us_slt_arctic_hts", "kal_diphone")),
]


def clip(voice: Voice, word: str, rng: np.random.Generator) -> np.ndarray:
    """The word at a random place in one second of faint noise, at a random level; float64[n]."""
    spoken = synthesise(voice, word, SAMPLE_RATE)[: round(LENGTH_S * SAMPLE_RATE)]
    x = np.zeros(round(LENGTH_S * SAMPLE_RATE))
    start = int(rng.integers(len(x) - len(spoken) + 1))
    x[start : start + len(spoken)] = spoken
    x = x * rng.uniform(0.15, 0.5) / np.abs(x).max()
    return x + 1e-3 * rng.standard_normal(len(x))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    rng = np.random.default_rng(7)
    for number, voice in enumerate(VOICES):
        for word in WORDS:
            write(out / word, voice, 0, clip(voice, word, rng))
        for repetition in range(2):
            other = OTHERS[(2 * number + repetition) % len(OTHERS)]
            write(out / "unknown", voice, repetition, clip(voice, other, rng))


def write(folder: Path, voice: Voice, number: int, samples: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    speaker = "-".join(voice).replace("+", "-").replace("_", "-")
    soundfile.write(folder / f"{speaker}_nohash_{number}.ogg", samples, SAMPLE_RATE, subtype="OPUS")


if __name__ == "__main__":
    main()
