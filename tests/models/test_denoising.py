"""The noise suppression model: what holds before it has learned anything."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.contract import aligned
from streamrnn.models import Denoising, DenoisingSettings
from streamrnn.pretrained import load, save
from streamrnn.runtime import Listener

SMALL = DenoisingSettings(window_samples=60, hop_samples=20, bands=6, hidden=8)


@pytest.fixture(scope="module")
def model() -> Denoising:
    return Denoising(SMALL, rngs=nnx.Rngs(0))


_aligned = nnx.jit(aligned)


def enhanced(model: Denoising, samples: np.ndarray) -> np.ndarray:
    return np.asarray(_aligned(model, jnp.asarray(samples, jnp.float32).reshape(1, -1, model.hop_samples))).ravel()


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal(2000).astype(np.float32)


@pytest.fixture(scope="module")
def tone() -> np.ndarray:
    """Silence, and then a tone."""
    n = np.arange(2000)
    return (np.sin(0.8 * n) * (n > 1000)).astype(np.float32)


def test_an_untrained_model_holds_noise_back_and_passes_what_stands_out_of_it(model, noise, tone):
    y = enhanced(model, noise + tone)
    assert np.std(y[:1000]) < 0.7 * np.std(noise[:1000])
    assert np.corrcoef(tone[1000:], y[1000:])[0, 1] > 0.98


@pytest.mark.parametrize("gain", [0.01, 8.0])
def test_loudness_changes_nothing_but_loudness(model, noise, gain):
    expected = gain * enhanced(model, noise)
    np.testing.assert_allclose(enhanced(model, gain * noise), expected, atol=2e-3 * np.abs(expected).max())


def test_silence_stays_silence(model):
    assert np.abs(enhanced(model, np.zeros(2000, np.float32))).max() == 0


def test_what_is_silent_and_then_is_not_stays_finite(model, noise):
    assert np.isfinite(enhanced(model, np.concatenate([np.zeros(1000, np.float32), 10 * noise[:1000]]))).all()


def test_look_ahead_delays_sound_and_mask_alike(noise, tone):
    model = Denoising(DenoisingSettings(**{**vars(SMALL), "lookahead_frames": 2}), rngs=nnx.Rngs(0))
    assert model.lookahead == 4
    assert np.corrcoef(tone, enhanced(model, noise + tone))[0, 1] > 0.98


def test_the_default_is_small_and_soon_enough():
    model = nnx.eval_shape(lambda: Denoising(rngs=nnx.Rngs(0)))
    assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))) < 500_000
    assert model.algorithmic_latency_ms == pytest.approx(37.5)


def test_a_saved_model_comes_back(model, noise, tmp_path):
    save(model, tmp_path / "small")
    np.testing.assert_array_equal(enhanced(load(tmp_path / "small"), noise), enhanced(model, noise))


def test_a_listener_says_that_there_are_no_events_to_hear(model):
    with pytest.raises(TypeError, match=r"gives sound, not events\. Use streamrnn\.Enhancer"):
        Listener(model)
