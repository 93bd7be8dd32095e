"""Sound to measure with: speed does not depend on what is said, but numbers near zero can be slow."""

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float

from streamrnn.models import Model


def noise_and_tones(sample_rate: int, duration_s: float) -> Float[np.ndarray, " samples"]:
    """Noise with three tones that come and go every second: float32[n] in [-1, 1]."""
    t = np.arange(round(duration_s * sample_rate)) / sample_rate
    tones = np.sin(2 * np.pi * np.array([[220.0], [554.0], [1318.0]]) * t).sum(axis=0)
    noise = np.random.default_rng(0).normal(size=len(t))
    return (0.1 * tones * (t % 1 < 0.5) + 0.02 * noise).astype(np.float32)


def chunks(model: Model) -> Iterator[Float[np.ndarray, " block_samples"]]:
    """Chunks of exactly one block each, without end: what a live stream of the model gets."""
    sound = noise_and_tones(model.sample_rate, 10.0)
    whole_blocks = len(sound) // model.block_samples
    return cycle(sound[: whole_blocks * model.block_samples].reshape(whole_blocks, model.block_samples))


def batches(model: Model, batch_size: int, distinct: int = 50) -> Iterator[Float[np.ndarray, "batch stride hop"]]:
    """Inputs of the model's step, without end; they come round again after `distinct` ones."""
    live = chunks(model)
    shape = (batch_size, model.stride, model.hop_samples)
    return cycle([np.stack([next(live) for _ in range(batch_size)]).reshape(shape) for _ in range(distinct)])


def write_recording(path: Path, sample_rate: int, seconds: int) -> Path:
    """Writes a recording of whole seconds, mono, 16 bit. Returns its path."""
    second = noise_and_tones(sample_rate, 1.0)
    with soundfile.SoundFile(path, "w", sample_rate, 1, "PCM_16") as file:
        for _ in range(seconds):
            file.write(second)
    return path


__all__ = ["batches", "chunks", "noise_and_tones", "write_recording"]
