"""Attention against the formula written out, and the three ways of streaming it against each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import streamrnn.layers.attention
from streamrnn.cells import GRU
from streamrnn.layers import CausalAttention, Chain, Dense, Lookahead, Recomputed, Recurrent, StackFrames, grow

FEATURES, HEADS, TIME = 8, 2, 23


@pytest.fixture(autouse=True)
def _few_queries_at_a_time(monkeypatch):
    """So that short scans are made in parts, too."""
    monkeypatch.setattr(streamrnn.layers.attention, "QUERIES", 5)
    monkeypatch.setattr(streamrnn.layers.attention, "PARTS", 2)


def attention(capacity: int) -> CausalAttention:
    return CausalAttention(FEATURES, HEADS, capacity, rngs=nnx.Rngs(3))


def frames(batch: int = 2, time: int = TIME, seed: int = 0) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), (batch, time, FEATURES))


@nnx.jit
def scan(layer, state, x):
    return layer.scan(state, x)


@nnx.jit
def step(layer, state, x):
    return layer.step(state, x)


def steps(layer, state, x):
    outputs = []
    for t in range(x.shape[1]):
        state, y = step(layer, state, x[:, t : t + 1])
        outputs.append(y)
    return state, jnp.concatenate(outputs, axis=1)


def written_out(layer: CausalAttention, x: np.ndarray, capacity: int) -> np.ndarray:
    """Softmax attention with a banded mask, in double precision: x[time, features] -> y[time, features]."""
    time, width = len(x), layer.head_features
    q, k, v = (x @ np.asarray(layer.input.kernel[...], np.float64)).reshape(time, 3, HEADS, width).transpose(1, 2, 0, 3)
    angles = np.arange(time)[:, None] * 10_000.0 ** (-np.arange(0, width, 2) / width)
    rotation = np.exp(1j * angles)
    pairs = lambda z: (z[..., : width // 2] + 1j * z[..., width // 2 :]) * rotation  # noqa: E731
    scores = np.real(pairs(q) @ np.conj(pairs(k)).transpose(0, 2, 1)) / np.sqrt(width)
    ago = np.arange(time)[:, None] - np.arange(time)
    weights = np.where((ago >= 0) & (ago < capacity), np.exp(scores), 0)
    heads = weights / weights.sum(axis=-1, keepdims=True) @ v
    return heads.transpose(1, 0, 2).reshape(time, -1) @ np.asarray(layer.output.kernel[...], np.float64)


@pytest.mark.parametrize("capacity", [1, 11, 40])
def test_steps_and_scan_equal_banded_softmax_attention(capacity):
    layer, x = attention(capacity), frames()
    expected = [written_out(layer, np.asarray(row, np.float64), capacity) for row in x]
    np.testing.assert_allclose(steps(layer, layer.init_state(2), x)[1], expected, atol=1e-5)
    np.testing.assert_allclose(scan(layer, layer.init_state(2), x)[1], expected, atol=1e-5)


@pytest.mark.parametrize(("cut", "capacity"), [(1, 4), (6, 11), (12, 40)])
def test_a_scan_goes_on_from_a_carried_state(cut, capacity):
    layer, x = attention(capacity), frames()
    state, _ = steps(layer, layer.init_state(2), x[:, :cut])
    expected = [written_out(layer, np.asarray(row, np.float64), capacity)[cut:] for row in x]
    np.testing.assert_allclose(scan(layer, state, x[:, cut:])[1], expected, atol=1e-5)


def test_a_window_as_long_as_what_was_heard_equals_a_full_cache():
    x = frames()
    window, full = attention(TIME), attention(2 * TIME)
    np.testing.assert_allclose(
        steps(window, window.init_state(2), x)[1], steps(full, full.init_state(2), x)[1], atol=1e-5
    )


def test_gradients_of_a_scan_in_parts_equal_those_of_one_part(monkeypatch):
    layer, x = attention(11), frames()
    state, _ = scan(layer, layer.init_state(2), x[:, :7])
    graph, weights = nnx.split(layer)

    def gradients():
        energy = lambda weights, x: jnp.sum(nnx.merge(graph, weights).scan(state, x)[1] ** 2)  # noqa: E731
        return jax.tree.leaves(jax.jit(jax.grad(energy, argnums=(0, 1)))(weights, x))

    in_parts = gradients()
    monkeypatch.setattr(streamrnn.layers.attention, "QUERIES", 100)
    for part, whole in zip(in_parts, gradients(), strict=True):
        np.testing.assert_allclose(part, whole, atol=1e-5 * float(jnp.abs(whole).max()))


def test_the_gradient_of_a_long_scan_needs_no_square_of_its_length():
    layer, time = attention(4_000), 2_000
    graph, weights = nnx.split(layer)

    def energy(weights, x):
        layer = nnx.merge(graph, weights)
        return jnp.sum(layer.scan(layer.init_state(4), x)[1] ** 2)

    x = jax.ShapeDtypeStruct((4, time, FEATURES), jnp.float32)
    memory = jax.jit(jax.grad(energy)).lower(weights, x).compile().memory_analysis()
    assert memory.temp_size_in_bytes < HEADS * time**2 * 4


@pytest.mark.parametrize("hours_of_frames", [10**6, 2**31 - 2 * TIME])
def test_after_hours_attention_is_as_precise_as_at_first(hours_of_frames):
    layer, x = attention(5), frames()
    late = layer.init_state(2)._replace(position=jnp.full(2, hours_of_frames, jnp.int32))
    # What the late stream heard before has left its window by then.
    expected = steps(layer, layer.init_state(2), x)[1]
    for run in (steps, scan):
        y = run(layer, late, x)[1]
        np.testing.assert_allclose(y[:, 5:], expected[:, 5:], atol=1e-5)


@pytest.mark.parametrize("run", [steps, scan])
def test_a_nan_frame_is_heard_as_long_as_it_is_in_the_window_and_not_before(run):
    layer, x = attention(4), frames()
    _, y = run(layer, layer.init_state(2), x.at[0, 10].set(jnp.nan))
    assert np.array_equal(np.isnan(y[0]).all(axis=1), [10 <= t < 14 for t in range(TIME)])
    np.testing.assert_allclose(y[0, :10], scan(layer, layer.init_state(2), x)[1][0, :10], atol=1e-5)


def test_a_cache_that_grows_in_time_equals_one_that_was_large_from_the_start():
    x = frames(time=16)

    def core(capacity: int) -> Chain:
        gru = Recurrent(GRU(FEATURES, FEATURES, rngs=nnx.Rngs(0)))
        return Chain(gru, attention(capacity), Recomputed(gru, FEATURES, capacity))

    small, large = core(4), core(16)
    state, outputs = small.init_state(2), []
    for start, stop in ((0, 4), (4, 8), (8, 16)):
        state, y = steps(small, grow(state, stop), x[:, start:stop])
        outputs.append(y)
    assert state[1].keys.shape[-1] == state[2].frames.shape[1] == 16
    np.testing.assert_allclose(jnp.concatenate(outputs, axis=1), steps(large, large.init_state(2), x)[1], atol=1e-5)


def test_a_cache_that_has_forgotten_cannot_grow_and_none_can_shrink():
    layer = attention(4)
    state, _ = scan(layer, layer.init_state(2), frames(time=5))
    with pytest.raises(ValueError, match="room for 4 frames that has received 5"):
        grow(state, 8)
    with pytest.raises(ValueError, match="grow got capacity=3"):
        grow(layer.init_state(2), 3)


def test_recomputed_attention_equals_a_full_cache_and_a_scan():
    x, cached = frames(), attention(40)
    recomputed = Recomputed(attention(40), FEATURES, 40)
    expected = steps(cached, cached.init_state(2), x)[1]
    for y in (steps(recomputed, recomputed.init_state(2), x)[1], scan(cached, cached.init_state(2), x)[1]):
        np.testing.assert_allclose(y, expected, atol=1e-5)


def test_what_is_recomputed_forgets_the_older_half_when_it_is_full():
    x, inner = frames(), Recurrent(GRU(FEATURES, 3, rngs=nnx.Rngs(0)))
    layer = Recomputed(inner, FEATURES, 5)
    # Five frames, then the last two of these and three more, and so on.
    starts = [0, 0, 0, 0, 0, 3, 3, 3, 6, 6]
    anew = [scan(inner, inner.init_state(2), x[:, start : start + 5])[1] for start in starts]
    expected = [y[:, t - start] for t, (start, y) in enumerate(zip(starts, anew, strict=True))]
    _, y = steps(layer, layer.init_state(2), x[:, :10])
    np.testing.assert_allclose(y, np.stack(expected, axis=1), atol=1e-6)


@pytest.mark.parametrize("cut", [2, 5, 9])
def test_a_recomputed_scan_goes_on_from_a_carried_state(cut):
    x, layer = frames(), Recomputed(Recurrent(GRU(FEATURES, 3, rngs=nnx.Rngs(0))), FEATURES, 5)
    state, _ = steps(layer, layer.init_state(2), x[:, :cut])
    for by_steps, by_scan in zip(
        jax.tree.leaves(steps(layer, state, x[:, cut:])), jax.tree.leaves(scan(layer, state, x[:, cut:])), strict=True
    ):
        np.testing.assert_allclose(by_steps, by_scan, atol=1e-6)


def test_recomputing_keeps_the_look_ahead_of_what_it_recomputes():
    assert Recomputed(Chain(Lookahead(2), Dense(FEATURES, 3, rngs=nnx.Rngs(0))), FEATURES, 5).lookahead == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"heads": 2, "capacity": 0}, "capacity=0"),
        ({"heads": 3, "capacity": 4}, "8 features can't be shared among 3 heads"),
        ({"heads": 8, "capacity": 4}, "heads of 1 features"),
        ({"heads": 2, "capacity": 4, "head_features": 3}, "heads of 3 features"),
    ],
)
def test_attention_that_cannot_be_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        CausalAttention(FEATURES, **settings, rngs=nnx.Rngs(0))


@pytest.mark.parametrize(("inner", "capacity", "said"), [(StackFrames(2), 4, "stride 2"), (Lookahead(0), 1, "=1")])
def test_recomputing_what_cannot_be_recomputed_is_refused(inner, capacity, said):
    with pytest.raises(ValueError, match=said):
        Recomputed(inner, FEATURES, capacity)
