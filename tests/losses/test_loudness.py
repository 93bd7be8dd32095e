"""The audible disturbance against PESQ itself, against what it promises to forgive, at silence, and with padding."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import istft, lfilter, stft

from streamrnn.audio import mixing, read_audio
from streamrnn.losses import disturbance_loss

SAMPLES = Path(__file__).parents[2] / "audio_samples"
RATE, SECONDS = 16_000, 3
# One program for all tests: compiling is what takes time here.
run = jax.jit(jax.value_and_grad(lambda *batch: disturbance_loss(*batch).value))


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """Three recordings of different voices, float32[3, samples]."""
    starts = {"conversation.flac": 1.0, "commands.flac": 0.0, "digits.flac": 0.5}
    cuts = [read_audio(SAMPLES / name, RATE)[0][round(start * RATE) :] for name, start in starts.items()]
    return np.stack([cut[: SECONDS * RATE] for cut in cuts])


@pytest.fixture(scope="module")
def noise(speech) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([mixing.coloured_noise(speech.shape[1], slope, rng) for slope in (0.0, 1.0, 1.5)])


def lengths(speech: np.ndarray) -> np.ndarray:
    return np.full(len(speech), speech.shape[1], np.int32)


def loss(estimate: np.ndarray, reference: np.ndarray) -> float:
    return float(run(estimate.astype(np.float32), reference, lengths(reference))[0])


def at_snr(speech: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    return np.stack([mixing.mix_at_snr(*pair, snr_db) for pair in zip(speech, noise, strict=True)])


def masked(noisy: np.ndarray, clean: np.ndarray, exponent: float) -> np.ndarray:
    """The noisy recording through the ideal ratio mask to some power."""
    heard, wanted = (stft(x, nperseg=512)[2] for x in (noisy, clean))
    mask = (np.abs(wanted) / (np.abs(wanted) + np.abs(heard - wanted) + 1e-6)) ** exponent
    return istft(heard * mask, nperseg=512)[1][..., : noisy.shape[-1]].astype(np.float32)


def test_it_follows_pesq_from_noisy_speech_to_enhanced_speech(speech, noise):
    pesq = pytest.importorskip("pesq").pesq
    noisy = [at_snr(speech, noise, snr_db) for snr_db in (0, 5, 10, 20)]
    recordings = noisy + [masked(x, speech, exponent) for x in noisy[:3] for exponent in (0.3, 1.0, 2.0)]
    scores = [pesq(RATE, clean, x, "wb") for batch in recordings for clean, x in zip(speech, batch, strict=True)]
    # Back from the scale of listeners' opinions to the raw score (P.862.2, equation 1).
    raw = (4.6607 - np.log(4 / (np.array(scores) - 0.999) - 1)) / 1.4945
    one_by_one = jax.jit(jax.vmap(lambda x, clean: disturbance_loss(x[None], clean[None]).value))
    found = np.concatenate([one_by_one(jnp.asarray(batch), jnp.asarray(speech)) for batch in recordings])
    assert np.corrcoef(found, raw)[0, 1] < -0.9
    np.testing.assert_allclose(np.mean(found), np.mean(4.5 - raw), atol=0.3)


def test_a_perfect_estimate_of_whatever_level_costs_nothing(speech):
    assert loss(speech, speech) < 0.01
    assert loss(0.1 * speech, speech) < 0.01


def test_more_noise_costs_more(speech, noise):
    costs = [loss(at_snr(speech, noise, snr_db), speech) for snr_db in (30, 20, 10, 0)]
    assert costs == sorted(costs) and costs[-1] > 2 * costs[0] > 0


def test_a_steady_colour_costs_less_than_noise_of_that_size(speech, noise):
    coloured = np.asarray(lfilter([1.0, 0.5], [1.0], speech))
    level = coloured * np.sum(coloured * speech) / np.sum(coloured**2)
    snr_db = 10 * np.log10(np.sum(speech**2) / np.sum((level - speech) ** 2))
    assert loss(coloured, speech) < loss(at_snr(speech, noise, snr_db), speech) / 3


def test_what_is_added_costs_more_than_what_is_missing(speech):
    tone = np.float32(0.02) * np.sin(2 * np.pi * 2000 / RATE * np.arange(speech.shape[1]))
    both = (speech + tone).astype(np.float32)
    assert loss(both, speech) > 1.3 * loss(speech, both)


def test_nothing_in_the_padding_reaches_the_loss_or_its_gradient(speech, noise):
    noisy, clean, shorter = at_snr(speech, noise, 5), speech.copy(), np.array([speech.shape[1], 30_000, 9000], np.int32)
    before = run(noisy, clean, shorter)
    padding = np.arange(speech.shape[1]) >= shorter[:, None]
    noisy[padding] = clean[padding] = np.nan
    after, gradient = run(noisy, clean, shorter)
    assert after == before[0] and np.all(gradient[padding] == 0)
    np.testing.assert_array_equal(gradient, before[1])


@pytest.mark.parametrize("of_reference", [0.0, 1e-20, 1e-6, 1.0, 1e4])
@pytest.mark.parametrize("of_estimate", [0.0, 1e-20, 1e-6, 1.0, 1e4])
def test_no_loudness_gives_nan_or_an_infinite_gradient(speech, noise, of_estimate, of_reference):
    estimate = np.float32(of_estimate) * at_snr(speech, noise, 10)
    cost, gradient = run(estimate, np.float32(of_reference) * speech, lengths(speech))
    assert np.isfinite(cost) and np.all(np.isfinite(gradient))


def test_recordings_that_should_be_silent_are_left_out(speech, noise):
    noisy, clean = at_snr(speech, noise, 10), speech.copy()
    clean[1] = 0
    cost, gradient = run(noisy, clean, lengths(speech))
    kept = [loss(noisy[[i, i, i]], speech[[i, i, i]]) for i in (0, 2)]
    assert cost == pytest.approx(np.mean(kept), rel=1e-4) and np.all(gradient[1] == 0)


@pytest.mark.parametrize(("sample_rate", "n_samples"), [(16_000, 1), (8_000, 700), (48_000, 4801)])
def test_it_fits_any_length_and_rate(sample_rate, n_samples):
    rng = np.random.default_rng(1)
    estimate, reference = rng.standard_normal((2, 1, n_samples)).astype(np.float32)
    assert np.isfinite(disturbance_loss(jnp.asarray(estimate), jnp.asarray(reference), sample_rate=sample_rate).value)
