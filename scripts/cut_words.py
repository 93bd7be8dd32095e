"""Cuts transcribed recordings of several words into single words, for training to join anew.

    python scripts/cut_words.py RECORDINGS OUT

A model that knows the transcripts by heart learns nothing more from them; their words, in other orders and between
words of other voices, still teach it. Words are found by forced alignment, cut where it is quietest between two of
them, and kept where the model hears that word, and no other, in the piece. OUT gets one FLAC per word (16 kHz) and a
manifest.csv with the speakers of RECORDINGS.
"""

import argparse
import csv
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from streamrnn import pretrained
from streamrnn.audio import read_audio, write_audio
from streamrnn.decisions import forced_alignment, transcript
from streamrnn.models import CTC
from streamrnn.recipes.recipe import outputs
from streamrnn.recipes.spoken import spoken_ids, trimmed
from streamrnn.training import read_manifest

# Recordings are padded to multiples of it, as each length is compiled anew.
PADDED_S = 2.0
QUIET_S = 0.02
AROUND_S = 0.25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--split", default="train")
    parser.add_argument("--model", default="digits", help="a CTC model: its name, or its .safetensors file")
    options = parser.parse_args()
    model = pretrained.load(options.model)
    if not isinstance(model, CTC):
        raise SystemExit(f"{options.model} is a {type(model).__name__}; words are aligned by a CTC model.")
    options.out.mkdir(parents=True, exist_ok=True)
    alphabet, rate = model.settings.alphabet, model.settings.sample_rate
    clips = spoken_ids(read_manifest(options.recordings, options.split), alphabet)
    rows, met = [], 0
    for clip, ids in ((clip, ids) for clip, ids in clips if len(ids) > 1):
        samples = read_audio(clip.path, rate)[0][clip.start : clip.end]
        for number, piece in enumerate(pieces(model, samples, ids)):
            met += 1
            word = alphabet.decode([ids[number]])
            if heard(model, np.pad(piece, round(AROUND_S * rate))) == word:
                path = f"{Path(clip.path).stem}_{number:02}_{word}.flac"
                write_audio(options.out / path, piece, rate)
                rows.append([path, clip.speaker, word, options.split])
    with (options.out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path", "speaker", "transcript", "split"], *rows])
    print(f"wrote {len(rows)} of {met} words to {options.out}")


def pieces(model: CTC, samples: np.ndarray, ids: Sequence[int]) -> Iterator[np.ndarray]:
    """The part of samples[n] in which each symbol is said, without the silence around it."""
    rate, block = model.settings.sample_rate, model.block_samples
    found = [(start * block, end * block) for start, end in forced_alignment(log_probabilities(model, samples), ids)]
    quiet = round(QUIET_S * rate)
    level = np.convolve(samples**2, np.ones(quiet), mode="same")
    cuts = [0]
    for (_, end), (start, _) in pairwise(found):
        # A symbol's frames may start or end a little within its neighbour.
        first, last = end - quiet, max(start, end) + quiet
        cuts.append(first + int(np.argmin(level[first:last])))
    for first, last in zip(cuts, [*cuts[1:], len(samples)], strict=True):
        yield trimmed(samples[first:last], rate)[0]


def heard(model: CTC, samples: np.ndarray) -> str:
    """What greedy search finds in samples[n]."""
    probabilities = np.exp(log_probabilities(model, samples))
    decoder = model.decoder()
    return transcript(decoder.push(probabilities) + decoder.finish(len(probabilities) * model.frame_s))


def log_probabilities(model: CTC, samples: np.ndarray) -> np.ndarray:
    """float32[frames, symbols] of samples[n] and of silence after them."""
    padded_samples = round(PADDED_S * model.settings.sample_rate)
    padded = np.pad(samples, (0, -len(samples) % padded_samples))
    blocks = jnp.asarray(padded.reshape(1, -1, model.settings.hop_samples))
    return np.asarray(jax.nn.log_softmax(outputs(model, blocks)[0]))


if __name__ == "__main__":
    main()
