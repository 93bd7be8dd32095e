"""Transcription errors: word and character error rates, and their confidence intervals."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class ErrorRate:
    """The errors of a hypothesis against its reference; adding them up gives the errors over several texts.

    Attributes:
        substitutions: reference tokens recognised as other tokens.
        insertions: recognised tokens that are not in the reference.
        deletions: reference tokens that were not recognised.
        reference_length: number of tokens in the reference.
    """

    substitutions: int = 0
    insertions: int = 0
    deletions: int = 0
    reference_length: int = 0

    @property
    def errors(self) -> int:
        """Substitutions, insertions and deletions."""
        return self.substitutions + self.insertions + self.deletions

    @property
    def rate(self) -> float:
        """Errors per reference token, 0 or more; above 1 with many insertions, infinite for an empty reference."""
        if not self.reference_length:
            return math.inf if self.errors else 0.0
        return self.errors / self.reference_length

    def __add__(self, other: "ErrorRate") -> "ErrorRate":
        return ErrorRate(
            self.substitutions + other.substitutions,
            self.insertions + other.insertions,
            self.deletions + other.deletions,
            self.reference_length + other.reference_length,
        )


def token_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorRate:
    """The fewest edits from the reference to the hypothesis (Levenshtein, 1966), counted by kind.

    Ties are broken from the end: substitutions are preferred to deletions, and deletions to insertions.
    """
    costs = _edit_costs(reference, hypothesis)
    i, j, edits = len(reference), len(hypothesis), [0, 0, 0]
    while i or j:
        differs = int(not (i and j) or reference[i - 1] != hypothesis[j - 1])
        if i and j and costs[i, j] == costs[i - 1, j - 1] + differs:
            i, j, edits[0] = i - 1, j - 1, edits[0] + differs
        elif i and costs[i, j] == costs[i - 1, j] + 1:
            i, edits[2] = i - 1, edits[2] + 1
        else:
            j, edits[1] = j - 1, edits[1] + 1
    return ErrorRate(*edits, reference_length=len(reference))


def word_errors(reference: str, hypothesis: str) -> ErrorRate:
    """`token_errors` of the words of two texts, split at white space; case matters."""
    return token_errors(reference.split(), hypothesis.split())


def character_errors(reference: str, hypothesis: str) -> ErrorRate:
    """`token_errors` of the characters of two texts, including single spaces between words; case matters."""
    return token_errors(" ".join(reference.split()), " ".join(hypothesis.split()))


def word_error_rate(pairs: Iterable[tuple[str, str]]) -> ErrorRate:
    """The total word errors of all pairs (reference, hypothesis)."""
    return sum((word_errors(*pair) for pair in pairs), ErrorRate())


def character_error_rate(pairs: Iterable[tuple[str, str]]) -> ErrorRate:
    """The total character errors of all pairs (reference, hypothesis)."""
    return sum((character_errors(*pair) for pair in pairs), ErrorRate())


def bootstrap_interval(
    errors: ArrayLike, lengths: ArrayLike, confidence: float = 0.95, replicates: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """The confidence interval (low, high) of the error rate, sum(errors) / sum(lengths).

    Clips are resampled with replacement `replicates` times; the interval contains the middle share `confidence` of the
    resulting rates. Source: Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance
    evaluation", ICASSP 2004. Clips should be independent: if speakers have several, pass sums per speaker.

    Args:
        errors: of each clip, [clips].
        lengths: reference tokens of each clip (for an accuracy: ones), [clips].
        confidence: in (0, 1).
        replicates: number of resamples.
        seed: the same seed gives the same interval.

    Raises:
        ValueError: shapes differ or are empty, or lengths are negative or sum to 0.
    """
    errors, lengths = np.asarray(errors, np.float64), np.asarray(lengths, np.float64)
    if errors.ndim != 1 or errors.shape != lengths.shape or not lengths.sum() > 0 or lengths.min() < 0:
        raise ValueError(
            f"bootstrap_interval got errors of shape {errors.shape} and lengths of shape {lengths.shape} that sum to "
            f"{lengths.sum()}; both need the same shape [clips], and lengths a positive sum. Pass one of each per clip."
        )
    rng = np.random.default_rng(seed)
    drawn = (rng.integers(errors.size, size=errors.size) for _ in range(replicates))
    sums = np.array([(errors[clips].sum(), lengths[clips].sum()) for clips in drawn])
    rates = sums[:, 0] / np.maximum(sums[:, 1], np.finfo(float).tiny)
    low, high = np.quantile(rates, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _edit_costs(reference: Sequence[str], hypothesis: Sequence[str]) -> np.ndarray:
    """Fewest edits from each prefix of the reference to each of the hypothesis, [reference + 1, hypothesis + 1]."""
    heard, columns = np.array(list(hypothesis), dtype=object), np.arange(len(hypothesis) + 1)
    costs = np.empty((len(reference) + 1, len(hypothesis) + 1), np.int64)
    costs[0] = columns
    for i, token in enumerate(reference, start=1):
        row = costs[i - 1] + 1
        row[1:] = np.minimum(row[1:], costs[i - 1, :-1] + (heard != token))
        # A row of insertions in one pass: each cell is the cheapest earlier cell plus its distance.
        costs[i] = np.minimum.accumulate(row - columns) + columns
    return costs


__all__ = [
    "ErrorRate",
    "bootstrap_interval",
    "character_error_rate",
    "character_errors",
    "token_errors",
    "word_error_rate",
    "word_errors",
]
