"""Shipped models as exported files, which integrations load; recordings as 16 bit sound; segments to compare."""

from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from streamrnn.audio import read_audio

SAMPLES = Path(__file__).parents[2] / "audio_samples"
SOUNDS = sorted(path.name for path in SAMPLES.iterdir() if path.suffix in (".flac", ".ogg", ".wav"))
Segments = Sequence[Sequence[float]]
MOST_APART = 0.15


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory):
    """name -> the path of that shipped model's ONNX file."""

    @cache
    def write(name: str) -> Path:
        from streamrnn.export import export_onnx
        from streamrnn.pretrained import load

        path = tmp_path_factory.mktemp("models") / f"{name}.onnx"
        export_onnx(load(name), path)
        return path

    return write


@pytest.fixture(scope="session")
def recording():
    """(name, sample_rate, channels) -> int16[n] or [n, channels]."""

    def read(name: str, sample_rate: int, channels: int = 1) -> np.ndarray:
        sound = (read_audio(SAMPLES / name, sample_rate)[0] * 32767).astype(np.int16)
        return sound if channels == 1 else np.repeat(sound[:, None], channels, axis=1)

    return read


@pytest.fixture(scope="session")
def compact(tmp_path_factory: pytest.TempPathFactory):
    """(the path of vad-compact with Silero's signature, the model)."""
    from streamrnn.export import export_silero
    from streamrnn.pretrained import load

    path, model = tmp_path_factory.mktemp("compact") / "vad.onnx", load("vad-compact")
    export_silero(model, path)
    return path, model


def share_apart(found: Segments, ours: Segments, duration_s: float) -> float:
    """The share of a recording that is speech by one of two lists of segments alone."""
    heard = np.zeros((2, round(100 * duration_s)), bool)
    for line, segments in zip(heard, (found, ours), strict=True):
        for start_s, end_s in segments:
            line[round(100 * start_s) : round(100 * end_s)] = True
    return float((heard[0] != heard[1]).mean())


@pytest.fixture(scope="session")
def agree(compact, recording):
    """Holds a program that hears by vad-compact to speech_segments: the same segments, within a tenth of a second.

    (hear, name, hesitant=(), **decision): `hear` gets int16[n] at 16 kHz and gives starts and ends in seconds. Speech
    begins at 0.5 and ends below 0.35, as in these programs, not at what the model advises. In the `hesitant` recordings
    probabilities stay between the two thresholds, in noise or far away: there, most of the time alone is the same.
    """
    from streamrnn.runtime import speech_segments

    def check(hear, name: str, hesitant: Collection[str] = (), **decision) -> None:
        sound = np.concatenate([recording(name, 16_000), np.zeros(16_000, np.int16)])
        decided = {"threshold": 0.5, "off_threshold": 0.35, "padding_ms": 30} | decision
        found = hear(sound)
        ours = [(segment.start_s, segment.end_s) for segment in speech_segments(compact[1], sound, 16_000, **decided)]
        if name in hesitant:
            assert share_apart(found, ours, len(sound) / 16_000) < MOST_APART
            return
        assert len(found) == len(ours), f"{found} and {ours}"
        for pair, segment in zip(found, ours, strict=True):
            assert pair == pytest.approx(segment, abs=0.1)

    return check


@pytest.fixture(scope="session")
def silero_shaped(tmp_path_factory: pytest.TempPathFactory):
    """(the path of a file with Silero's signature, its model): speech is what exceeds about -40 dB for a while."""
    import jax.numpy as jnp
    from flax import nnx

    from streamrnn.cells import MinGRU
    from streamrnn.decisions import SpeechSettings
    from streamrnn.export import export_silero
    from streamrnn.layers import Apply, Chain, Dense, Recurrent
    from streamrnn.models import Model

    def above(frames):
        """Decibels above -40, at least -20."""
        return jnp.maximum(10 * jnp.log10(jnp.mean(frames**2, axis=-1, keepdims=True) + 1e-10) + 40, -20)

    # Its gates are one half: a mean over the last frames of x + 0.5 where that is positive, and of almost 0 elsewhere.
    cell, head = MinGRU(1, 1, rngs=nnx.Rngs(0)), Dense(1, 1, rngs=nnx.Rngs(1))
    cell.input.kernel[...], cell.input.bias[...] = jnp.array([[0.0, 1.0]]), jnp.zeros(2)
    head.kernel[...], head.bias[...] = jnp.full((1, 1), 4.0), jnp.full(1, -2.0)
    layer = Chain(Apply(above), Recurrent(cell), head)
    model = Model.of(layer, sample_rate=16_000, hop_samples=128, readout="sigmoid", decision=SpeechSettings())
    path = tmp_path_factory.mktemp("silero") / "vad.onnx"
    export_silero(model, path)
    return path, model
