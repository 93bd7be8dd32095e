"""Forced alignment: the positions of known symbols in a recording, from a CTC model's outputs."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from streamrnn.decisions.search import BLANK


def forced_alignment(log_probabilities: NDArray[np.floating], ids: Sequence[int]) -> list[tuple[int, int]]:
    """Aligns a recording with known symbols: the frames of each, (first, one past the last), on the likeliest path.

    CTC's symbols are shorter than the spoken words: a symbol's frames are within its word, often only one or two near
    the end. Symbols do not overlap; blank frames between them belong to none.

    Source: the Viterbi algorithm on the lattice of Graves et al., "Connectionist temporal classification", ICML 2006.

    Args:
        log_probabilities: of the blank (0) and the symbols in each frame, [frames, 1 + symbols].
        ids: the spoken symbols, from 1 on; may be empty.

    Raises:
        ValueError: an id is not a symbol, or there are fewer frames than `frames_needed`.
    """
    frames, symbols = log_probabilities.shape
    if wrong := [i for i in ids if not 1 <= i < symbols]:
        raise ValueError(f"forced_alignment got id {wrong[0]}; ids must be from 1 to {symbols - 1}.")
    if frames < (needed := frames_needed(ids)):
        raise ValueError(f"{len(ids)} symbols need {needed} frames, but there are {frames}. Check the transcript.")
    # States of the lattice: blank, first symbol, blank, second symbol, ..., blank.
    states = np.zeros(2 * len(ids) + 1, int)
    states[1::2] = ids
    path = _likeliest_path(log_probabilities[:, states], _skips(states))
    return [(int(of[0]), int(of[-1]) + 1) for of in (np.flatnonzero(path == s) for s in range(1, len(states), 2))]


def frames_needed(ids: Sequence[int]) -> int:
    """The fewest frames that CTC needs for the ids: one for each, and a blank frame between equal neighbours."""
    return len(ids) + sum(a == b for a, b in pairwise(ids))


def _skips(states: np.ndarray) -> np.ndarray:
    """Marks states that a path may enter from two states back, past a blank: symbols that differ from the previous
    one."""
    skips = states != BLANK
    skips[:2] = False
    skips[2:] &= states[2:] != states[:-2]
    return skips


def _likeliest_path(scores: np.ndarray, skips: np.ndarray) -> np.ndarray:
    """The state of each frame. scores[frame, state] are log-probabilities."""
    frames, states = scores.shape
    if not frames:
        return np.zeros(0, int)
    came = np.zeros((frames, states), int)
    best = np.where(np.arange(states) < 2, scores[0], -np.inf)
    for t in range(1, frames):
        one = np.concatenate([[-np.inf], best[:-1]])
        two = np.where(skips, np.concatenate([[-np.inf, -np.inf], best[:-2]])[:states], -np.inf)
        before = np.stack([best, one, two])
        came[t] = np.argmax(before, axis=0)
        best = before.max(axis=0) + scores[t]
    path = np.empty(frames, int)
    path[-1] = states - 2 + int(best[-1] >= best[-2]) if states > 1 else 0
    for t in range(frames - 1, 0, -1):
        path[t - 1] = path[t] - came[t, path[t]]
    return path


__all__ = ["forced_alignment", "frames_needed"]
