"""The bootstrap over speakers: clips of one speaker are not independent, but speakers are."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from streamrnn.audit.telling import Floats

REPLICATES = 2000
# Batch size of replicates that keeps the sums of long histograms within some ten MB.
AT_A_TIME = 100
# With fewer speakers, a bootstrap's intervals are too narrow to mean anything.
FEWEST = 8


def speaker_numbers(speakers: Sequence[str], each_clip_alone: bool = False) -> NDArray[np.intp]:
    """The number of each clip's speaker, from 0 on, [clips].

    Args:
        speakers: of each clip.
        each_clip_alone: treat every clip as another speaker's.

    Raises:
        ValueError: a speaker is unknown.
    """
    if each_clip_alone:
        return np.arange(len(speakers))
    if unknown := sum(not speaker for speaker in speakers):
        raise ValueError(
            f"{unknown} of {len(speakers)} clips have no speaker. Clips of one speaker are not independent, so "
            "intervals need the column speaker in manifest.csv. Add it, or pass --each-clip-alone if no two are of "
            "one speaker."
        )
    return np.unique(speakers, return_inverse=True)[1]


def added(values: Floats, numbers: NDArray[np.intp]) -> Floats:
    """values[clips, ...] summed over the clips of each number, [numbers, ...]."""
    sums = np.zeros((int(numbers.max(initial=-1)) + 1, *values.shape[1:]))
    np.add.at(sums, numbers, values)
    return sums


def resampled(
    of_speaker: Floats, strata: Sequence[object], replicates: int = REPLICATES, seed: int = 0
) -> Iterator[Floats]:
    """Sums of speakers drawn with replacement, float64[AT_A_TIME or less, ...] at a time, `replicates` in all.

    Args:
        of_speaker: sums of each speaker, [speakers, ...].
        strata: of each speaker; speakers are only exchanged within a stratum, so that no draw lacks one.
        replicates, seed: number of draws; equal seeds give equal draws.
    """
    rng = np.random.default_rng(seed)
    flat = of_speaker.reshape(len(of_speaker), -1)
    members = [np.flatnonzero([other == stratum for other in strata]) for stratum in dict.fromkeys(strata)]
    for start in range(0, replicates, AT_A_TIME):
        weights = np.zeros((min(AT_A_TIME, replicates - start), len(flat)))
        for of in members:
            weights[:, of] = rng.multinomial(len(of), np.full(len(of), 1 / len(of)), len(weights))
        yield (weights @ flat).reshape(-1, *of_speaker.shape[1:])


def interval(values: Floats, confidence: float = 0.95) -> list[float]:
    """The central [low, high] interval of bootstrap replicates, ignoring undefined ones."""
    low, high = np.nanquantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return [float(low), float(high)]


def replicated(
    of_speaker: Floats, strata: Sequence[object], figure: Callable[[Floats], Floats], replicates: int = REPLICATES
) -> Floats:
    """figure(sums) of every replicate, [replicates, ...]."""
    return np.concatenate([figure(sums) for sums in resampled(of_speaker, strata, replicates)])


__all__ = ["FEWEST", "REPLICATES", "added", "interval", "replicated", "resampled", "speaker_numbers"]
