"""Layers that no shipped model has, exported in models of their own."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest
from flax import nnx

import streamrnn
from streamrnn.cells import GRU, LSTM, Elman
from streamrnn.contract import Layer
from streamrnn.export.onnx import UnsupportedOperation, onnx_recording, onnx_step
from streamrnn.export.stablehlo import export_stablehlo
from streamrnn.features import DCT, PCEN, STFT, Deltas, InverseSTFT, PowerSpectrum
from streamrnn.layers import (
    Apply,
    CausalConv,
    Chain,
    Delay,
    Dropout,
    LayerNorm,
    Lookahead,
    Recurrent,
    Residual,
    RMSNorm,
    StackFrames,
    depthwise_separable_conv,
    from_torch,
)
from streamrnn.models import CORES, VoiceActivity, VoiceActivitySettings
from streamrnn.models.cores import CELLS
from streamrnn.runtime import OnnxModel

KEY = jax.random.key(0)
GOLDEN = Path(__file__).parents[1] / "golden"
RNGS = nnx.Rngs(0)
NETWORKS = {
    "LSTM": (Chain(Recurrent(LSTM(8, 6, rngs=RNGS)), Recurrent(LSTM(6, 6, projection=4, rngs=RNGS))), 4),
    "Elman": (Recurrent(Elman(8, 5, activation=jax.nn.relu, rngs=RNGS)), 5),
    "PCEN": (Chain(Apply(jnp.square), PCEN(8, 800, 8)), 8),
    "Deltas": (Chain(DCT(8, 5), Deltas(5, 5)), 15),
    "norms": (Chain(LayerNorm(8, rngs=RNGS), RMSNorm(8, rngs=RNGS)), 8),
    "dilated": (CausalConv(8, 4, 3, dilation=2, rngs=RNGS), 4),
    "depthwise": (depthwise_separable_conv(8, 4, 3, rngs=RNGS), 4),
    "strided": (
        Chain(Lookahead(3), CausalConv(8, 4, 3, rngs=RNGS), StackFrames(3), Recurrent(GRU(12, 4, rngs=RNGS))),
        4,
    ),
    "delayed residual": (Residual(Chain(Delay(2, 8), Apply(jnp.tanh)), 8), 8),
    "spectra of longer transforms": (Chain(STFT(20, 8, 32), PowerSpectrum()), 17),
    "a delayed spectrum": (Chain(STFT(32, 8), Delay(2, 17, dtype=jnp.complex64), InverseSTFT(32, 8)), 8),
    "strided spectra": (Chain(STFT(24, 8), InverseSTFT(24, 8), Lookahead(1), StackFrames(3)), 24),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_layer_gives_the_same_in_onnx_runtime(name, one_layer, noise):
    model = one_layer(*NETWORKS[name])
    stream, exported = streamrnn.Stream(model), streamrnn.Stream(OnnxModel(onnx_step(model).SerializeToString()))
    ours, theirs = (np.concatenate([each.process(noise(200)), each.flush()]) for each in (stream, exported))
    assert ours.std() > 1e-3
    np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5)


def test_states_that_do_not_begin_at_zero_say_so(one_layer):
    (state,) = OnnxModel(onnx_step(one_layer(*NETWORKS["PCEN"])).SerializeToString()).metadata["states"]
    assert (state["name"], state["initial"], state["shape"]) == ("state.1.PCEN", 1.0, [8])


class Counted(Layer):
    """Frames, and what is remembered of them beside."""

    def __init__(self, first, follow=lambda state, x: state):
        self.first, self.follow = first, follow

    def init_state(self, batch_size):
        return jnp.broadcast_to(self.first, (batch_size, *self.first.shape))

    def step(self, state, x):
        return self.follow(state, x[:, 0]), x + state[:, None].astype(jnp.float32)


@pytest.mark.parametrize(
    ("first", "told"),
    [
        (jnp.zeros(8, bool), r"state\.Counted is bool, .* float32 or int32"),
        (jnp.zeros(8, jnp.bfloat16), r"state\.Counted is bfloat16, .* float32 or int32"),
        (jnp.full(8, -jnp.inf), r"state\.Counted is -inf, .* Start from a finite one"),
        (jnp.arange(8.0).at[3].set(jnp.nan), r"state\.Counted is nan, "),
    ],
    ids=str,
)
def test_a_state_that_no_reader_takes_is_refused_as_it_is_written(first, told, one_layer, tmp_path):
    model = one_layer(Counted(first), 8)
    with pytest.raises(ValueError, match=told):
        onnx_step(model)
    with pytest.raises(ValueError, match=told):
        export_stablehlo(model, tmp_path / "layer.stablehlo")
    assert not list(tmp_path.iterdir())
    assert onnx_recording(model).graph.node


def test_a_count_may_begin_at_the_lowest_number(one_layer, noise):
    model = one_layer(Counted(jnp.full(8, -(2**31), jnp.int32), lambda state, _: state + 1), 8)
    exported = streamrnn.Stream(OnnxModel(onnx_step(model).SerializeToString()))
    np.testing.assert_array_equal(exported.process(noise(80)), streamrnn.Stream(model).process(noise(80)))


def test_a_complex_state_is_two_real_ones(one_layer):
    exported = OnnxModel(onnx_step(one_layer(*NETWORKS["a delayed spectrum"])).SerializeToString())
    names = [state["name"] for state in exported.metadata["states"]]
    assert names == ["state.0.STFT", "state.1.Delay.real", "state.1.Delay.imag", "state.2.InverseSTFT"]


@pytest.mark.parametrize("core", CORES)
def test_cores_are_exported_as_the_documentation_says(core):
    context = {} if core in CELLS else {"context_frames": 8}
    settings = VoiceActivitySettings(mels=8, channels=4, hidden=8, heads=2, core=core, **context)
    model = VoiceActivity(settings, rngs=nnx.Rngs(0))
    if core == "transformer-recompute":
        with pytest.raises(ValueError, match="depends on the number of streams"):
            onnx_step(model)
    elif core.startswith("transformer"):
        with pytest.raises(UnsupportedOperation, match=r"export to a \.stablehlo file"):
            onnx_step(model)
    else:
        assert onnx_step(model).graph.node


def test_a_core_in_bfloat16_computes_in_float32(one_layer, noise):
    short = one_layer(Recurrent(GRU(8, 6, dtype=jnp.bfloat16, rngs=nnx.Rngs(1))), 6)
    exact = one_layer(Recurrent(GRU(8, 6, rngs=nnx.Rngs(1))), 6)
    exported = streamrnn.Stream(OnnxModel(onnx_step(short).SerializeToString()))
    np.testing.assert_allclose(exported.process(noise(80)), streamrnn.Stream(exact).process(noise(80)), atol=1e-2)


@pytest.mark.parametrize("name", ["gru", "lstm_proj"])
def test_what_pytorch_trained_streams_in_onnx_runtime(name, one_layer):
    with np.load(GOLDEN / f"torch_{name}.npz") as golden:
        weights = {n.removeprefix("state_dict/"): golden[n] for n in golden.files if n.startswith("state_dict/")}
        x, y, h, c = (golden.get(n) for n in ("x", "y", "initial/h", "initial/c"))
    model = one_layer(from_torch(weights), y.shape[-1], hop_samples=x.shape[-1])
    session = onnxruntime.InferenceSession(onnx_step(model).SerializeToString(), providers=["CPUExecutionProvider"])
    arrays = h if c is None else [array for pair in zip(c, h, strict=True) for array in pair]
    states = dict(zip([each.name for each in session.get_inputs()][1:], arrays, strict=True))
    for t in range(x.shape[1]):
        outputs, *after = session.run(None, {"pcm": x[:, t], **states})
        states = dict(zip(states, after, strict=True))
        np.testing.assert_allclose(outputs, y[:, t], atol=1e-5)


def test_a_model_in_training_is_exported_as_it_runs_and_stays_in_training(one_layer, noise):
    dropout = Dropout(0.5, rngs=nnx.Rngs(0))
    model = one_layer(dropout, 8)
    model.train()
    np.testing.assert_array_equal(
        streamrnn.Stream(OnnxModel(onnx_step(model).SerializeToString())).process(noise(8)), noise(1, 8)
    )
    assert not dropout.deterministic


def test_an_operation_without_onnx_is_named_with_its_place(one_layer, sorting):
    with pytest.raises(UnsupportedOperation, match=r"'sort' at .*conftest\.py:\d+.* no ONNX .* \.stablehlo"):
        onnx_step(one_layer(Apply(sorting), 8))


REFUSED = {
    "a complex transform": (lambda x: jnp.fft.fft(x).real, "'fft' .*not of real numbers"),
    "a long loop": (
        lambda x: jax.lax.fori_loop(0, 100, lambda _, y: 1.1 * y, x),
        "'scan' .*over 100 frames.* at most 64",
    ),
    "an open loop": (lambda x: jax.lax.while_loop(lambda y: y.sum() < 0, lambda y: y + 1, x), "'while'"),
    "a branch": (lambda x: jax.lax.cond(x.sum() > 0, jnp.sin, jnp.cos, x), "'cond'"),
    "a complex exponential": (lambda x: jnp.exp(jnp.fft.rfft(x)).real, "'exp' .*complex numbers"),
    "bits": (lambda x: (x.astype(jnp.int32) & 3).astype(jnp.float32), "'and' .*bits"),
    "bits of many": (
        lambda x: jax.lax.reduce_or(x.astype(jnp.int32), (2,))[..., None].astype(jnp.float32) + x,
        "'reduce_or' .*bits",
    ),
    "chance": (lambda x: x + jax.random.normal(jax.random.key(0), (8,)), "'random_seed'"),
    "chance by a key from elsewhere": (lambda x, key=KEY: x + jax.random.normal(key, (8,)), "'random_bits'"),
    "a convolution over less": (
        lambda x: jax.lax.conv_general_dilated(x, jnp.ones((1, 1, 1)), (1,), [(-1, 1)]),
        "'conv_general_dilated' .*fewer than none",
    ),
    "places that differ": (lambda x: jnp.take_along_axis(x, jnp.argmax(x, -1, keepdims=True), -1), "'gather'"),
    "a batch of pairs": (lambda x: x + jnp.ones((2 * x.shape[0], 1, 8))[: x.shape[0]], "batch"),
}


@pytest.mark.parametrize(("function", "what"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_onnx_is_refused_and_never_guessed(function, what, one_layer):
    with pytest.raises(UnsupportedOperation, match=what):
        onnx_step(one_layer(Apply(function), 8))


@pytest.mark.parametrize(
    "function", [lambda x: x + len(x), lambda x: x if x.shape[0] > 2 else -x], ids=["len", "a comparison"]
)
def test_a_step_that_counts_its_streams_is_refused_with_the_way_out(function, one_layer):
    with pytest.raises(ValueError, match=r"step of OneLayer depends on the number of streams .*Use x\.shape\[0\]"):
        onnx_step(one_layer(Apply(function), 8))


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match="Model"):
        onnx_step(Recurrent(GRU(8, 6, rngs=nnx.Rngs(0))))  # pyright: ignore[reportArgumentType]
