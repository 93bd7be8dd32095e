"""The laws of the contract, one test each, over every layer and every model.

A new layer or model adds one line to LAYERS: its name, how to build it, and the width of its input frames.
"""

import dataclasses
import itertools
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

import streamrnn.cells
import streamrnn.features
import streamrnn.layers
import streamrnn.models
from streamrnn.cells import GRU, LSTM, RGLRU, Cell, Elman, GatedCell, LinearCell, MinGRU, MinLSTM
from streamrnn.contract import Layer, aligned
from streamrnn.features import (
    DCT,
    PCEN,
    STFT,
    Decibels,
    Deltas,
    InverseSTFT,
    MelFilterbank,
    PowerSpectrum,
    RunningNormalise,
    log_mel,
    mfcc,
)
from streamrnn.layers import (
    Apply,
    CausalAttention,
    CausalConv,
    Chain,
    Delay,
    Dense,
    Dropout,
    LayerNorm,
    Lookahead,
    Recomputed,
    Recurrent,
    Residual,
    RMSNorm,
    SpecAugment,
    StackFrames,
    depthwise_separable_conv,
)
from streamrnn.models import (
    CORES,
    CTC,
    CTCSettings,
    Denoising,
    DenoisingSettings,
    Keywords,
    KeywordsSettings,
    Model,
    Transducer,
    TransducerSettings,
    VoiceActivity,
    VoiceActivitySettings,
)
from streamrnn.pretrained import load

BLOCKS = 7
# Every length is compiled anew; three of them, in any order, are enough to find what depends on the cuts.
CHUNKINGS = [
    lengths
    for count in range(1, BLOCKS + 1)
    for lengths in itertools.product((1, 2, 4), repeat=count)
    if sum(lengths) == BLOCKS
]


@dataclass(frozen=True)
class Case:
    build: Callable[[nnx.Rngs], Layer]
    width: int
    draw: Callable[[jax.Array, tuple[int, ...]], jax.Array] = jax.random.normal
    tolerance: float = 1e-5


# A bfloat16 has 8 significant bits; the order of additions may move the last two.
BFLOAT16 = 2**-6


def positive(key, shape):
    return jnp.abs(jax.random.normal(key, shape)) + 0.1


def quiet_noise(key, shape):
    return 0.1 * jax.random.normal(key, shape)


def spectrum(key, shape):
    return jax.random.normal(key, shape, jnp.complex64)


SMALL = VoiceActivitySettings(mels=8, channels=6, hidden=5)
SMALL_DENOISING = DenoisingSettings(window_samples=60, hop_samples=20, bands=6, hidden=8)
SMALL_ENCODER = {"symbols": ("a", "b"), "mels": 8, "channels": 6, "hidden": 5, "lookahead_frames": 1}

SMALL_KEYWORDS = KeywordsSettings(words=("a", "b"), mels=8, channels=(6, 6), hidden=5)


def with_core(core: str) -> Case:
    settings = dataclasses.replace(SMALL, core=core, heads=2, context_frames=4)
    return Case(lambda r: VoiceActivity(settings, rngs=r), 160)


LAYERS: dict[str, Case] = {
    "Elman": Case(lambda r: Recurrent(Elman(3, 4, rngs=r)), 3),
    "Elman, relu": Case(lambda r: Recurrent(Elman(3, 4, activation=jax.nn.relu, rngs=r)), 3),
    "GRU": Case(lambda r: Recurrent(GRU(3, 4, rngs=r)), 3),
    "GRU, bfloat16": Case(lambda r: Recurrent(GRU(3, 4, dtype=jnp.bfloat16, rngs=r)), 3, tolerance=BFLOAT16),
    "LSTM": Case(lambda r: Recurrent(LSTM(3, 4, rngs=r)), 3),
    "LSTM, bfloat16": Case(lambda r: Recurrent(LSTM(3, 4, dtype=jnp.bfloat16, rngs=r)), 3, tolerance=BFLOAT16),
    "Elman, bfloat16": Case(lambda r: Recurrent(Elman(3, 4, dtype=jnp.bfloat16, rngs=r)), 3, tolerance=BFLOAT16),
    "LSTM, projected": Case(lambda r: Recurrent(LSTM(3, 4, projection=2, rngs=r)), 3),
    "MinGRU": Case(lambda r: Recurrent(MinGRU(3, 4, rngs=r)), 3),
    "MinLSTM": Case(lambda r: Recurrent(MinLSTM(3, 4, rngs=r), "associative"), 3),
    "RGLRU": Case(lambda r: Recurrent(RGLRU(3, 4, rngs=r)), 3),
    "RGLRU, associative": Case(lambda r: Recurrent(RGLRU(3, 4, rngs=r), "associative"), 3),
    "MinGRU, bfloat16": Case(lambda r: Recurrent(MinGRU(3, 4, dtype=jnp.bfloat16, rngs=r)), 3, tolerance=BFLOAT16),
    "CausalConv": Case(lambda r: CausalConv(3, 4, 3, rngs=r), 3),
    "CausalConv, bfloat16": Case(lambda r: CausalConv(3, 4, 3, dtype=jnp.bfloat16, rngs=r), 3, tolerance=BFLOAT16),
    "CausalConv, dilated": Case(lambda r: CausalConv(3, 4, 3, dilation=2, rngs=r), 3),
    "CausalConv, strided": Case(lambda r: CausalConv(3, 4, 3, stride=2, rngs=r), 3),
    "CausalConv, as long as its stride": Case(lambda r: CausalConv(3, 4, 2, stride=2, rngs=r), 3),
    "depthwise separable": Case(lambda r: depthwise_separable_conv(4, 3, 3, stride=2, rngs=r), 4),
    "CausalAttention": Case(lambda r: CausalAttention(4, 2, 20, rngs=r), 4),
    "CausalAttention, window": Case(lambda r: CausalAttention(4, 2, 3, rngs=r), 4),
    "CausalAttention, bfloat16": Case(
        lambda r: CausalAttention(4, 2, 3, dtype=jnp.bfloat16, rngs=r), 4, tolerance=BFLOAT16
    ),
    "Recomputed": Case(lambda r: Recomputed(Recurrent(GRU(3, 4, rngs=r)), 3, 20), 3),
    "Recomputed, forgetting": Case(lambda r: Recomputed(Recurrent(GRU(3, 4, rngs=r)), 3, 3), 3),
    "Dense": Case(lambda r: Dense(3, 4, rngs=r), 3),
    "Dense, bfloat16": Case(lambda r: Dense(3, 4, dtype=jnp.bfloat16, rngs=r), 3, tolerance=BFLOAT16),
    "LayerNorm": Case(lambda r: LayerNorm(3, rngs=r), 3),
    "RMSNorm": Case(lambda r: RMSNorm(3, rngs=r), 3),
    "Dropout": Case(lambda r: Dropout(0.5, rngs=r), 3),
    "SpecAugment": Case(lambda r: SpecAugment(6, 1, 3, 2, 2, rngs=r), 6),
    "Apply": Case(lambda r: Apply(jnp.tanh), 3),
    "Delay": Case(lambda r: Delay(3, 2), 2),
    "Delay, none": Case(lambda r: Delay(0, 2), 2),
    "Delay, complex": Case(lambda r: Delay(2, 3, dtype=jnp.complex64), 3, spectrum),
    "Lookahead": Case(lambda r: Lookahead(2), 2),
    "StackFrames": Case(lambda r: StackFrames(3), 2),
    "Residual": Case(lambda r: Residual(Recurrent(GRU(3, 3, rngs=r)), 3), 3),
    "Residual that looks ahead": Case(lambda r: Residual(Chain(Lookahead(2), Dense(3, 3, rngs=r)), 3), 3),
    "Chain that subsamples": Case(
        lambda r: Chain(CausalConv(3, 4, 3, rngs=r), StackFrames(2), Lookahead(1), Recurrent(GRU(8, 4, rngs=r))), 3
    ),
    "STFT": Case(lambda r: STFT(12, 4), 4),
    "STFT, hop does not divide the window": Case(lambda r: STFT(10, 4, 16), 4),
    "InverseSTFT": Case(lambda r: InverseSTFT(16, 4), 9, spectrum),
    "STFT and its inverse": Case(lambda r: Chain(STFT(16, 4), InverseSTFT(16, 4)), 4),
    "PowerSpectrum": Case(lambda r: PowerSpectrum(), 5, spectrum),
    "MelFilterbank": Case(lambda r: MelFilterbank(8000, 64, 4), 33, positive),
    "Decibels": Case(lambda r: Decibels(), 3, positive),
    "DCT": Case(lambda r: DCT(6, 4), 6),
    "Deltas": Case(lambda r: Deltas(3, 5), 3),
    "log-mel": Case(lambda r: Chain(*log_mel(8000, 64, 32, 8)), 32),
    "MFCC": Case(lambda r: Chain(*mfcc(8000, 64, 32, 8, 5)), 32),
    "RunningNormalise": Case(lambda r: RunningNormalise(3, 4), 3),
    "PCEN": Case(lambda r: PCEN(3, 8000, 80), 3, positive),
    "VoiceActivity": Case(lambda r: VoiceActivity(SMALL, rngs=r), 160),
    **{f"VoiceActivity, {core}": with_core(core) for core in CORES if core != "gru"},
    "CTC": Case(lambda r: CTC(CTCSettings(**SMALL_ENCODER), rngs=r), 160),
    "Transducer": Case(lambda r: Transducer(TransducerSettings(joint=5, **SMALL_ENCODER), rngs=r), 160),
    "Denoising": Case(lambda r: Denoising(SMALL_DENOISING, rngs=r), 20, quiet_noise),
    "Denoising that looks ahead": Case(
        lambda r: Denoising(dataclasses.replace(SMALL_DENOISING, lookahead_frames=1), rngs=r), 20, quiet_noise
    ),
    "Keywords": Case(lambda r: Keywords(SMALL_KEYWORDS, rngs=r), 160),
    "vad, as shipped": Case(lambda r: load("vad"), 160, draw=quiet_noise, tolerance=1e-4),
    "keywords, as shipped": Case(lambda r: load("keywords"), 160, draw=quiet_noise, tolerance=1e-4),
}

every_layer = pytest.mark.parametrize("name", LAYERS)


@cache
def built(name: str) -> Layer:
    layer = LAYERS[name].build(nnx.Rngs(7))
    layer.eval()
    return layer


def inputs(name: str, batch: int = 3, blocks: int = BLOCKS, seed: int = 0) -> jax.Array:
    case = LAYERS[name]
    return case.draw(jax.random.key(seed), (batch, blocks * built(name).stride, case.width))


@cache
def compiled(name: str, way: str):
    return nnx.jit(getattr(type(built(name)), way))


def step(name: str, state, x):
    return compiled(name, "step")(built(name), state, x)


def scan(name: str, state, x):
    return compiled(name, "scan")(built(name), state, x)


def steps(name: str, state, x):
    """Block by block: what a live stream does."""
    stride, outputs = built(name).stride, []
    for start in range(0, x.shape[1], stride):
        state, y = step(name, state, x[:, start : start + stride])
        outputs.append(y)
    return state, jnp.concatenate(outputs, axis=1)


def assert_close(name: str, a, b):
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        left, right = (np.asarray(v.astype(jnp.promote_types(v.dtype, jnp.float32))) for v in (left, right))
        size = max(1.0, np.abs(right).max(initial=0.0))
        np.testing.assert_allclose(left, right, rtol=0, atol=LAYERS[name].tolerance * size)


def test_no_layer_and_no_cell_is_missing_here():
    tested = {type(module) for name in LAYERS for _, module in nnx.iter_modules(built(name))}
    rooms = (streamrnn.cells, streamrnn.features, streamrnn.layers, streamrnn.models)
    public = {value for room in rooms for value in vars(room).values() if isinstance(value, type)}
    written = {value for value in public if issubclass(value, Layer | Cell)}
    assert written - tested == {Cell, GatedCell, LinearCell, Model}


@every_layer
def test_steps_equal_scan(name):
    x, fresh = inputs(name), built(name).init_state(3)
    assert_close(name, steps(name, fresh, x), scan(name, fresh, x))


@every_layer
@given(lengths=st.sampled_from(CHUNKINGS))
def test_any_chunking_equals_scan(name, lengths):
    stride, x = built(name).stride, inputs(name)
    state, outputs, start = built(name).init_state(3), [], 0
    for stop in itertools.accumulate(lengths):
        state, y = scan(name, state, x[:, start * stride : stop * stride])
        outputs.append(y)
        start = stop
    assert_close(name, (state, jnp.concatenate(outputs, axis=1)), scan(name, built(name).init_state(3), x))


@every_layer
@pytest.mark.parametrize("changed_from", [1, 4])
def test_the_future_cannot_change_the_past(name, changed_from):
    stride, fresh = built(name).stride, built(name).init_state(3)
    x, other = inputs(name), inputs(name, seed=1)
    changed = x.at[:, changed_from * stride :].set(other[:, changed_from * stride :])
    before, after = scan(name, fresh, x)[1], scan(name, fresh, changed)[1]
    assert_close(name, before[:, :changed_from], after[:, :changed_from])


@every_layer
def test_outputs_are_aligned_with_their_inputs_and_none_is_lost(name):
    layer, x = built(name), inputs(name)
    # Live, outputs come late, and zeros push out the last ones.
    padded = jnp.pad(x, ((0, 0), (0, layer.lookahead), (0, 0)))
    _, late = steps(name, layer.init_state(3), padded)
    y = nnx.jit(aligned)(layer, x)
    assert y.shape[1] == BLOCKS
    assert_close(name, y, late[:, layer.lookahead // layer.stride :])


@every_layer
def test_streams_in_a_batch_are_independent(name):
    x, fresh = inputs(name), built(name).init_state(3)
    together = scan(name, fresh, x)
    for i in range(3):
        alone = scan(name, built(name).init_state(1), x[i : i + 1])
        assert_close(name, alone, jax.tree.map(lambda leaf: leaf[i : i + 1], together))  # noqa: B023


@every_layer
def test_a_nan_stays_in_its_stream(name):
    x, fresh = inputs(name), built(name).init_state(3)
    poisoned = scan(name, fresh, x.at[1].set(jnp.nan))
    sound = scan(name, fresh, x)
    for i in (0, 2):
        row = lambda tree, i=i: jax.tree.map(lambda leaf: leaf[i], tree)  # noqa: E731
        assert_close(name, row(poisoned), row(sound))


@every_layer
def test_the_state_keeps_its_structure_shapes_and_dtypes(name):
    fresh = built(name).init_state(3)
    kind = lambda tree: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)  # noqa: E731
    for run in (step, scan):
        x = inputs(name, blocks=1) if run is step else inputs(name)
        assert kind(run(name, fresh, x)[0]) == kind(fresh)
    assert all(leaf.shape[0] == 3 for leaf in jax.tree.leaves(fresh))
    assert not any(leaf.dtype == jnp.bfloat16 for leaf in jax.tree.leaves(fresh))


@every_layer
def test_a_reset_row_equals_a_fresh_one(name):
    x, fresh = inputs(name), built(name).init_state(3)
    used = scan(name, fresh, inputs(name, seed=1))[0]
    reset = jnp.array([False, True, False])
    mixed = jax.tree.map(lambda f, u: jnp.where(reset.reshape(-1, *[1] * (u.ndim - 1)), f, u), fresh, used)
    row = lambda tree, i: jax.tree.map(lambda leaf: leaf[i], tree)  # noqa: E731
    assert_close(name, row(scan(name, mixed, x), 1), row(scan(name, fresh, x), 1))
    assert_close(name, row(scan(name, mixed, x), 2), row(scan(name, used, x), 2))


@every_layer
def test_gradients_through_steps_equal_gradients_through_scan(name):
    x = inputs(name, blocks=2)
    graph, weights, rest = nnx.split(built(name), nnx.Param, ...)

    def loss(weights, x, by_steps: bool):
        layer = nnx.merge(graph, weights, rest)
        state = layer.init_state(3)
        if not by_steps:
            return energy(layer.scan(state, x)[1])
        total = 0.0
        for start in range(0, x.shape[1], layer.stride):
            state, y = layer.step(state, x[:, start : start + layer.stride])
            total += energy(y)
        return total

    gradients = jax.jit(jax.grad(loss, argnums=(0, 1)), static_argnums=2)
    by_scan = gradients(weights, x, False)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(by_scan))
    assert_close(name, gradients(weights, x, True), by_scan)


def energy(y):
    return jnp.sum(jnp.abs(y.astype(jnp.promote_types(y.dtype, jnp.float32))) ** 2)


@every_layer
def test_step_compiles_once(name):
    traces, layer = [], built(name)

    @jax.jit
    def counted(state, x):
        traces.append(None)
        return layer.step(state, x)

    state, x = layer.init_state(3), inputs(name)
    for start in range(0, x.shape[1], layer.stride):
        state, _ = counted(state, x[:, start : start + layer.stride])
    assert len(traces) == 1


@every_layer
def test_a_saved_and_loaded_state_goes_on(name):
    stride, x = built(name).stride, inputs(name)
    state, _ = steps(name, built(name).init_state(3), x[:, : 3 * stride])
    loaded = jax.tree.map(jnp.asarray, pickle.loads(pickle.dumps(jax.tree.map(np.asarray, state))))
    for a, b in zip(
        jax.tree.leaves(steps(name, state, x[:, 3 * stride :])),
        jax.tree.leaves(steps(name, loaded, x[:, 3 * stride :])),
        strict=True,
    ):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("name", ["CausalConv, strided", "StackFrames", "Chain that subsamples"])
def test_scan_refuses_part_of_a_block(name):
    layer = built(name)
    with pytest.raises(ValueError, match=f"Pass a multiple of {layer.stride}"):
        layer.scan(layer.init_state(3), inputs(name)[:, :-1])
