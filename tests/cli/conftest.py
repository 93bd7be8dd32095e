"""An untrained model on disk, some sound, and a command line that leaves this process's settings alone."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

# By the name that the package keeps once it is fetched: it must not keep the one that takes its place below.
from streamrnn import load
from streamrnn.audio import write_audio
from streamrnn.cli import main
from streamrnn.models import VoiceActivity, VoiceActivitySettings
from streamrnn.pretrained import save


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small untrained voice activity model: its probabilities lie around one half."""
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    model = VoiceActivity(VoiceActivitySettings(mels=20, channels=8, hidden=8), rngs=nnx.Rngs(0))
    save(model, path, task="vad", figures={"validation": 0.875})
    return path


@pytest.fixture(scope="session")
def sound_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of noise, mono, 16 kHz."""
    path = tmp_path_factory.mktemp("sound") / "noise.wav"
    write_audio(path, np.random.default_rng(0).uniform(-0.3, 0.3, 32_000).astype(np.float32), 16_000)
    return path


cached_load = cache(load)


@pytest.fixture
def streamrnn(monkeypatch: pytest.MonkeyPatch):
    """The command line, in this process: streamrnn("run", ...) -> exit status."""
    # One compiled step per model object: loading the file again would compile again.
    monkeypatch.setattr("streamrnn.pretrained.load", cached_load)
    # Process-wide settings of JAX would reach the tests that come after.
    for place in ("runtime", "cli.evaluate", "cli.audit"):
        monkeypatch.setattr(f"streamrnn.{place}.configure", lambda **_settings: None)
    for place in ("runtime", "cli.train"):
        monkeypatch.setattr(f"streamrnn.{place}.keep_memory", lambda: None)
    return lambda *args: main([str(arg) for arg in args])
