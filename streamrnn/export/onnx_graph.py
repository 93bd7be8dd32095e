"""An ONNX graph under construction: tensors, constants and nodes, without duplicates."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

try:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, checker, helper, numpy_helper
except ImportError as error:
    raise ImportError(
        'Exporting to ONNX needs the package onnx, which is not installed. Install it: pip install "streamrnn[onnx]"'
    ) from error

# Operators of 2022 and their file format, which every runtime in use reads.
OPSET, IR_VERSION = 18, 8

Shape = tuple[Any, ...]  # numbers, and the symbolic batch


@dataclass(frozen=True)
class Tensor:
    """The output of a node. A dimension of 1 may stand for a larger one; it is broadcast if that matters."""

    name: str
    shape: Shape
    dtype: np.dtype


# A known array becomes a constant of the graph.
Value = Tensor | np.ndarray


class Complex(NamedTuple):
    """ONNX has no complex arithmetic: a pair of reals."""

    real: Value
    imag: Value


class Equation(NamedTuple):
    """One operation of a traced function: JAX's name and parameters, its inputs and outputs.

    Inputs and outputs are jax.ShapeDtypeStructs or alike; their shapes may hold the symbolic batch.
    """

    name: str
    params: Mapping[str, Any]
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]


class Made(NamedTuple):
    """Where a tensor comes from."""

    op: str
    inputs: tuple[Value, ...]
    attributes: Mapping[str, Any]


class Graph:
    """Collects nodes and constants. Equal nodes are created once; unused ones are left out of the model."""

    def __init__(self) -> None:
        self.inputs: list[ValueInfoProto] = []
        self._batch: Any = None
        self._nodes: list[NodeProto] = []
        self._constants: dict[tuple[Any, ...], TensorProto] = {}
        self._known: dict[tuple[Any, ...], list[Tensor]] = {}
        self._made: dict[str, Made] = {}
        self._names = 0

    def input(self, name: str, shape: Shape, dtype: Any) -> Tensor:
        """An input; the batch is axis 0 of the first one."""
        self._batch = shape[0] if self._batch is None else self._batch
        self.inputs.append(value_info(name, shape, dtype))
        return Tensor(name, shape, plain(dtype))

    def node(self, op: str, *inputs: Value, shape: Shape, dtype: Any, **attributes: Any) -> Tensor:
        """A node with one output."""
        (found,) = self.nodes(op, inputs, [shape], dtype, **attributes)
        return found

    def nodes(
        self, op: str, inputs: Sequence[Value], shapes: Sequence[Shape], dtype: Any, **attributes: Any
    ) -> list[Tensor]:
        """A node with outputs of these shapes."""
        names = [self.name(value) for value in inputs]
        key = (op, tuple(names), repr(sorted(attributes.items())), len(shapes), plain(dtype))
        if key not in self._known:
            outputs = [Tensor(self._new_name(op), shape, plain(dtype)) for shape in shapes]
            self._nodes.append(node(op, names, [output.name for output in outputs], **attributes))
            self._made |= {output.name: Made(op, tuple(inputs), attributes) for output in outputs}
            self._known[key] = outputs
        return self._known[key]

    def name(self, value: Value) -> str:
        """The name of the value as input of a node; a constant is added to the graph."""
        if isinstance(value, Tensor):
            return value.name
        array = np.ascontiguousarray(value, plain(value.dtype)).reshape(value.shape)
        key = (array.dtype, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = numpy_helper.from_array(array, self._new_name("constant"))
        return self._constants[key].name

    def made_by(self, value: Value) -> Made:
        """The node whose output the value is; for an input or a constant, a node with the op ""."""
        return self._made.get(value.name, _NOTHING) if isinstance(value, Tensor) else _NOTHING

    def reshape(self, x: Value, shape: Shape) -> Value:
        """The same numbers in another shape."""
        if isinstance(x, np.ndarray):
            return x.reshape(shape)
        x = self.source(x)
        if x.shape == shape:
            return x
        if sum(not isinstance(size, int) for size in shape) > 1:
            raise NotImplementedError("a shape in which the batch comes twice")
        # The runtime infers the one unknown dimension.
        dimensions = np.array([size if isinstance(size, int) else -1 for size in shape], np.int64)
        return self.node("Reshape", x, dimensions, shape=shape, dtype=x.dtype)

    def source(self, x: Value) -> Value:
        """The value before its reshape."""
        while self.made_by(x).op == "Reshape":
            x = self.made_by(x).inputs[0]
        return x

    def expand(self, x: Value, shape: Shape) -> Value:
        """The value with all its dimensions broadcast."""
        if x.shape == shape:
            return x
        if isinstance(x, np.ndarray) and all(isinstance(size, int) for size in shape):
            return np.broadcast_to(x, shape)
        return self.node("Expand", x, self._dimensions(shape), shape=shape, dtype=x.dtype)

    def batch_size(self) -> Tensor:
        """The number of streams, [1], from the first input at run time."""
        first = Tensor(self.inputs[0].name, (), np.dtype(np.float32))
        return self.node("Shape", first, shape=(1,), dtype=np.int64, start=0, end=1)

    def _dimensions(self, shape: Shape) -> Value:
        if all(isinstance(size, int) for size in shape):
            return np.array(shape, np.int64)
        if any(not isinstance(size, int) and size != self._batch for size in shape):
            raise NotImplementedError("a shape that grows otherwise than with the batch")
        parts = [np.array([size], np.int64) if isinstance(size, int) else self.batch_size() for size in shape]
        return self.node("Concat", *parts, shape=(len(parts),), dtype=np.int64, axis=0)

    def finish(self, name: str, outputs: Iterable[tuple[str, Value]]) -> GraphProto:
        """The graph with these outputs and the nodes and constants that they need."""
        outputs = list(outputs)
        infos = [value_info(output, value.shape, value.dtype) for output, value in outputs]
        self._name_outputs(outputs)
        nodes = _needed(self._nodes, {output for output, _ in outputs})
        used = {name for each in nodes for name in each.input}
        constants = [tensor for tensor in self._constants.values() if tensor.name in used]
        return helper.make_graph(nodes, name, self.inputs, infos, constants)

    def _name_outputs(self, outputs: list[tuple[str, Value]]) -> None:
        """Renames values to the names of outputs; inputs, constants and repeated outputs are copied."""
        renamed: dict[str, str] = {}
        for output, value in outputs:
            if self.made_by(value).op and self.name(value) not in renamed:
                renamed[self.name(value)] = output
            else:
                self._nodes.append(node("Identity", [self.name(value)], [output]))
        for each in self._nodes:
            each.input[:] = [renamed.get(name, name) for name in each.input]
            each.output[:] = [renamed.get(name, name) for name in each.output]

    def _new_name(self, stem: str) -> str:
        self._names += 1
        return f"{stem}_{self._names}"


_NOTHING = Made("", (), {})


def plain(dtype: Any) -> np.dtype:
    """The graph's compute type: CPUs have no arithmetic for short floats, and ONNX has none for complex numbers."""
    dtype = np.dtype(dtype)
    return np.dtype(np.float32) if dtype.name in ("bfloat16", "float16", "complex64") else dtype


def wide(dtype: np.dtype) -> np.dtype:
    """A type that holds all numbers of this one, and that runtimes have every operator for: float32, int32 or int64."""
    if dtype.kind == "f" or dtype.name == "int64":
        return dtype
    return np.dtype(np.int64 if dtype.name == "uint32" else np.int32)


def value_info(name: str, shape: Shape, dtype: Any) -> ValueInfoProto:
    """The declaration of an input or output, with names for symbolic dimensions."""
    sizes = [size if isinstance(size, int) else str(size) for size in shape]
    return helper.make_tensor_value_info(name, element_type(dtype), sizes)


def _needed(nodes: list[NodeProto], wanted: set[str]) -> list[NodeProto]:
    kept = []
    for each in reversed(nodes):
        if wanted & set(each.output):
            wanted |= set(each.input)
            kept.append(each)
    return kept[::-1]


def make_model(graph: GraphProto, properties: Mapping[str, str]) -> ModelProto:
    """The graph as a model with metadata, checked.

    Raises:
        checker.ValidationError: it violates ONNX's rules.
    """
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    helper.set_model_props(model, dict(properties))
    checker.check_model(model, full_check=True)
    return model


def element_type(dtype: Any) -> int:
    """ONNX's id of a type."""
    return helper.np_dtype_to_tensor_dtype(plain(dtype))


def node(op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> NodeProto:
    """A node outside a Graph, with given names."""
    return helper.make_node(op, inputs, outputs, name=outputs[0], **attributes)


def constant(name: str, array: np.ndarray) -> TensorProto:
    """A constant outside a Graph."""
    return numpy_helper.from_array(array, name)


def array_of(tensor: TensorProto) -> np.ndarray:
    """A constant's numbers."""
    return numpy_helper.to_array(tensor)


__all__ = [
    "Complex",
    "Equation",
    "Graph",
    "GraphProto",
    "Made",
    "ModelProto",
    "NodeProto",
    "Shape",
    "Tensor",
    "TensorProto",
    "Value",
    "array_of",
    "constant",
    "element_type",
    "make_model",
    "node",
    "plain",
    "value_info",
    "wide",
]
