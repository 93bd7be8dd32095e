"""Models are stable for hours: after an hour of mixed sound, a clip gives what it gave at the start."""

from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

import streamrnn
from streamrnn.audio import ChunkSource, fit_length, gain, mix_at_snr, read_audio
from streamrnn.runtime import run_file
from tests.shipped_models import OF_SOUND

SAMPLES = Path(__file__).parents[1] / "audio_samples"
RATE = 16_000
HOUR_S = 3600
# The same minutes come before the clip both times: what a model remembers of these is no drift. Digits forget by a
# factor of e in some 30 s.
LEAD_S = 300

# An hour takes some seconds. One model stands for all in every run; each is tried with the tests of the system.
MODELS = [pytest.param(name, marks=() if name == "vad" else pytest.mark.system) for name in OF_SOUND]


@cache
def recordings() -> list[np.ndarray]:
    return [
        read_audio(path, RATE)[0] for path in sorted(SAMPLES.glob("*.*")) if path.suffix in (".flac", ".ogg", ".wav")
    ]


def mixed_sound(seconds: int, seed: int):
    """Talk over noise at any level and SNR, silence now and then, in pieces of ten seconds: float32[n] each."""
    rng = np.random.default_rng(seed)
    noise = read_audio(SAMPLES / "noise_only.ogg", RATE)[0]
    for _ in range(seconds // 10):
        speech, background = (fit_length(x, 10 * RATE, rng) for x in (recordings()[rng.integers(11)], noise))
        piece = gain(mix_at_snr(speech, background, rng.uniform(-5, 30)), rng.uniform(-30, 0))
        yield piece if rng.random() > 0.1 else np.zeros_like(piece)


def clip_with_lead() -> np.ndarray:
    speech = read_audio(SAMPLES / "conversation.flac", RATE)[0]
    return np.concatenate([*mixed_sound(LEAD_S, seed=1), speech])


@pytest.mark.parametrize("name", MODELS)
def test_the_scores_of_a_clip_move_less_than_a_hundredth_after_an_hour(name: str):
    model, again = streamrnn.load(name), clip_with_lead()
    fresh = run_file(model, again, RATE)
    frames = round(LEAD_S / model.frame_s)
    late = run_file(model, ChunkSource(chain(mixed_sound(HOUR_S, seed=2), [again]), RATE))[-len(fresh) :]
    if name.startswith("phonemes"):
        # The peaks of sounds that are unsure move more; what is decided by them is the mean over a phrase.
        moved = np.abs(np.exp(late[frames:]) - np.exp(fresh[frames:]))
        assert moved.max() < 0.2 and np.mean(moved > 0.1) < 0.003
        assert np.mean(late[frames:].argmax(axis=1) == fresh[frames:].argmax(axis=1)) > 0.97
    else:
        np.testing.assert_allclose(late[frames:], fresh[frames:], atol=0.01)
