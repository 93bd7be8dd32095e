"""Convolutions over time that never look ahead."""

import jax.numpy as jnp
from flax import nnx

from streamrnn.contract import Layer, remembered
from streamrnn.layers.chain import Chain
from streamrnn.layers.pointwise import Dense
from streamrnn.shapes import Block, Frames, OutputFrame, State


class CausalConv(Layer):
    """A convolution over the latest frames: y[t] = b + sum_k W_k x[t - (kernel_size - 1 - k) * dilation].

    The state is the past frames that later outputs need, [batch, (kernel_size - 1) * dilation + 1 - stride, in]
    (van den Oord et al. 2016, "WaveNet").

    Args:
        in_features, out_features: width of input and output frames.
        kernel_size: number of frames per output.
        stride: input frames per output frame; an output's last frame is the block's last.
        dilation: distance between these frames.
        groups: number of separate groups of channels; in_features makes the convolution depthwise.
        use_bias: whether to add b.
        dtype: compute dtype; parameters and state stay float32.
        rngs: random streams that draw the parameters.

    Raises:
        ValueError: the kernel is shorter than the stride, so that frames would be skipped.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        use_bias: bool = True,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        reach = (kernel_size - 1) * dilation + 1
        if reach < stride:
            raise ValueError(
                f"CausalConv got kernel_size={kernel_size} and dilation={dilation}, which span {reach} frames, with "
                f"stride={stride}; the frames between would be skipped. Use a longer kernel or a smaller stride."
            )
        self.in_features, self.stride, self.context = in_features, stride, reach - stride
        self.dilation, self.groups = dilation, groups
        self.conv = nnx.Conv(
            in_features,
            out_features,
            kernel_size,
            strides=stride,
            kernel_dilation=dilation,
            feature_group_count=groups,
            padding="VALID",
            use_bias=use_bias,
            dtype=dtype,
            rngs=rngs,
        )

    def init_state(self, batch_size: int) -> State:
        return jnp.zeros((batch_size, self.context, self.in_features), jnp.float32)

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        if self.groups > 1:
            return self.scan(state, x)
        heard = jnp.concatenate([state, x.astype(state.dtype)], axis=1)
        # One matmul over all taps takes half the time of a convolution with a single output frame.
        taps = heard[:, :: self.dilation]
        taps = taps.reshape(taps.shape[0], 1, taps.shape[1] * taps.shape[2])
        return remembered(state, x), self._weighted(taps)

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        if x.shape[1] % self.stride:
            raise ValueError(
                f"CausalConv.scan got {x.shape[1]} frames; it consumes {self.stride} per step. "
                f"Pass a multiple of {self.stride}, or let streamrnn.Stream do the chunking."
            )
        heard = jnp.concatenate([state, x.astype(state.dtype)], axis=1)
        return remembered(state, x), self.conv(heard)

    def _weighted(self, taps: Frames) -> OutputFrame:
        bias = None if self.conv.bias is None else self.conv.bias[...]
        kernel = self.conv.kernel[...].reshape(taps.shape[-1], -1)
        taps, kernel, bias = self.conv.promote_dtype((taps, kernel, bias), dtype=self.conv.dtype)
        return taps @ kernel if bias is None else taps @ kernel + bias


def depthwise_separable_conv(
    in_features: int,
    out_features: int,
    kernel_size: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    dtype=jnp.float32,
    rngs: nnx.Rngs,
) -> Chain:
    """A depthwise CausalConv, then a Dense across channels: kernel_size * in + in * out weights (Howard et al. 2017).

    Arguments and errors are those of CausalConv.
    """
    depthwise = CausalConv(
        in_features,
        in_features,
        kernel_size,
        stride=stride,
        dilation=dilation,
        groups=in_features,
        dtype=dtype,
        rngs=rngs,
    )
    return Chain(depthwise, Dense(in_features, out_features, dtype=dtype, rngs=rngs))


__all__ = ["CausalConv", "depthwise_separable_conv"]
