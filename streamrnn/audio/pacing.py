"""Durations of chunks, and real-time pacing."""

import time
from collections.abc import Iterable, Iterator

import numpy as np

from streamrnn.audio.chunks import AudioError


def chunk_length(sample_rate: int, chunk_ms: float) -> int:
    """The number of samples in a chunk of this duration, at least 1.

    Raises:
        AudioError: sample_rate or chunk_ms is not positive.
    """
    if not (sample_rate > 0 and chunk_ms > 0):
        raise AudioError(f"sample_rate is {sample_rate} Hz and chunk_ms {chunk_ms}; both must be positive.")
    # A rate may be one of NumPy's short integers.
    return max(1, round(float(sample_rate) * chunk_ms / 1000))


def paced(chunks: Iterable[np.ndarray], sample_rate: int) -> Iterator[np.ndarray]:
    """The chunks, each at the time at which a microphone would have recorded it."""
    # Each chunk is due at a time counted from the start, so that late wake-ups do not add up.
    start_s = time.monotonic()
    samples = 0
    for chunk in chunks:
        samples += len(chunk)
        time.sleep(max(0.0, start_s + samples / sample_rate - time.monotonic()))
        yield chunk


__all__ = ["chunk_length", "paced"]
