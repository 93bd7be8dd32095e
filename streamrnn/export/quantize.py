"""8-bit weights: a third to two fifths of the file size, with the loss of accuracy measured on recordings."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from streamrnn.audio import read_audio
from streamrnn.contract import Constant
from streamrnn.decisions import Event
from streamrnn.export.onnx import onnx_step
from streamrnn.export.onnx_graph import ModelProto, array_of
from streamrnn.models import Model
from streamrnn.replacing import replace_file
from streamrnn.runtime import Stream
from streamrnn.runtime.exported import OnnxModel
from streamrnn.signals import Sound


@dataclass(frozen=True)
class Cost:
    """The effect of 8-bit weights on outputs and events.

    Attributes:
        recordings: number of recordings.
        max_difference: the largest absolute difference of any output.
        events: number of events of the float32 graph; 0 for a model that outputs sound.
        events_changed: events that only one of the two emits: another kind, label or decision time.
    """

    recordings: int
    max_difference: float
    events: int
    events_changed: int


def export_int8(
    model: Model,
    path: str | PathLike[str],
    recordings: Sequence[str | PathLike[str]],
    *,
    about: Mapping[str, Any] | None = None,
) -> Cost:
    """Writes the step with trained weights in 8 bits, one scale per column, and measures the loss of accuracy.

    Inputs and outputs are those of `onnx_step`. Matmuls with trained weights compute in 8 bits, with a scale for their
    input that is computed in each call; spectra, filterbanks, convolutions and states stay float32.

    Args:
        model: any Model.
        path: the file to write.
        recordings: audio files of any sample rate, on which both graphs are compared.
        about: as for `onnx_step`.

    Raises:
        ImportError: ONNX Runtime is not installed.
        OSError, AudioError: the file cannot be written, or a recording cannot be read.
        ValueError: there are no recordings, or the model takes no sound; and see `onnx_step`.
        TypeError: it is not a Model.
    """
    if not recordings:
        raise ValueError("There are no recordings to measure the cost of 8 bits on. Pass some that the model is for.")
    if not isinstance(model.signal, Sound):
        raise ValueError(
            f"The cost of 8 bits is measured on recordings, and {type(model).__name__} takes {model.signal}, no sound. "
            "Export it without --int8."
        )
    exact = onnx_step(model, about)
    rounded = quantized(exact, model)
    cost = _cost(model, exact.SerializeToString(), rounded, [Path(recording) for recording in recordings])
    replace_file(path, rounded)
    return cost


def quantized(proto: ModelProto, model: Model) -> bytes:
    """The graph with matmuls of trained weights in 8 bits."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # Marks the graph as preprocessed: it has all shapes and no constants left to fold. Else quantize_dynamic warns.
    ready = ModelProto()
    ready.CopyFrom(proto)
    ready.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        quantize_dynamic(
            ready,
            path,
            op_types_to_quantize=["MatMul"],
            nodes_to_exclude=list(_exact_nodes(proto, model)),
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
        return path.read_bytes()


def _exact_nodes(proto: ModelProto, model: Model) -> Iterator[str]:
    """Matmuls with fixed matrices: Fourier matrices, filterbanks, bands."""
    arrays = {tensor.name: array_of(tensor) for tensor in proto.graph.initializer}
    designed = [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(model, Constant))]
    for node in proto.graph.node:
        if node.op_type == "MatMul":
            matrix = arrays.get(node.input[1])
            if matrix is None or matrix.ndim != 2 or any(np.array_equal(matrix, array) for array in designed):
                yield node.name


def _cost(model: Model, exact: bytes, rounded: bytes, recordings: list[Path]) -> Cost:
    difference, events, changed = 0.0, 0, 0
    for recording in recordings:
        sound, _ = read_audio(recording, model.sample_rate)
        ours, theirs = _outputs(exact, sound), _outputs(rounded, sound)
        difference = max(difference, float(np.abs(ours - theirs).max(initial=0.0)))
        if model.outlet().gives == "events":
            duration_s = len(sound) / model.sample_rate
            before, after = (_decided(model, outputs, duration_s) for outputs in (ours, theirs))
            events += before.total()
            changed += (before - after).total() + (after - before).total()
    return Cost(len(recordings), difference, events, changed)


def _outputs(exported: bytes, sound: np.ndarray) -> np.ndarray:
    stream = Stream(OnnxModel(exported))
    return np.concatenate([stream.process(sound), stream.flush()])


def _decided(model: Model, outputs: np.ndarray, duration_s: float) -> Counter[tuple[str, str, float]]:
    decoder = model.decoder()
    events: list[Event] = [*decoder.push(outputs), *decoder.finish(duration_s)]
    return Counter((event.kind, event.label, event.decided_s) for event in events)


__all__ = ["Cost", "export_int8", "quantized"]
