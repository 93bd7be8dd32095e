"""Signals to try the features on, and the ways to run layers over them."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from streamrnn.audio import read_audio

SAMPLES = Path(__file__).parents[2] / "audio_samples"


def _speech_like(sample_rate):
    """One second of gliding harmonics with pauses, over a little noise: float32[sample_rate] in [-1, 1]."""
    t = np.arange(sample_rate) / sample_rate
    phase = 2 * np.pi * np.cumsum(120 + 40 * np.sin(2 * np.pi * 0.9 * t)) / sample_rate
    voice = sum(np.sin(k * phase) / k for k in range(1, sample_rate // 340))
    loudness = np.clip(2 * np.sin(2 * np.pi * 2.5 * t), 0, 1)
    noise = np.random.default_rng(1).standard_normal(t.size)
    return (0.3 * loudness * voice + 0.003 * noise).astype(np.float32)


@functools.cache
def _recorded(sample_rate):
    """Two seconds of a sample recording: float32[2 * sample_rate] in [-1, 1]."""
    name = {8000: "telephone_8k.wav", 16000: "conversation.flac"}[sample_rate]
    return read_audio(SAMPLES / name, start=sample_rate // 2, stop=5 * sample_rate // 2)[0]


SIGNALS = {
    "a recording": _recorded,
    "speech": _speech_like,
    "silence": lambda sample_rate: np.zeros(sample_rate, np.float32),
    "clipped speech": lambda sample_rate: np.clip(50 * _speech_like(sample_rate), -1, 1),
    "direct current": lambda sample_rate: np.full(sample_rate, 0.5, np.float32),
}


@pytest.fixture
def speech_like():
    return _speech_like


@pytest.fixture(params=SIGNALS)
def any_signal(request):
    """sample_rate -> float32[n], once for each kind of signal."""
    return SIGNALS[request.param]


@pytest.fixture
def frames_of():
    """(signal[n], hop) -> [1, n // hop, hop]."""
    return lambda signal, hop: jnp.asarray(signal[: len(signal) // hop * hop].reshape(1, -1, hop))


@functools.cache
def _compiled_scan(layers):
    def scan(x):
        for layer in layers:
            _, x = layer.scan(layer.init_state(x.shape[0]), x)
        return x

    return jax.jit(scan)


@pytest.fixture
def scanned():
    """(layers, x) -> the outputs of the layers, one after the other, each from a fresh state."""
    return lambda layers, x: _compiled_scan(tuple(layers))(x)


@pytest.fixture
def stepped():
    """(layer, x) -> the last state and the outputs of the layer, frame by frame."""

    def run(layer, x):
        step = jax.jit(layer.step)
        state, outputs = layer.init_state(x.shape[0]), []
        for frame in np.split(np.asarray(x), x.shape[1], axis=1):
            state, y = step(state, jnp.asarray(frame))
            outputs.append(y)
        return state, np.concatenate(outputs, axis=1)

    return run


@pytest.fixture
def relative_error():
    """(a, b) -> max|a - b| / max|b|, where all of b may be 0."""

    def measure(a, b):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        return np.max(np.abs(a - b)) / (np.max(np.abs(b)) or 1.0)

    return measure
