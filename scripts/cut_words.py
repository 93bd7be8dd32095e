"""Cuts transcribed recordings of several words into single words, for training to join anew.

    python scripts/cut_words.py RECORDINGS OUT

A model that knows the transcripts by heart learns nothing more from them; their words, in other orders and between
words of other voices, still teach it. Words are found by forced alignment and cut at quiet places between two of them,
the quietest where the model hears that word, and no other, in the piece; else the word is left out. OUT gets one FLAC
per word (16 kHz) and a manifest.csv with the speakers of RECORDINGS. Recordings in which the model hears anything else
than the transcript are named: these transcripts may be wrong.
"""

import argparse
import csv
from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from streamrnn import pretrained
from streamrnn.audio import write_audio
from streamrnn.data import read_manifest
from streamrnn.data.spoken import spoken_ids, trimmed
from streamrnn.decisions import forced_alignment, transcript
from streamrnn.models import CTC
from streamrnn.recipes.recipe import outputs

# Recordings are padded to multiples of it, as each length is compiled anew.
PADDED_S = 2.0
QUIET_S = 0.02
AROUND_S = 0.25
# Places between two words that are tried, as a word may be quieter within than at its end.
EDGES = 4


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
    for place, (clip, ids) in enumerate((clip, ids) for clip, ids in clips if len(ids) > 1):
        samples = clip.read(rate)
        whole = log_probabilities(model, [samples])[0]
        if (text := heard(model, whole)) != alphabet.decode(ids):
            print(f"{clip.path.name}: {alphabet.decode(ids)!r}, and the model hears {text!r}")
        for number, piece in enumerate(words_in(model, samples, whole, ids)):
            met += 1
            if piece is not None:
                word = alphabet.decode([ids[number]])
                # Recordings in other folders may have the same name, and one may hold several clips.
                path = f"{Path(clip.path).stem}_{place:04}_{number:02}_{word}.flac"
                write_audio(options.out / path, piece, rate)
                rows.append([path, clip.speaker, word, options.split])
    with (options.out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path", "speaker", "transcript", "split"], *rows])
    print(f"wrote {len(rows)} of {met} words to {options.out}")


def words_in(model: CTC, samples: np.ndarray, whole: np.ndarray, ids: Sequence[int]) -> Iterator[np.ndarray | None]:
    """The part of samples[n] in which each symbol is said, without the silence around it; None where none sounds so.

    `whole` are the log-probabilities of the samples.
    """
    rate, block = model.settings.sample_rate, model.block_samples
    frames = forced_alignment(whole, ids)
    quiet = round(QUIET_S * rate)
    level = np.convolve(samples**2, np.ones(quiet), mode="same")
    edges = [[0]]
    for (_, end), (start, _) in pairwise(frames):
        # A symbol's frames may start or end a little within its neighbour.
        edges.append(quietest(level, end * block - quiet, max(start, end) * block + quiet))
    edges.append([len(samples)])
    for symbol, (starts, ends) in zip(ids, pairwise(edges), strict=True):
        # The quietest edges first.
        pairs = sorted(product(enumerate(starts), enumerate(ends)), key=lambda pair: pair[0][0] + pair[1][0])
        pieces = [trimmed(samples[start:end], rate)[0] for (_, start), (_, end) in pairs]
        sounding = log_probabilities(model, [np.pad(piece, round(AROUND_S * rate)) for piece in pieces])
        word = model.settings.alphabet.decode([symbol])
        yield next((piece for piece, one in zip(pieces, sounding, strict=True) if heard(model, one) == word), None)


def quietest(level: np.ndarray, first: int, last: int) -> list[int]:
    """The quietest place from `first` to `last`, and the other places where it is quieter than on both sides."""
    part = level[first:last]
    dips = np.flatnonzero((part[1:-1] < part[:-2]) & (part[1:-1] <= part[2:])) + 1
    places = sorted({int(np.argmin(part)), *dips.tolist()}, key=lambda place: part[place])
    return [first + place for place in places[:EDGES]]


def heard(model: CTC, log_probabilities: np.ndarray) -> str:
    """What greedy search finds in log_probabilities[frames, symbols]."""
    decoder = model.decoder()
    events = decoder.push(np.exp(log_probabilities)) + decoder.finish(len(log_probabilities) * model.frame_s)
    return transcript(events)


def log_probabilities(model: CTC, recordings: Sequence[np.ndarray]) -> np.ndarray:
    """float32[recordings, frames, symbols] of recordings and of silence after them."""
    unit = round(PADDED_S * model.settings.sample_rate)
    longest = -(-max(map(len, recordings)) // unit) * unit
    rows = 1 if len(recordings) == 1 else EDGES**2
    padded = np.zeros((rows, longest), np.float32)
    for row, samples in zip(padded, recordings, strict=False):
        row[: len(samples)] = samples
    logits = outputs(model, jnp.asarray(padded.reshape(rows, -1, model.settings.hop_samples)))
    return np.asarray(jax.nn.log_softmax(logits))[: len(recordings)]


if __name__ == "__main__":
    main()
