"""What each layer does beyond the laws of the contract, which tests/test_contract.py holds."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.contract import aligned
from streamrnn.layers import (
    Apply,
    CausalConv,
    Chain,
    Delay,
    Dense,
    Dropout,
    LayerNorm,
    Lookahead,
    Residual,
    RMSNorm,
    StackFrames,
    depthwise_separable_conv,
)


def frames(*shape):
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)


def convolved(x, kernel, bias, *, stride, dilation, groups):
    """CausalConv's formula, written out: x[time, in], kernel[size, in/groups, out] -> y[time/stride, out]."""
    size, width, out_features = kernel.shape
    heard = np.concatenate([np.zeros(((size - 1) * dilation, x.shape[1])), x])
    y = np.zeros((len(x), out_features)) + bias
    for t, k, out in np.ndindex(len(x), size, out_features):
        group = out // (out_features // groups)
        y[t, out] += heard[t + k * dilation, group * width : (group + 1) * width] @ kernel[k, :, out]
    return y[stride - 1 :: stride]


@pytest.mark.parametrize(
    ("kernel_size", "stride", "dilation", "groups"),
    [(1, 1, 1, 1), (3, 1, 1, 1), (3, 3, 1, 1), (3, 1, 2, 1), (4, 1, 1, 2), (2, 2, 3, 4)],
)
def test_a_causal_convolution_equals_the_sum_it_stands_for(kernel_size, stride, dilation, groups):
    settings = {"stride": stride, "dilation": dilation, "groups": groups}
    layer, x = CausalConv(4, 8, kernel_size, **settings, rngs=nnx.Rngs(0)), frames(1, 6, 4)
    layer.conv.bias[...] = jnp.arange(8.0)
    expected = convolved(np.asarray(x[0]), np.asarray(layer.conv.kernel[...]), np.arange(8.0), **settings)
    np.testing.assert_allclose(aligned(layer, x)[0], expected, atol=1e-5)


def test_a_causal_convolution_without_bias_leaves_silence_silent():
    layer = CausalConv(2, 3, 3, use_bias=False, rngs=nnx.Rngs(0))
    assert not np.any(aligned(layer, jnp.zeros((1, 4, 2))))
    assert np.any(aligned(layer, jnp.ones((1, 4, 2))))


@pytest.mark.parametrize(("kernel_size", "dilation", "context"), [(3, 1, 1), (3, 2, 3), (2, 1, 0)])
def test_a_convolution_keeps_only_the_frames_that_later_outputs_need(kernel_size, dilation, context):
    layer = CausalConv(4, 8, kernel_size, stride=2, dilation=dilation, rngs=nnx.Rngs(0))
    assert layer.init_state(5).shape == (5, context, 4)


def test_a_convolution_that_would_skip_frames_is_refused():
    with pytest.raises(ValueError, match=r"kernel_size=2 and dilation=2, which span 3 frames, with stride=4"):
        CausalConv(4, 8, 2, stride=4, dilation=2, rngs=nnx.Rngs(0))


def test_a_depthwise_separable_convolution_mixes_time_first_and_channels_after():
    layer, x = depthwise_separable_conv(4, 6, 3, stride=2, rngs=nnx.Rngs(0)), frames(1, 8, 4)
    depthwise, pointwise = layer.layers
    settings = {"stride": 2, "dilation": 1, "groups": 4}
    expected = convolved(np.asarray(x[0]), np.asarray(depthwise.conv.kernel[...]), 0.0, **settings)
    np.testing.assert_allclose(aligned(layer, x)[0], expected @ np.asarray(pointwise.kernel[...]), atol=1e-5)


@pytest.mark.parametrize(
    "layer", [StackFrames(3), CausalConv(4, 4, 3, stride=3, rngs=nnx.Rngs(0))], ids=["StackFrames", "CausalConv"]
)
def test_frames_that_fill_no_block_are_refused(layer):
    with pytest.raises(ValueError, match=r"scan got 7 frames; it consumes 3 per step. Pass a multiple of 3"):
        layer.scan(layer.init_state(1), jnp.zeros((1, 7, 4)))


def test_stacked_frames_lie_side_by_side_in_the_order_heard():
    y = aligned(StackFrames(2), jnp.arange(8.0).reshape(1, 4, 2))
    np.testing.assert_array_equal(y[0], [[0, 1, 2, 3], [4, 5, 6, 7]])


@pytest.mark.parametrize("stride", [0, -2])
def test_stacking_no_frames_is_refused(stride):
    with pytest.raises(ValueError, match=f"stride={stride}; it must be 1 or more"):
        StackFrames(stride)


@pytest.mark.parametrize("delay", [0, 1, 5])
def test_a_delay_hands_out_zeros_and_then_what_came(delay):
    layer, x = Delay(delay, 2), frames(1, 4, 2)
    _, y = layer.scan(layer.init_state(1), x)
    np.testing.assert_array_equal(y, np.pad(x, ((0, 0), (delay, 0), (0, 0)))[:, :4])
    np.testing.assert_array_equal(aligned(layer, x), x)


@pytest.mark.parametrize("make", [lambda frames: Delay(frames, 2), Lookahead], ids=["Delay", "Lookahead"])
def test_the_future_cannot_be_had(make):
    with pytest.raises(ValueError, match=r"frames=-1; it must be 0 or more"):
        make(-1)


def test_a_lookahead_passes_frames_on_and_moves_the_alignment():
    x = frames(1, 5, 2)
    np.testing.assert_array_equal(Lookahead(2)(x), x)
    np.testing.assert_array_equal(aligned(Lookahead(2), x), np.pad(x, ((0, 0), (0, 2), (0, 0)))[:, 2:])


def test_an_empty_chain_passes_frames_on():
    np.testing.assert_array_equal(aligned(Chain(), frames(1, 3, 2)), frames(1, 3, 2))


def test_strides_of_a_chain_multiply_and_look_aheads_count_input_frames():
    chain = Chain(Lookahead(2), StackFrames(2), Delay(3, 4), StackFrames(4), Lookahead(1))
    assert (chain.stride, chain.lookahead) == (8, 2 + 3 * 2 + 1 * 8)


def test_a_chain_runs_its_layers_from_first_to_last():
    x = frames(1, 3, 2)
    np.testing.assert_array_equal(aligned(Chain(Apply(jnp.abs), Apply(jnp.negative)), x), -jnp.abs(x))


@given(lookahead=st.integers(0, 12), stride=st.integers(1, 5))
def test_a_chain_looks_ahead_by_whole_blocks_or_says_what_would_make_it_so(lookahead, stride):
    layers = Lookahead(lookahead), StackFrames(stride)
    if lookahead % stride == 0:
        assert Chain(*layers).lookahead == lookahead
        return
    missing = stride - lookahead % stride
    with pytest.raises(
        ValueError, match=rf"{lookahead} input frames.*stride of {stride}.*Lookahead\({missing}\) in front"
    ):
        Chain(*layers)
    assert Chain(Lookahead(missing), *layers).lookahead == lookahead + missing


@pytest.mark.parametrize("lookahead", [0, 3])
def test_a_residual_adds_the_frame_that_the_inner_output_belongs_to(lookahead):
    rngs = nnx.Rngs(0)
    inner, x = Chain(Lookahead(lookahead), CausalConv(4, 4, 5, rngs=rngs)), frames(2, 9, 4)
    layer = Residual(inner, 4)
    assert layer.lookahead == lookahead
    np.testing.assert_allclose(aligned(layer, x), x + aligned(inner, x), atol=1e-6)


def test_a_residual_around_a_delay_doubles_its_input():
    x = frames(1, 6, 2)
    np.testing.assert_array_equal(aligned(Residual(Delay(2, 2), 2), x), 2 * x)


def test_a_residual_around_subsampling_is_refused():
    with pytest.raises(ValueError, match=r"Residual got a StackFrames of stride 2.*before or after the Residual"):
        Residual(StackFrames(2), 4)


def test_dropout_drops_in_training_and_keeps_the_mean():
    layer = Dropout(0.25, rngs=nnx.Rngs(0))
    y = np.asarray(aligned(layer, jnp.ones((4, 100, 100))))
    np.testing.assert_allclose(np.unique(y), [0.0, 4 / 3], rtol=1e-6)
    assert abs(y.mean() - 1.0) < 0.01
    assert (np.asarray(aligned(layer, jnp.ones((4, 100, 100)))) != y).any()


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_dropout_that_leaves_nothing_or_is_no_share_is_refused(rate):
    with pytest.raises(ValueError, match=f"dropout is {rate}; it must be the share of inputs to drop, from 0 to"):
        Dropout(rate, rngs=nnx.Rngs(0))


def test_dropout_leaves_frames_alone_in_eval_mode_and_comes_back_in_train_mode():
    layer, x = Chain(Dropout(0.5, rngs=nnx.Rngs(0))), frames(2, 10, 10)
    layer.eval()
    np.testing.assert_array_equal(aligned(layer, x), x)
    layer.train()
    assert np.any(np.asarray(aligned(layer, x)) == 0)


def test_layer_norm_brings_each_frame_to_its_bias_and_scale():
    layer, x = LayerNorm(8, epsilon=1e-3, rngs=nnx.Rngs(0)), 5.0 + 3.0 * frames(2, 4, 8)
    layer.scale[...], layer.bias[...] = jnp.arange(8.0), jnp.arange(8.0) - 4.0
    y, x = aligned(layer, x), np.asarray(x)
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + 1e-3) * np.arange(8) + np.arange(8) - 4, atol=1e-4)


def test_rms_norm_divides_each_frame_by_its_root_mean_square():
    layer, x = RMSNorm(8, epsilon=1e-3, rngs=nnx.Rngs(0)), 5.0 + 3.0 * frames(2, 4, 8)
    layer.scale[...] = jnp.arange(8.0)
    y, x = aligned(layer, x), np.asarray(x)
    np.testing.assert_allclose(y, x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-3) * np.arange(8), atol=1e-4)


def test_a_dense_layer_multiplies_each_frame_and_adds_its_bias():
    layer, x = Dense(3, 5, rngs=nnx.Rngs(0)), frames(2, 4, 3)
    layer.bias[...] = jnp.arange(5.0)
    expected = np.asarray(x) @ np.asarray(layer.kernel[...]) + np.arange(5)
    np.testing.assert_allclose(aligned(layer, x), expected, atol=1e-5)
