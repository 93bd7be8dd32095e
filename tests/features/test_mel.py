"""Mel spectra, MFCC and deltas against librosa."""

import functools
import subprocess
import sys

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
import scipy.fft
from flax import nnx

from streamrnn import contract
from streamrnn.contract import Constant
from streamrnn.features import DCT, Decibels, Deltas, MelFilterbank, PowerSpectrum, log_mel, mfcc
from streamrnn.pretrained import load

aligned = jax.jit(contract.aligned, static_argnums=0)

SIZES = [(8000, 200, 80, 20), (8000, 400, 160, 32), (16000, 400, 160, 40), (16000, 512, 128, 64)]

built = functools.cache(mfcc)


def librosa_mel(x, sample_rate, window, n_mels):
    hop = x.shape[-1]
    heard = np.pad(np.asarray(x).ravel(), (window - hop, 0))
    sizes = {"n_fft": window, "hop_length": hop, "n_mels": n_mels}
    return librosa.feature.melspectrogram(y=heard, sr=sample_rate, center=False, **sizes)


def noise(*shape):
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)


@pytest.mark.parametrize(("sample_rate", "window", "hop", "n_mels"), SIZES)
def test_mel_log_mel_and_mfcc_equal_librosa(
    any_signal, frames_of, scanned, relative_error, sample_rate, window, hop, n_mels
):
    x = frames_of(any_signal(sample_rate), hop)
    *to_mel, decibels, dct = built(sample_rate, window, hop, n_mels, n_mfcc=13)
    expected_mel = librosa_mel(x, sample_rate, window, n_mels)
    expected_db = librosa.power_to_db(expected_mel, ref=1, top_db=None)
    mel = scanned(to_mel, x)
    assert relative_error(mel[0], expected_mel.T) <= 1e-4
    assert relative_error(decibels(mel)[0], expected_db.T) <= 1e-4
    assert relative_error(dct(decibels(mel))[0], librosa.feature.mfcc(S=expected_db, n_mfcc=13).T) <= 1e-4


def test_filters_in_a_band_with_a_longer_fft_equal_librosa(relative_error):
    filterbank = MelFilterbank(16000, n_fft=512, n_mels=32, f_min_hz=60.0, f_max_hz=7600.0)
    expected = librosa.filters.mel(sr=16000, n_fft=512, n_mels=32, fmin=60.0, fmax=7600.0)
    spectrum = jnp.abs(noise(2, 5, 257))
    assert relative_error(filterbank(spectrum), spectrum @ expected.T) <= 1e-6


def test_log_mel_builds_its_filters_for_the_longer_fft(scanned):
    layers = log_mel(16000, 400, 160, n_mels=40, n_fft=512)
    assert scanned(layers, noise(1, 4, 160)).shape == (1, 4, 40)


def test_silence_lies_at_the_floor_in_decibels(scanned):
    y = scanned(log_mel(16000, 400, 160, n_mels=40), jnp.zeros((1, 4, 160)))
    np.testing.assert_allclose(y, -100.0, rtol=1e-6)


def test_gradients_of_log_mel_are_finite_in_silence_and_alive_in_sound(scanned):
    layers = log_mel(16000, 400, 160, n_mels=20)
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(scanned(layers, x))))
    np.testing.assert_array_equal(gradient(jnp.zeros((1, 4, 160))), 0.0)
    sound = gradient(noise(1, 4, 160))
    assert jnp.isfinite(sound).all()
    assert (jnp.abs(sound[0, :3]).max(axis=-1) > 0).all()


def test_a_nan_stays_in_its_stream(scanned):
    x = noise(3, 6, 160)
    layers = (*mfcc(16000, 400, 160, n_mels=20, n_mfcc=13), Deltas(13, width=3))
    y = scanned(layers, x.at[1].set(jnp.nan))
    assert jnp.isnan(y[1, 2:]).all()
    np.testing.assert_allclose(y[::2], scanned(layers, x)[::2], rtol=1e-5, atol=1e-5)


def test_power_is_the_squared_magnitude():
    x = jnp.asarray([[[3 + 4j, -1j, 0]]], jnp.complex64)
    np.testing.assert_allclose(PowerSpectrum()(x), [[[25.0, 1.0, 0.0]]])


@pytest.mark.parametrize("n_out", [1, 13, 40])
def test_the_dct_equals_scipy(relative_error, n_out):
    x = noise(2, 3, 40)
    assert relative_error(DCT(40, n_out)(x), np.asarray(scipy.fft.dct(x, type=2, norm="ortho"))[..., :n_out]) <= 1e-6


@pytest.mark.parametrize("width", [3, 9, 15])
def test_deltas_equal_librosa_inside_the_recording(relative_error, width):
    x = noise(1, 40, 5)
    orders = (1, 2)
    y = aligned(Deltas(5, width, orders), x)[0]
    expected = [x[0], *(librosa.feature.delta(np.asarray(x[0]), width=width, order=d, axis=0) for d in orders)]
    inside = slice(width // 2, -(width // 2))
    np.testing.assert_array_equal(y[:, :5], x[0])
    assert relative_error(y[inside], np.concatenate(expected, axis=-1)[inside]) <= 1e-5


def test_deltas_of_a_ramp_are_its_slope():
    ramp = 3.0 * jnp.arange(30.0)[None, :, None]
    y = aligned(Deltas(1, width=5, orders=(1,)), ramp)
    np.testing.assert_allclose(y[0, 2:-2, 1], 3.0, rtol=1e-5)


def test_delta_steps_equal_scan(stepped):
    layer, x = Deltas(5), noise(2, 20, 5)
    state, y = jax.jit(layer.scan)(layer.init_state(2), x)
    stepped_state, stepped_y = stepped(layer, x)
    np.testing.assert_array_equal(stepped_state, state)
    np.testing.assert_allclose(stepped_y, y, atol=1e-5)


def test_designs_are_stored_with_the_weights_and_never_trained():
    for layer, shape in [(MelFilterbank(16000, 400, 40), (201, 40)), (DCT(40, 13), (40, 13)), (Deltas(4), (2, 9))]:
        assert [leaf.shape for leaf in jax.tree.leaves(nnx.state(layer, Constant))] == [shape]
        assert not jax.tree.leaves(nnx.state(layer, nnx.Param))


@pytest.mark.parametrize("sample_rate", [8000, 16000, 44100])
@pytest.mark.parametrize(("n_fft", "n_mels"), [(400, 20), (512, 40), (1024, 64)])
@pytest.mark.parametrize("band", [(0.0, None), (300.0, 3400.0)])
def test_designed_filters_equal_librosa_s(sample_rate, n_fft, n_mels, band):
    n_mels = n_mels if band[1] is None else n_mels // 4
    expected = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=n_mels, fmin=band[0], fmax=band[1])
    np.testing.assert_allclose(MelFilterbank(sample_rate, n_fft, n_mels, *band).filters[...], expected.T, atol=1e-7)


@pytest.mark.parametrize("name", ["vad", "keywords-en", "digits-ctc"])
def test_filters_of_shipped_models_are_those_that_are_designed_anew(name):
    filterbank = next(layer for _, layer in nnx.iter_modules(load(name)) if isinstance(layer, MelFilterbank))
    stored, settings = filterbank.filters[...], load(name).settings
    n_fft = 2 * (stored.shape[0] - 1)
    designed = MelFilterbank(settings.sample_rate, n_fft, stored.shape[1]).filters[...]
    np.testing.assert_allclose(designed, stored, atol=1e-7)


def test_designing_and_running_never_import_librosa():
    program = """
import sys
import jax, jax.numpy as jnp
from flax import nnx
from streamrnn.pretrained import load
from streamrnn.features import MelFilterbank
filterbank = nnx.eval_shape(lambda: MelFilterbank(16000, 400, 40))
graph, shapes = nnx.split(filterbank)
loaded = nnx.merge(graph, jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), shapes))
assert loaded(jnp.ones((1, 1, 201))).tolist() == [[[201.0] * 40]]
MelFilterbank(16000, 400, 40)
assert "librosa" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MelFilterbank(16000, 400, 0), "at least one filter"),
        (lambda: MelFilterbank(8000, 200, 20, f_max_hz=7600.0), "f_max_hz <= 4000"),
        (lambda: MelFilterbank(8000, 200, 20, f_min_hz=300.0, f_max_hz=300.0), "f_min_hz < f_max_hz"),
        (lambda: Decibels(amin=0.0), "amin > 0"),
        (lambda: DCT(40, 41), "1 to 40 coefficients"),
        (lambda: Deltas(5, width=8), "odd width"),
        (lambda: Deltas(5, width=3, orders=(1, 3)), "orders from 1 to 2"),
        (lambda: Deltas(5, orders=()), "one or more orders"),
    ],
)
def test_settings_that_cannot_work_are_explained(build, message):
    with pytest.raises(ValueError, match=message):
        build()
