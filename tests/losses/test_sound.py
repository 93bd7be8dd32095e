"""Sound losses against their formulas in plain NumPy, at silence, and with padding."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from streamrnn.losses import (
    Mean,
    Resolution,
    batch_si_sdr_db,
    compressed_spectrum_loss,
    multi_resolution_stft_loss,
    si_sdr_loss,
)

LENGTHS = np.int32([500, 400, 330])
SMALL = (Resolution(64, 16, 64), Resolution(50, 20, 128))

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


def scalar(loss):
    """The loss as a function that gives a scalar."""

    def value(*batch):
        found = loss(*batch)
        return found.value if isinstance(found, Mean) else found

    return value


def small_stft_loss(estimate, reference, lengths):
    return multi_resolution_stft_loss(estimate, reference, lengths, SMALL)


def small_compressed_loss(estimate, reference, lengths):
    return compressed_spectrum_loss(estimate, reference, lengths, SMALL[0])


LOSSES = {loss.__name__: loss for loss in (si_sdr_loss, small_stft_loss, small_compressed_loss)}
# One program per loss, for all tests: compiling is what takes time here.
PROGRAMS = {name: jax.jit(jax.value_and_grad(scalar(loss))) for name, loss in LOSSES.items()}
ratios_db = jax.jit(batch_si_sdr_db)

every_loss = pytest.mark.parametrize("name", LOSSES)


def run(name: str, *batch: np.ndarray) -> tuple[float, np.ndarray]:
    loss, gradient = PROGRAMS[name](*batch)
    return float(loss), np.asarray(gradient)


@pytest.fixture
def batch() -> Batch:
    """Noisy estimates and their references, tones in coloured noise at three levels, and LENGTHS; padded with zeros."""
    rng = np.random.default_rng(0)
    within = np.arange(512) < LENGTHS[:, None]
    reference = 0.3 * np.sin(np.arange(512) / 7) + 0.1 * rng.standard_normal((3, 512))
    reference *= within * np.array([[1.0], [0.1], [0.3]])
    estimate = reference + within * 0.02 * rng.standard_normal((3, 512))
    return estimate.astype(np.float32), reference.astype(np.float32), LENGTHS


def spectra(x: np.ndarray, resolution: Resolution) -> np.ndarray:
    """[frames, bins] of one recording, frame by frame, windows centred at multiples of the hop."""
    window, hop = resolution.window, resolution.hop
    padded = np.pad(x, (window // 2, window))
    hann = np.sin(np.pi * np.arange(window) / window) ** 2
    return np.array([np.fft.rfft(hann * padded[i : i + window], resolution.n_fft) for i in range(0, len(x), hop)])


def all_spectra(batch: np.ndarray, resolution: Resolution) -> np.ndarray:
    """Those of all recordings, one after the other, each cut to its length."""
    return np.concatenate([spectra(x[:n], resolution) for x, n in zip(batch, LENGTHS, strict=True)])


def si_sdr_formula(estimate: np.ndarray, reference: np.ndarray) -> np.ndarray:
    scale = np.sum(estimate * reference, 1, keepdims=True) / np.sum(reference**2, 1, keepdims=True)
    target = scale * reference
    return 10 * np.log10(np.sum(target**2, 1) / np.sum((target - estimate) ** 2, 1))


def stft_formula(estimate: np.ndarray, reference: np.ndarray) -> float:
    total = 0.0
    for resolution in SMALL:
        found, wanted = (np.maximum(np.abs(all_spectra(x, resolution)), 10**-3.5) for x in (estimate, reference))
        total += np.linalg.norm(wanted - found) / np.linalg.norm(wanted) + np.mean(np.abs(np.log(wanted / found)))
    return total / len(SMALL)


def compressed_formula(estimate: np.ndarray, reference: np.ndarray) -> float:
    level = np.sqrt(np.sum(reference**2, axis=1) / LENGTHS)[:, None]
    found, wanted = (all_spectra(x / level, SMALL[0]) for x in (estimate, reference))
    sizes = [np.abs(x) ** 0.3 for x in (found, wanted)]
    phases = [np.exp(1j * np.angle(x)) for x in (found, wanted)]
    with_phase = np.abs(sizes[0] * phases[0] - sizes[1] * phases[1]) ** 2
    return np.mean(0.3 * with_phase + 0.7 * (sizes[0] - sizes[1]) ** 2)


FORMULAS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "si_sdr_loss": lambda *pair: -np.mean(si_sdr_formula(*pair)),
    "small_stft_loss": stft_formula,
    "small_compressed_loss": compressed_formula,
}


@every_loss
def test_the_loss_is_its_formula(batch, name):
    loss, _ = run(name, *batch)
    assert loss == pytest.approx(FORMULAS[name](*(x.astype(np.float64) for x in batch[:2])), rel=1e-4)


@every_loss
def test_the_gradient_equals_finite_differences_of_the_formula(batch, name):
    estimate, reference = (x.astype(np.float64) for x in batch[:2])
    direction = np.random.default_rng(1).standard_normal(estimate.shape) * (estimate != 0)
    ahead, behind = (FORMULAS[name](estimate + step * direction, reference) for step in (1e-8, -1e-8))
    _, gradient = run(name, *batch)
    assert np.sum(gradient * direction) == pytest.approx((ahead - behind) / 2e-8, rel=1e-3)


@every_loss
def test_nothing_in_the_padding_reaches_the_loss_or_its_gradient(batch, name):
    estimate, reference, lengths = batch
    clean = run(name, *batch)
    padding = np.arange(512) >= lengths[:, None]
    estimate[padding] = reference[padding] = np.nan
    loss, gradient = run(name, *batch)
    assert loss == clean[0]
    np.testing.assert_array_equal(gradient, clean[1])
    assert np.all(gradient[padding] == 0) and np.any(gradient != 0)


@every_loss
def test_a_perfect_estimate_is_best_and_has_a_finite_gradient(batch, name):
    _, reference, lengths = batch
    loss, gradient = run(name, reference, reference, lengths)
    assert loss < run(name, *batch)[0]
    assert np.all(np.isfinite(gradient))


@every_loss
def test_a_batch_of_padding_costs_next_to_nothing(batch, name):
    loss, gradient = run(name, *batch[:2], np.zeros_like(LENGTHS))
    assert abs(loss) < 1e-5 and np.all(gradient == 0)


LOUDNESS = {"silent": 0.0, "nearly silent": 1e-20, "quiet": 1e-6, "as it is": 1.0, "far too loud": 1e6}


@every_loss
@pytest.mark.parametrize("of_reference", LOUDNESS)
@pytest.mark.parametrize("of_estimate", LOUDNESS)
def test_no_loudness_gives_nan_or_an_infinite_gradient(batch, name, of_estimate, of_reference):
    estimate, reference, lengths = batch
    scales = np.float32(LOUDNESS[of_estimate]), np.float32(LOUDNESS[of_reference])
    loss, gradient = run(name, scales[0] * estimate, scales[1] * reference, lengths)
    assert np.isfinite(loss) and np.all(np.isfinite(gradient))


@pytest.mark.parametrize("scale", [-1.0, 1e-2, 1e5])
def test_si_sdr_does_not_hear_the_scale(batch, scale):
    estimate, reference, _ = batch
    np.testing.assert_allclose(ratios_db(np.float32(scale) * estimate, reference), ratios_db(*batch[:2]), rtol=1e-4)


def test_si_sdr_ends_near_a_hundred_decibels(batch):
    estimate, reference, _ = batch
    silence = np.zeros_like(reference)
    perfect, useless = ratios_db(reference, reference), ratios_db(estimate, silence)
    assert np.all((perfect > 95) & (perfect <= 100)) and np.all((useless < -95) & (useless >= -100))
    np.testing.assert_array_equal(ratios_db(silence, silence), 0)


def test_recordings_that_should_be_silent_are_left_out_of_the_si_sdr_loss(batch):
    estimate, reference, _ = batch
    reference[1] = 0
    loss, gradient = run("si_sdr_loss", *batch)
    assert loss == pytest.approx(-np.mean(si_sdr_formula(estimate[::2], reference[::2])), rel=1e-4)
    assert np.all(gradient[1] == 0)


def test_the_compressed_spectrum_loss_counts_quiet_recordings_as_loud_ones(batch):
    estimate, reference, lengths = batch
    louder = np.float32(5) * estimate, np.float32(5) * reference, lengths
    assert run("small_compressed_loss", *louder)[0] == pytest.approx(run("small_compressed_loss", *batch)[0], rel=1e-5)


@pytest.mark.parametrize("n_samples", [1, 511, 16000])
@pytest.mark.parametrize("loss", [multi_resolution_stft_loss, compressed_spectrum_loss])
def test_the_default_resolutions_fit_recordings_of_any_length(loss, n_samples):
    recordings = jax.ShapeDtypeStruct((2, n_samples), jnp.float32)
    assert jax.eval_shape(scalar(loss), recordings, recordings).shape == ()


@pytest.mark.parametrize("loss", [si_sdr_loss, multi_resolution_stft_loss, compressed_spectrum_loss])
def test_bfloat16_estimates_are_compared_in_float32(loss):
    shape = (2, 1000)
    rough, reference = jax.ShapeDtypeStruct(shape, jnp.bfloat16), jax.ShapeDtypeStruct(shape, jnp.float32)
    assert jax.eval_shape(scalar(loss), rough, reference).dtype == jnp.float32


@pytest.mark.parametrize("sizes", [(64, 64, 64), (64, 0, 64), (64, 16, 32)])
def test_windows_that_do_not_overlap_or_fit_are_refused(sizes):
    with pytest.raises(ValueError, match="1 <= hop < window <= n_fft"):
        Resolution(*sizes)
