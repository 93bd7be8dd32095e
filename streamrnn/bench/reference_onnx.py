"""The recurrent layers and the head of a model, here and in ONNX Runtime: what a step is measured against.

The front end stays out: the recurrence is what runtimes differ in, and both sides get ready-made features.
"""

import dataclasses
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float

from streamrnn.cells import GRU
from streamrnn.layers import Chain, Dense, Recurrent
from streamrnn.models import Model

try:
    import onnx
    import onnxruntime
    from onnx import helper, numpy_helper
except ImportError as error:
    raise ImportError(
        f"Measuring against ONNX Runtime needs {error.name}, which is not installed. "
        'Install it: pip install "streamrnn[onnx]"'
    ) from error

# The first operator set with the GRU of today, and the format that came with it: every runtime in use reads them.
OPSET, IR_VERSION = 14, 8


class RecurrentPart(Model):
    """The GRU layers and the Dense head of a model, sharing its weights: features x[batch, time, in] -> probabilities.

    Attributes:
        grus: the cells, first to last.
        head: the last projection.

    Raises:
        ValueError: the model's core has no GRU layer, or its head is no Dense with a bias.
    """

    def __init__(self, model: Model):
        *_, core, head = getattr(model.network, "layers", (None, None))
        layers = [layer for layer in getattr(core, "layers", ()) if _is_gru(layer)]
        if not layers or not isinstance(head, Dense) or head.bias is None:
            raise ValueError(
                f"{type(model).__name__} has {len(layers)} GRU layers and a head of type {type(head).__name__}; "
                "the network for ONNX Runtime needs GRU layers and a Dense with a bias. Leave ONNX Runtime out."
            )
        # To the runtime an input frame is just some numbers: here features instead of samples.
        settings = dataclasses.replace(model.settings, hop_samples=layers[0].cell.in_features)
        super().__init__(settings, model.decision, Chain(*layers, head), head.out_features)
        self.grus, self.head = nnx.List([layer.cell for layer in layers]), head

    def readout(self, logits: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(logits)


class OnnxStream:
    """One stream through a RecurrentPart's ONNX graph on one CPU thread, a frame per call: x[in] -> probabilities[out].

    It calls `session.run` with NumPy arrays, as programs that ship with ONNX Runtime do.
    """

    def __init__(self, part: RecurrentPart):
        self._session = _session(part)
        self._state = {f"h{i}": np.zeros((1, 1, gru.out_features), np.float32) for i, gru in enumerate(part.grus)}

    def __call__(self, x: Float[np.ndarray, " in"]) -> Float[np.ndarray, " out"]:
        y, *states = self._session.run(None, {"x": x.reshape(1, 1, -1), **self._state})
        self._state = dict(zip(self._state, states, strict=True))
        return y[0, 0]


class BoundOnnxStream:
    """As OnnxStream, with all inputs and outputs bound to buffers once: the fastest way there is.

    The state goes to and fro between two sets of buffers.
    """

    def __init__(self, part: RecurrentPart):
        self._session = _session(part)
        self._x, self._y = _buffer(part.hop_samples), _buffer(part.out_features)
        here, there = ([_buffer(gru.out_features) for gru in part.grus] for _ in range(2))
        self._bindings = cycle([self._bound(here, there), self._bound(there, here)])

    def __call__(self, x: Float[np.ndarray, " in"]) -> Float[np.ndarray, " out"]:
        self._x.update_inplace(x.reshape(1, 1, -1))
        self._session.run_with_iobinding(next(self._bindings))
        return self._y.numpy()[0, 0].copy()

    def _bound(self, states: list[Any], next_states: list[Any]) -> Any:
        binding = self._session.io_binding()
        binding.bind_ortvalue_input("x", self._x)
        binding.bind_ortvalue_output("y", self._y)
        for i, (state, next_state) in enumerate(zip(states, next_states, strict=True)):
            binding.bind_ortvalue_input(f"h{i}", state)
            binding.bind_ortvalue_output(f"h{i}_next", next_state)
        return binding


def _session(part: RecurrentPart) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    graph = onnx_graph(part).SerializeToString()
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def onnx_graph(part: RecurrentPart) -> onnx.ModelProto:
    """One frame of one stream: x[1, 1, in], h0[1, 1, hidden], h1, ... -> y[1, 1, out], h0_next[1, 1, hidden], ..."""
    nodes, weights, frame = [], [], "x"
    for i, gru in enumerate(part.grus):
        weights += _named(f"gru{i}_", W=_gates(gru.input.kernel), R=_gates(gru.recurrent.kernel), B=_biases(gru))
        nodes += _gru_nodes(i, frame, gru.out_features)
        frame = f"frame{i}"
    weights += _named("head_", W=_array(part.head.kernel), B=_array(part.head.bias))
    nodes += [
        helper.make_node("MatMul", [frame, "head_W"], ["head_product"]),
        helper.make_node("Add", ["head_product", "head_B"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["y"]),
    ]
    states = {f"h{i}": gru.out_features for i, gru in enumerate(part.grus)}
    inputs = {"x": part.hop_samples, **states}
    outputs = {"y": part.out_features, **{f"{name}_next": width for name, width in states.items()}}
    graph = helper.make_graph(nodes, "recurrent_part", _values(inputs), _values(outputs), weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model


def _gru_nodes(i: int, frame: str, hidden: int) -> Iterator[onnx.NodeProto]:
    inputs = [frame, f"gru{i}_W", f"gru{i}_R", f"gru{i}_B", "", f"h{i}"]
    # The frames come as [time, directions, batch, hidden]; with one direction and one frame the state is the output.
    yield helper.make_node("GRU", inputs, ["", f"h{i}_next"], hidden_size=hidden, linear_before_reset=1)
    yield helper.make_node("Identity", [f"h{i}_next"], [f"frame{i}"])


def _gates(kernel: Any) -> np.ndarray:
    """[in, r z n] as ONNX wants it: [1, z r n, in]."""
    return np.concatenate(_reordered(kernel), axis=-1).T[None]


def _biases(gru: GRU) -> np.ndarray:
    """Of the input, then of the recurrence: [1, 2 * gates]."""
    return np.concatenate([*_reordered(gru.input.bias), *_reordered(gru.recurrent.bias)])[None]


def _reordered(gates: Any) -> list[np.ndarray]:
    r, z, n = np.split(_array(gates), 3, axis=-1)
    return [z, r, n]


def _array(parameter: Any) -> np.ndarray:
    return np.asarray(parameter[...], np.float32)


def _named(prefix: str, **arrays: np.ndarray) -> list[onnx.TensorProto]:
    return [numpy_helper.from_array(np.ascontiguousarray(array), prefix + name) for name, array in arrays.items()]


def _buffer(width: int) -> Any:
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros((1, 1, width), np.float32))


def _values(widths: dict[str, int]) -> list[onnx.ValueInfoProto]:
    float32 = onnx.TensorProto.FLOAT
    return [helper.make_tensor_value_info(name, float32, [1, 1, width]) for name, width in widths.items()]


def _is_gru(layer: Any) -> bool:
    return isinstance(layer, Recurrent) and isinstance(layer.cell, GRU)


__all__ = ["BoundOnnxStream", "OnnxStream", "RecurrentPart", "onnx_graph"]
