"""The way back: frames of sound that a model gave -> sound in place of what the caller's stream brought."""

from collections import deque
from typing import Any

import numpy as np
from jaxtyping import Float

from streamrnn.audio import StreamingResampler


class WayBack:
    """Gives a stream's sound back at its own rate: sample n belongs to sample n of what was heard, and as many come out
    as went in. Every way of cutting the same sound gives the same samples, bit for bit.

    `hear` may be called by another thread than the rest.

    Args:
        model_rate: of the frames, samples per second.
        sample_rate: the stream's own.
        original_share: how much of what was heard stays in what is given, 0 to 1.

    Raises:
        AudioError: a sample rate is out of range.
    """

    def __init__(self, model_rate: int, sample_rate: int, original_share: float):
        self._share = original_share
        self._resampler = StreamingResampler(model_rate, sample_rate) if sample_rate != model_rate else None
        self._arrived: deque[Float[np.ndarray, " samples"]] = deque()
        self._waiting = np.zeros(0, np.float32)

    @property
    def delay_s(self) -> float:
        """What resampling adds to the latency, in seconds."""
        return self._resampler.delay_s if self._resampler is not None else 0.0

    def hear(self, samples: Float[np.ndarray, " samples"]) -> None:
        """Takes what the stream brings, before the frames that come of it."""
        self._arrived.append(samples)

    def give(self, frames: Float[np.ndarray, "frames out"], ended: bool = False) -> Float[np.ndarray, " samples"]:
        """The stream's sound that these frames complete, float32[samples]; once the stream has ended, all the rest."""
        enhanced = self._at_own_rate(frames.ravel(), ended)
        self._waiting = np.concatenate([self._waiting, *self._all_arrived()])
        # Never more than was heard: the last block was padded.
        enhanced = enhanced[: len(self._waiting)]
        original, self._waiting = np.split(self._waiting, [len(enhanced)])
        return np.float32(1 - self._share) * enhanced + np.float32(self._share) * original

    def reset(self) -> None:
        """Forgets everything."""
        self._arrived.clear()
        self._waiting = self._waiting[:0]
        if self._resampler is not None:
            self._resampler.reset()

    def snapshot(self) -> tuple[Float[np.ndarray, " samples"], Any]:
        """What was heard and not yet given back, and the resampler's state (None where there is none)."""
        waiting = np.concatenate([self._waiting, *self._arrived])
        return waiting, self._resampler.snapshot() if self._resampler is not None else None

    def restore(self, waiting: Float[np.ndarray, " samples"], resampler: Any) -> None:
        """Goes on from a snapshot of a stream of the same rates.

        Raises:
            AudioError: it is of other rates; nothing has changed then.
        """
        if self._resampler is not None:
            self._resampler.restore(resampler)
        self._arrived.clear()
        self._waiting = waiting.copy()

    def _at_own_rate(self, samples: Float[np.ndarray, " n"], ended: bool) -> Float[np.ndarray, " m"]:
        if self._resampler is None:
            return samples
        resampled = self._resampler.process(samples)
        return np.concatenate([resampled, self._resampler.flush()]) if ended else resampled

    def _all_arrived(self) -> list[Float[np.ndarray, " _samples"]]:
        # One by one: another thread may be adding to it.
        return [self._arrived.popleft() for _ in range(len(self._arrived))]


__all__ = ["WayBack"]
