"""Several frames of a GRU as one operator of ONNX, where unrolled steps would take twenty nodes each."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import Primitive

from streamrnn.cells import GRU
from streamrnn.contract import Layer
from streamrnn.export.onnx_graph import Equation, Graph, Tensor, Value
from streamrnn.layers import Chain, Recurrent, to_torch
from streamrnn.shapes import Frames, State

# (x[time, batch, in], h[batch, hidden], W, R, B) -> (y[time, batch, hidden], h); weights as ONNX's GRU takes them.
gru = Primitive("gru")
gru.multiple_results = True

# ONNX has the update gate first, then reset and new.
GATES = (1, 0, 2)
ABSENT = Tensor("", (), np.dtype(np.float32))


@gru.def_abstract_eval
def _(x: Any, h: Any, *_weights: Any) -> list[ShapedArray]:
    return [ShapedArray((*x.shape[:2], h.shape[1]), jnp.float32), ShapedArray(h.shape, jnp.float32)]


def gru_rule(graph: Graph, eqn: Equation, x: Value, h: Value, *weights: Value) -> list[Value]:
    """The nodes of the primitive."""
    (time, batch, hidden), dtype = eqn.outputs[0].shape, np.float32
    inputs = [graph.expand(x, eqn.inputs[0].shape), *weights, ABSENT, graph.reshape(h, (1, batch, hidden))]
    shapes = [(time, 1, batch, hidden), (1, batch, hidden)]
    y, last = graph.nodes("GRU", inputs, shapes, dtype, hidden_size=hidden, linear_before_reset=1)
    return [graph.reshape(y, (time, batch, hidden)), graph.reshape(last, (batch, hidden))]


def scanned(layer: Layer, state: State, x: Frames) -> tuple[State, Frames]:
    """layer.scan, with the primitive in place of each GRU in a Chain; to be traced, not run."""
    # No other kind of Chain: those have states of their own.
    if type(layer) is Chain:
        states = []
        for child, child_state in zip(layer.layers, state, strict=True):
            child_state, x = scanned(child, child_state, x)
            states.append(child_state)
        return tuple(states), x
    if isinstance(layer, Recurrent) and type(layer.cell) is GRU:
        y, state = gru.bind(jnp.moveaxis(x, 1, 0), state, *_weights(layer))
        return state, jnp.moveaxis(y, 0, 1)
    return layer.scan(state, x)


def _weights(layer: Recurrent) -> list[jax.Array]:
    torch = {name.partition("_l0")[0]: np.asarray(array) for name, array in to_torch(layer).items()}

    def ordered(name: str) -> np.ndarray:
        return np.concatenate([np.split(torch[name], 3)[gate] for gate in GATES])

    biases = np.concatenate([ordered("bias_ih"), ordered("bias_hh")])
    return [jnp.asarray(array[None], jnp.float32) for array in (ordered("weight_ih"), ordered("weight_hh"), biases)]


__all__ = ["gru", "gru_rule", "scanned"]
