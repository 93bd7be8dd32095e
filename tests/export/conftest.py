"""Exported models, each once; sound for them; small models of one layer."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from streamrnn.audio import read_audio
from streamrnn.export.metadata import about_model
from streamrnn.export.onnx import onnx_step
from streamrnn.models import Model
from streamrnn.pretrained import load

SAMPLES = Path(__file__).parents[2] / "audio_samples"


@dataclass(frozen=True)
class Settings:
    sample_rate: int = 800
    hop_samples: int = 8


class OneLayer(Model):
    """A network over raw frames, without a decoder."""

    def __init__(self, network, out_features, hop_samples=8):
        super().__init__(Settings(hop_samples=hop_samples), Settings(), network, out_features)


@pytest.fixture(scope="session")
def one_layer():
    """(network over frames of hop_samples numbers, its output features) -> a Model."""
    return OneLayer


@pytest.fixture(scope="session")
def model():
    """name -> that shipped model, loaded once."""
    return cache(load)


@pytest.fixture(scope="session")
def exported(model):
    """name -> the content of its ONNX file."""
    return cache(lambda name: onnx_step(model(name), about_model(name)).SerializeToString())


@pytest.fixture(scope="session")
def sound():
    """(recording, first and last second) -> float32[n] at 16 kHz."""

    def read(name, start_s=0.0, end_s=None):
        samples, _ = read_audio(SAMPLES / name, 16_000)
        return samples[round(16_000 * start_s) : None if end_s is None else round(16_000 * end_s)]

    return read


@pytest.fixture(scope="session")
def noise():
    """(batch, samples) -> float32 noise."""
    return lambda *shape: np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)


@pytest.fixture(scope="session")
def sorting():
    """A function of frames that has no ONNX here."""
    return lambda x: jnp.sort(x, axis=-1)
