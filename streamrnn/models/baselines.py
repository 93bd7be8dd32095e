"""Cores without recurrence, for comparison: transformers, feed-forward and convolutional networks.

Each function returns the layers of a core in order, frames x[batch, time, in_features] -> y[batch, time, features],
one step per frame. The cores differ in a stream's memory and in the cost of a step.
"""

import math

import jax
import jax.numpy as jnp
from flax import nnx

from streamrnn.contract import Layer
from streamrnn.layers import Apply, CausalAttention, CausalConv, Chain, Dense, LayerNorm, Recomputed, Residual


def transformer(
    in_features: int, features: int, *, layers: int, heads: int, capacity: int, dtype=jnp.float32, rngs: nnx.Rngs
) -> list[Layer]:
    """A causal transformer with a cache of keys and values: see CausalAttention.

        x = x + attention(norm(x))
        x = x + W_2 gelu(W_1 norm(x))        four times as wide inside

    in each layer, and a norm at the end (Vaswani et al. 2017, with pre-normalisation: Xiong et al. 2020, "On layer
    normalization in the transformer architecture").

    Args:
        in_features, features: width of input frames; width of output frames and of the layers.
        layers: number of layers.
        heads: attention heads; each is features / heads wide, rounded up to an even number.
        capacity: frames that a frame attends to in each layer: a sliding window, or more than any stream has.
        dtype: compute dtype; parameters, state and attention are float32.
        rngs: random streams that draw the parameters.
    """
    blocks: list[Layer] = [_transformer_layer(features, heads, capacity, dtype, rngs) for _ in range(layers)]
    # Normalised silence is frames of zeros; without a bias, the norms would amplify their rounding errors.
    bias_init = nnx.initializers.normal(0.1)
    blocks[0] = Chain(Dense(in_features, features, bias_init=bias_init, dtype=dtype, rngs=rngs), blocks[0])
    blocks[-1] = Chain(blocks[-1], LayerNorm(features, dtype=dtype, rngs=rngs))
    return blocks


def recomputed_transformer(
    in_features: int, features: int, *, layers: int, heads: int, capacity: int, dtype=jnp.float32, rngs: nnx.Rngs
) -> list[Layer]:
    """The same transformer without a cache: each step recomputes the last frames, at most `capacity`."""
    inner = transformer(in_features, features, layers=layers, heads=heads, capacity=capacity, dtype=dtype, rngs=rngs)
    return [Recomputed(Chain(*inner), in_features, capacity)]


def feedforward(
    in_features: int, features: int, *, layers: int, window: int, dtype=jnp.float32, rngs: nnx.Rngs
) -> list[Layer]:
    """Fully connected layers over the last `window` frames, without memory of earlier ones.

    Source: Hinton et al. 2012, "Deep neural networks for acoustic modeling in speech recognition", but with relu.
    """
    # A convolution as long as the window is a matmul over the stacked frames.
    stacked = CausalConv(in_features, features, window, dtype=dtype, rngs=rngs)
    further = [Dense(features, features, dtype=dtype, rngs=rngs) for _ in range(layers - 1)]
    return [Chain(layer, Apply(jax.nn.relu)) for layer in (stacked, *further)]


def temporal_convolutions(
    in_features: int, features: int, *, window: int, dtype=jnp.float32, rngs: nnx.Rngs
) -> list[Layer]:
    """Residual blocks of two convolutions over three frames; each block doubles the dilation.

        x = relu(x + relu(W_2 * relu(W_1 * x)))

    as many blocks as an output needs to see `window` frames (Bai et al. 2018, "An empirical evaluation of generic
    convolutional and recurrent networks for sequence modeling", without weight normalisation).
    """
    # n blocks, with dilations 1, 2, ... 2**(n - 1), see 1 + 4 (2**n - 1) frames.
    count = max(1, math.ceil(math.log2((window + 3) / 4)))
    blocks: list[Layer] = [_convolutions(features, 2**n, dtype, rngs) for n in range(count)]
    blocks[0] = Chain(Dense(in_features, features, dtype=dtype, rngs=rngs), blocks[0])
    return blocks


def _transformer_layer(features: int, heads: int, capacity: int, dtype, rngs: nnx.Rngs) -> Chain:
    head_features = 2 * math.ceil(features / (2 * heads))
    attention = Chain(
        LayerNorm(features, dtype=dtype, rngs=rngs),
        CausalAttention(features, heads, capacity, head_features=head_features, dtype=dtype, rngs=rngs),
    )
    network = Chain(
        LayerNorm(features, dtype=dtype, rngs=rngs),
        Dense(features, 4 * features, dtype=dtype, rngs=rngs),
        Apply(jax.nn.gelu),
        Dense(4 * features, features, dtype=dtype, rngs=rngs),
    )
    return Chain(Residual(attention, features), Residual(network, features))


def _convolutions(features: int, dilation: int, dtype, rngs: nnx.Rngs) -> Chain:
    two = [
        layer
        for _ in range(2)
        for layer in (CausalConv(features, features, 3, dilation=dilation, dtype=dtype, rngs=rngs), Apply(jax.nn.relu))
    ]
    return Chain(Residual(Chain(*two), features), Apply(jax.nn.relu))


__all__ = ["feedforward", "recomputed_transformer", "temporal_convolutions", "transformer"]
