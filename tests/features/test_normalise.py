"""Running normalisation against its definition, PCEN against librosa."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn import contract
from streamrnn.features import PCEN, STFT, MelFilterbank, RunningNormalise

aligned = jax.jit(contract.aligned, static_argnums=0)

# One of each suffices for all signals: layers hold no state.
built_stft, built_filterbank, built_pcen = functools.cache(STFT), functools.cache(MelFilterbank), functools.cache(PCEN)
LAYERS = [RunningNormalise(4, time_constant_frames=6), PCEN(4, 16000, 160)]


def energies(*shape):
    return jnp.asarray(np.random.default_rng(0).exponential(size=shape), jnp.float32)


def test_warm_up_uses_the_mean_and_variance_of_all_frames_so_far():
    x = np.asarray(energies(1, 20, 4))
    y = np.asarray(aligned(RunningNormalise(4, time_constant_frames=20, floor=0.1), jnp.asarray(x)))
    for t in range(20):
        heard = x[0, : t + 1]
        expected = (x[0, t] - heard.mean(axis=0)) / np.sqrt(heard.var(axis=0) + 0.1)
        np.testing.assert_allclose(y[0, t], expected, atol=1e-5)


def test_after_warm_up_old_frames_fade_exponentially():
    layer = RunningNormalise(1, time_constant_frames=10)
    step_up = jnp.concatenate([jnp.zeros((1, 50, 1)), jnp.ones((1, 30, 1))], axis=1)
    for frames in (1, 5, 30):
        state, _ = jax.jit(layer.scan)(layer.init_state(1), step_up[:, : 50 + frames])
        np.testing.assert_allclose(state.mean[0, 0], 1 - 0.9**frames, rtol=1e-5)


def test_a_long_stream_is_brought_to_mean_zero_and_deviation_one():
    x = jnp.asarray(np.random.default_rng(0).normal(-60.0, 12.0, (1, 3000, 1)), jnp.float32)
    y = aligned(RunningNormalise(1, time_constant_frames=300), x)[0, 300:]
    assert abs(float(y.mean())) < 0.05
    assert abs(float(y.std()) - 1.0) < 0.05


def test_the_first_frame_and_steady_input_give_zeros():
    y = aligned(RunningNormalise(3, time_constant_frames=5), jnp.full((2, 12, 3), -100.0))
    np.testing.assert_array_equal(y, 0.0)


@given(
    values=st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=8),
    time_constant_frames=st.integers(1, 10),
    floor=st.floats(1e-3, 10.0),
)
def test_no_input_drives_the_output_beyond_the_root_of_the_time_constant(values, time_constant_frames, floor):
    x = jnp.asarray(np.resize(np.asarray(values, np.float32), (1, 16, 1)))
    y = aligned(RunningNormalise(1, time_constant_frames, floor), x)
    assert float(jnp.abs(y).max()) < np.sqrt(time_constant_frames)


def test_the_count_of_frames_stops_at_the_time_constant():
    layer = RunningNormalise(4, time_constant_frames=6)
    state, _ = jax.jit(layer.scan)(layer.init_state(2), energies(2, 9, 4))
    assert state.frames.dtype == jnp.int32
    np.testing.assert_array_equal(state.frames, [6, 6])


def test_a_nan_in_one_feature_leaves_the_others_alone():
    x = energies(1, 12, 4)
    y = aligned(LAYERS[0], x.at[0, 3, 2].set(jnp.nan))
    np.testing.assert_array_equal(y[..., [0, 1, 3]], aligned(LAYERS[0], x)[..., [0, 1, 3]])


@pytest.mark.parametrize(("sample_rate", "window", "hop", "n_mels"), [(8000, 200, 80, 20), (16000, 512, 128, 40)])
@pytest.mark.parametrize("scale", [1.0, 2.0**31], ids=["audio in [-1, 1]", "audio as 32-bit integers"])
def test_pcen_equals_librosa_from_the_first_frame(
    any_signal, frames_of, relative_error, sample_rate, window, hop, n_mels, scale
):
    x = frames_of(any_signal(sample_rate), hop)
    magnitudes = jnp.abs(aligned(built_stft(window, hop), scale * x))
    mel = built_filterbank(sample_rate, window, n_mels)(magnitudes)
    expected = librosa.pcen(np.asarray(mel[0]), sr=sample_rate, hop_length=hop, axis=0)
    assert relative_error(aligned(built_pcen(n_mels, sample_rate, hop), mel)[0], expected) <= 1e-4


def test_pcen_settings_mean_what_they_mean_in_librosa(relative_error):
    x = energies(1, 50, 4)
    settings = {"gain": 0.8, "bias": 10.0, "power": 0.25, "eps": 1e-4}
    y = aligned(PCEN(4, 8000, 80, time_constant_s=0.06, **settings), x)
    librosa_settings: dict[str, Any] = {"sr": 8000, "hop_length": 80, "time_constant": 0.06, **settings}
    expected = librosa.pcen(np.asarray(x[0]), axis=0, **librosa_settings)
    assert relative_error(y[0], expected) <= 1e-5


def test_pcen_makes_a_quiet_recording_nearly_as_loud_as_a_loud_one():
    x = 1000.0 * energies(1, 400, 4)
    layer = PCEN(4, 16000, 160)
    loud, quiet = aligned(layer, x)[:, 300:], aligned(layer, 0.01 * x)[:, 300:]
    np.testing.assert_allclose(quiet, loud, rtol=0.1)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
class TestBothLayers:
    def test_steps_equal_scan(self, layer, stepped):
        x = energies(2, 15, 4)
        state, y = jax.jit(layer.scan)(layer.init_state(2), x)
        stepped_state, stepped_y = stepped(layer, x)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), stepped_state, state)
        np.testing.assert_allclose(stepped_y, y, atol=1e-5)

    def test_a_chunk_of_length_zero_changes_nothing(self, layer):
        state, _ = jax.jit(layer.scan)(layer.init_state(2), energies(2, 5, 4))
        after, y = jax.jit(layer.scan)(state, jnp.zeros((2, 0, 4)))
        assert y.shape == (2, 0, 4)
        jax.tree.map(np.testing.assert_array_equal, after, state)

    def test_the_state_keeps_its_shapes_and_types(self, layer):
        def described(state):
            return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.weak_type), state)

        fresh = layer.init_state(3)
        after, _ = jax.jit(layer.step)(fresh, energies(3, 1, 4))
        assert described(after) == described(fresh)
        assert all(leaf.shape[0] == 3 for leaf in jax.tree.leaves(fresh))

    def test_a_nan_stays_in_its_stream(self, layer):
        x = energies(3, 10, 4)
        y = aligned(layer, x.at[1, 2].set(jnp.nan))
        assert jnp.isnan(y[1, 2:]).all()
        np.testing.assert_array_equal(y[::2], aligned(layer, x)[::2])

    def test_gradients_are_finite_also_in_silence(self, layer):
        gradient = jax.jit(jax.grad(lambda x: jnp.sum(aligned(layer, x) ** 2)))
        assert jnp.isfinite(gradient(jnp.zeros((1, 8, 4)))).all()
        assert (gradient(energies(1, 8, 4))[:, 1:-1] != 0).all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: RunningNormalise(4, time_constant_frames=0), "time_constant_frames >= 1"),
        (lambda: RunningNormalise(4, time_constant_frames=10, floor=0.0), "floor > 0"),
        (lambda: RunningNormalise(4, time_constant_frames=2**31), "counted in int32"),
        (lambda: PCEN(4, 16000, 160, gain=-0.1), "gain >= 0"),
        (lambda: PCEN(4, 16000, 160, bias=0.0), "bias > 0"),
        (lambda: PCEN(4, 16000, 160, power=0.0), "power > 0"),
        (lambda: PCEN(4, 16000, 160, time_constant_s=0.0), "time_constant_s > 0"),
        (lambda: PCEN(4, 16000, 160, eps=0.0), "eps > 0"),
    ],
)
def test_settings_that_cannot_work_are_explained(build, message):
    with pytest.raises(ValueError, match=message):
        build()
