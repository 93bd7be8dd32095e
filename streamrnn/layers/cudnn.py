"""LSTM with NVIDIA's cuDNN, through JAX's binding: float32, all frames in one call."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from streamrnn.cells import LSTM, Cell


def cudnn_scan(
    cell: LSTM, state: Any, x: Float[jax.Array, "time batch in"]
) -> tuple[Any, Float[jax.Array, "time batch out"]]:
    """Runs all frames with cuDNN (jax.experimental.rnn, which packs weights in PyTorch's order)."""
    from jax.experimental import rnn

    time, batch, in_features = x.shape
    c, h = state
    ran: Any = rnn.lstm(
        jnp.moveaxis(x, 0, 1),
        h[None],
        c[None],
        packed_weights(cell),
        jnp.full(batch, time, jnp.int32),
        input_size=in_features,
        hidden_size=cell.hidden,
        num_layers=1,
        dropout=0.0,
        bidirectional=False,
    )
    y, h, c = ran
    return (c[0], h[0]), jnp.moveaxis(y, 1, 0)


def packed_weights(cell: LSTM) -> Float[jax.Array, " weights"]:
    """The weights in cuDNN's layout: of input and state, gates in order, then both biases."""
    input_bias: Any = cell.input.bias
    kernel, bias = cell.recurrent_weights
    return jnp.concatenate([cell.input.kernel[...].T.ravel(), kernel.T.ravel(), input_bias[...], bias])


def cudnn_refusal(cell: Cell) -> str | None:
    """Why cuDNN can't run a cell; None if it can."""
    # A subclass may have equations of its own.
    if type(cell) is not LSTM or not cell.is_pointwise:
        return "cuDNN's binding supports only an LSTM without a projection"
    if jnp.dtype(cell.dtype) != jnp.float32:
        return f"cuDNN's binding supports only float32, and the cell computes in {jnp.dtype(cell.dtype).name}"
    return None


__all__ = ["cudnn_refusal", "cudnn_scan", "packed_weights"]
