"""The STFT against librosa, its inverse against the signal that went in."""

import functools

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from streamrnn import contract
from streamrnn.features import STFT, InverseSTFT

aligned = jax.jit(contract.aligned, static_argnums=0)

SIZES = [(8000, 200, 80), (8000, 400, 160), (16000, 400, 160), (16000, 512, 128), (16000, 256, 256)]

built = functools.cache(STFT)


def noise(*shape):
    return jnp.asarray(np.random.default_rng(0).uniform(-1, 1, shape), jnp.float32)


def spectra(batch, time):
    return jnp.asarray(np.fft.rfft(noise(batch, time, 512)), jnp.complex64)


@functools.partial(jax.jit, static_argnums=(1, 2))
def reconstruction(x, window, n_fft=None, mask=1.0):
    """STFT, then its inverse, as one aligned Chain would run them."""
    hop = x.shape[-1]
    analysis, synthesis = STFT(window, hop, n_fft), InverseSTFT(window, hop, n_fft)
    padded = jnp.pad(x, ((0, 0), (0, synthesis.lookahead), (0, 0)))
    _, spectrum = analysis.scan(analysis.init_state(x.shape[0]), padded)
    _, y = synthesis.scan(synthesis.init_state(x.shape[0]), mask * spectrum)
    return y[:, synthesis.lookahead :]


@pytest.mark.parametrize(("sample_rate", "window", "hop"), SIZES)
def test_the_stft_equals_librosa(any_signal, frames_of, relative_error, sample_rate, window, hop):
    x = frames_of(any_signal(sample_rate), hop)
    heard = np.pad(np.asarray(x).ravel(), (window - hop, 0))
    expected = librosa.stft(heard, n_fft=window, hop_length=hop, center=False).T
    assert relative_error(aligned(built(window, hop), x)[0], expected) <= 1e-5


def test_a_longer_fft_appends_zeros_to_each_segment(speech_like, frames_of, relative_error):
    x = frames_of(speech_like(16000), 160)
    heard = np.pad(np.asarray(x).ravel(), (240, 0))
    segments = librosa.util.frame(heard, frame_length=400, hop_length=160, axis=0)
    expected = np.fft.rfft(segments * librosa.filters.get_window("hann", 400), n=512)
    assert relative_error(aligned(STFT(400, 160, n_fft=512), x)[0], expected) <= 1e-5


@pytest.mark.parametrize("window", [400, 640, 160])
def test_stft_steps_equal_scan(stepped, window):
    layer, x = STFT(window, 160), noise(2, 9, 160)
    state, y = jax.jit(layer.scan)(layer.init_state(2), x)
    stepped_state, stepped_y = stepped(layer, x)
    np.testing.assert_array_equal(stepped_state, state)
    np.testing.assert_allclose(stepped_y, y, atol=1e-5)


@pytest.mark.parametrize("layer", [STFT(512, 128), InverseSTFT(512, 128)], ids=["STFT", "InverseSTFT"])
def test_a_chunk_of_length_zero_changes_nothing(layer):
    x = noise(2, 6, 128) if isinstance(layer, STFT) else spectra(2, 6)
    state, _ = jax.jit(layer.scan)(layer.init_state(2), x)
    after, y = jax.jit(layer.scan)(state, x[:, :0])
    assert y.shape[1] == 0
    np.testing.assert_array_equal(after, state)


def test_inverse_stft_steps_equal_scan(stepped):
    layer, x = InverseSTFT(512, 128), spectra(2, 9)
    state, y = jax.jit(layer.scan)(layer.init_state(2), x)
    stepped_state, stepped_y = stepped(layer, x)
    np.testing.assert_allclose(stepped_state, state, atol=1e-5)
    np.testing.assert_allclose(stepped_y, y, atol=1e-5)


@pytest.mark.parametrize(("window", "hop"), [(512, 128), (400, 100), (480, 160), (320, 32)])
def test_the_inverse_gives_back_every_sample_from_the_first_to_the_last(window, hop):
    x = noise(2, 20, hop)
    y = reconstruction(x, window)
    assert y.dtype == jnp.float32
    np.testing.assert_allclose(y, x, rtol=0, atol=1e-6)


def test_the_inverse_gives_back_a_signal_shorter_than_the_window():
    x = noise(1, 1, 128)
    np.testing.assert_allclose(reconstruction(x, 512), x, rtol=0, atol=1e-6)


def test_the_inverse_undoes_a_longer_fft():
    x = noise(2, 20, 100)
    np.testing.assert_allclose(reconstruction(x, 400, n_fft=512), x, rtol=0, atol=1e-6)


def test_a_spectrum_halved_gives_half_the_signal():
    x = noise(2, 20, 128)
    np.testing.assert_allclose(reconstruction(x, 512, mask=0.5), 0.5 * x, rtol=0, atol=1e-6)


def test_a_nan_stays_in_its_stream_and_leaves_after_one_window():
    x = noise(2, 20, 128).at[0, 5, 7].set(jnp.nan)
    layer = STFT(512, 128)
    is_nan = jnp.isnan(aligned(layer, x)).any(axis=-1)
    assert not is_nan[1].any()
    np.testing.assert_array_equal(np.flatnonzero(is_nan[0]), [5, 6, 7, 8])
    assert not jnp.isnan(reconstruction(x, 512)[1]).any()


def test_gradients_through_the_reconstruction_are_those_of_the_identity():
    x = noise(1, 12, 128)
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(reconstruction(x, 512) ** 2)))(x)
    np.testing.assert_allclose(gradient, 2 * x, rtol=0, atol=1e-5)


def test_states_have_the_stream_as_axis_zero():
    assert STFT(400, 160).init_state(3).shape == (3, 2, 160)
    assert STFT(160, 160).init_state(3).shape == (3, 0, 160)
    assert InverseSTFT(512, 128).init_state(3).shape == (3, 3, 128)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: STFT(160, 400), "hop <= window"),
        (lambda: STFT(400, 0), "1 <= hop"),
        (lambda: STFT(400, 160, n_fft=256), "n_fft >= 400"),
        (lambda: InverseSTFT(400, 160), "multiple of the hop"),
        (lambda: InverseSTFT(512, 256), "window / 4"),
        (lambda: InverseSTFT(512, 512), "window / 4"),
        (lambda: STFT(400, 160).scan(jnp.zeros((1, 2, 160)), jnp.zeros((1, 4, 80))), r"needs \[batch, time, 160\]"),
        (lambda: InverseSTFT(512, 128).scan(jnp.zeros((1, 3, 128)), jnp.zeros((1, 4, 256), complex)), r"time, 257\]"),
    ],
)
def test_sizes_that_cannot_work_are_explained(build, message):
    with pytest.raises(ValueError, match=message):
        build()
