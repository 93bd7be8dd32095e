"""Models as ONNX files, which run without JAX and without this package: see docs/export.md for the contract."""

import json
from collections.abc import Mapping
from os import PathLike
from typing import Any

from streamrnn.export.metadata import describe_export
from streamrnn.export.onnx_emit import UnsupportedOperation, emit
from streamrnn.export.onnx_graph import Graph, ModelProto, Value, make_model
from streamrnn.export.onnx_loop import recording_graph
from streamrnn.export.tracing import FlatStep, traced
from streamrnn.models import Model
from streamrnn.replacing import replace_file
from streamrnn.runtime.export_format import KEY, RECORDING, STEP
from streamrnn.signals import Sound


def onnx_step(model: Model, about: Mapping[str, Any] | None = None) -> ModelProto:
    """One block of any number of streams, with the state as inputs and outputs.

    Inputs: pcm float32[batch, block_samples], and each array of the state. Outputs: outputs float32[batch, out], after
    the model's readout, and each array of the state for the next block, named with the suffix ".next".

    Args:
        model: any Model; its weights become constants.
        about: further entries of the metadata, such as those of `about_model`.

    Raises:
        TypeError: it is not a Model.
        UnsupportedOperation: it uses an operation that the exporter does not know.
        ValueError: its step depends on the number of streams, or its state cannot be stored in a file.
    """
    step, graph = FlatStep(model), Graph()
    closed = traced(step)
    names = [step.input_name, *(state.name for state in step.states)]
    inputs = [graph.input(*each) for each in zip(names, *_shapes_and_types(closed.in_avals), strict=True)]
    names = ["outputs", *(state.next_name for state in step.states)]
    outputs = zip(names, _whole(graph, emit(graph, closed, inputs), closed.out_avals), strict=True)
    return make_model(graph.finish("step", outputs), _properties(step, STEP, about))


def onnx_recording(model: Model, about: Mapping[str, Any] | None = None) -> ModelProto:
    """Whole recordings: pcm float32[batch, samples] -> outputs float32[batch, ceil(samples / block_samples), out].

    The step in a loop (ONNX's Scan), from fresh states over the padded recording. Outputs are aligned with the
    recording, without the warm-up. Arguments and errors as for `onnx_step`.
    """
    step, graph = FlatStep(model), Graph()
    if not isinstance(step.model.signal, Sound):
        raise ValueError(
            f"{type(model).__name__} takes {step.model.signal}; graphs of whole recordings are for sound. Export its "
            "step, which streamrnn.run_file runs over recordings."
        )
    closed = traced(step)
    # A loop's body has the state as its first inputs and outputs.
    avals = [*closed.in_avals[1:], closed.in_avals[0]]
    names = [*(state.name for state in step.states), "block"]
    inputs = [graph.input(*each) for each in zip(names, *_shapes_and_types(avals), strict=True)]
    output, *states = _whole(graph, emit(graph, closed, [inputs[-1], *inputs[:-1]]), closed.out_avals)
    names = [*(state.next_name for state in step.states), "output"]
    body = graph.finish("step", zip(names, [*states, output], strict=True))
    return make_model(recording_graph(body, step), _properties(step, RECORDING, about))


def export_onnx(
    model: Model, path: str | PathLike[str], *, recording: bool = False, about: Mapping[str, Any] | None = None
) -> None:
    """Writes the model to an ONNX file: `onnx_step`, or `onnx_recording` on request.

    Raises:
        OSError: the file cannot be written.
        TypeError, ValueError: see `onnx_step`.
    """
    proto = (onnx_recording if recording else onnx_step)(model, about)
    replace_file(path, proto.SerializeToString())


def _shapes_and_types(avals: Any) -> tuple[list[Any], list[Any]]:
    return [aval.shape for aval in avals], [aval.dtype for aval in avals]


def _whole(graph: Graph, values: list[Value], avals: Any) -> list[Value]:
    return [graph.expand(value, aval.shape) for value, aval in zip(values, avals, strict=True)]


def _properties(step: FlatStep, kind: str, about: Mapping[str, Any] | None) -> dict[str, str]:
    return {KEY: json.dumps(describe_export(step, kind, about or {}), ensure_ascii=False)}


__all__ = ["UnsupportedOperation", "export_onnx", "onnx_recording", "onnx_step"]
