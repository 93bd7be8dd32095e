"""Noisy phoneme probabilities of texts, as a recogniser would give them: for tests of what is made of them."""

from collections.abc import Sequence

import numpy as np

from streamrnn.phonetics import IDS, PHONEMES, words_of

LABELS = ("", *PHONEMES)
FRAME_S = 0.04


def sounds(text: str) -> list[str]:
    """The phonemes of a text, each word as it is said most often."""
    return [sound for word in words_of(text) for sound in word.ways[0]]


def heard(phonemes: Sequence[str], seed: int = 0, noise: float = 0.15, pause: int = 10) -> np.ndarray:
    """Log probabilities float32[frames, labels]: each phoneme has a peak of one or two frames with up to two blank ones
    behind it; another symbol takes a share of up to `noise` of each frame. Around are `pause` frames of blanks."""
    rng = np.random.default_rng(seed)
    symbols = [0] * pause
    for phoneme in phonemes:
        symbols += [IDS[phoneme]] * int(rng.integers(1, 3)) + [0] * int(rng.integers(0, 3))
    symbols += [0] * pause
    p = rng.dirichlet(np.full(len(LABELS), 0.05), len(symbols)) * rng.uniform(0, noise, (len(symbols), 1))
    p[np.arange(len(symbols)), symbols] += 1 - p.sum(axis=1)
    return np.log(np.maximum(p, 1e-9)).astype(np.float32)


def babble(seed: int, phonemes: int) -> list[str]:
    """Phonemes at random."""
    return np.random.default_rng(seed).choice(PHONEMES, phonemes).tolist()
