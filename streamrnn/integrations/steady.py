"""Denoising in which every call returns as many samples as it takes."""

import math
from typing import Any

import numpy as np

from streamrnn.audio import AudioError, as_samples
from streamrnn.runtime import Enhancer


class Steady:
    """An Enhancer whose calls each return as many samples as they take: first silence, for as long as the model ever
    holds sound back, then the sound, delayed by that much.

    Args:
        model: one that outputs sound, or a loaded export of one.
        sample_rate: 8,000 to 96,000.
        settings: decision settings that override the model's: max_attenuation_db.

    Raises:
        AudioError: the sample rate is out of range.
        TypeError, ValueError: the model does not output sound; an unknown setting, or one out of range.
    """

    def __init__(self, model: Any, sample_rate: int, **settings: Any):
        self.sample_rate = sample_rate
        self._enhancer = Enhancer(model, sample_rate, **settings)
        self.late_samples = math.ceil(self._enhancer.latency.algorithmic_ms * sample_rate / 1000)
        self._ready = np.zeros(self.late_samples, np.float32)

    def process(self, chunk: Any) -> np.ndarray:
        """Denoises a chunk of n samples and any number of channels, which are averaged; returns float32[n].

        Raises:
            AudioError, TypeError: the chunk is not sound; nothing of it was used.
        """
        samples = as_samples(chunk)
        ready = np.concatenate([self._ready, self._enhancer.process(samples)])
        given, self._ready = np.split(ready, [len(samples)])
        return given


def samples_of(data: bytes, channels: int) -> np.ndarray:
    """16-bit sound with that many interleaved channels as int16[n, channels].

    Raises:
        AudioError: it is not a whole number of samples of all channels.
    """
    if len(data) % (2 * channels):
        raise AudioError(
            f"a frame has {len(data)} bytes; {channels} channels of 16 bits need a multiple of {2 * channels}. Look "
            "for what cuts samples in two."
        )
    return np.frombuffer(data, np.int16).reshape(-1, channels)


__all__ = ["Steady", "samples_of"]
