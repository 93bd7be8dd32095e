"""The graph of whole recordings, a loop around the graph of one block."""

from collections.abc import Iterator

import numpy as np

from streamrnn.export.onnx_graph import GraphProto, NodeProto, TensorProto, constant, node, plain, value_info
from streamrnn.export.tracing import FlatStep


def recording_graph(body: GraphProto, step: FlatStep) -> GraphProto:
    """pcm[batch, samples] -> outputs[batch, frames, out], with the body run once per block.

    Args:
        body: (*states, block) -> (*next states, output).
        step: the step that the body computes.
    """
    constants, nodes = _constants(step), [*_blocks(), *_fresh_states(step), *_loop(body, step)]
    pcm = value_info("pcm", ("batch", "samples"), np.float32)
    outputs = value_info("outputs", ("batch", "frames", step.model.out_features), np.float32)
    return GraphProto(name="recording", node=nodes, input=[pcm], output=[outputs], initializer=constants)


def _constants(step: FlatStep) -> list[TensorProto]:
    block, warm_up = step.model.block_samples, step.model.lookahead // step.model.stride
    numbers = {"block_samples": block, "block_less_1": block - 1, "warm_up": warm_up, "one_block": 1, "time_axis": 1}
    made = [constant(name, np.array([number])) for name, number in numbers.items()]
    made += [constant("no_padding", np.zeros(3, np.int64)), constant("blocks_shape", np.array([0, -1, block]))]
    for state in step.states:
        made += [constant(f"{state.name}.fresh", np.asarray(state.initial, plain(state.initial.dtype)))]
        made += [constant(f"{state.name}.shape", np.array(state.initial.shape[1:], np.int64))]
    return made


def _blocks() -> Iterator[NodeProto]:
    """Pads with zeros to a whole block, and with as many blocks as outputs lag behind."""
    yield node("Shape", ["pcm"], ["batch_size"], start=0, end=1)
    yield node("Shape", ["pcm"], ["samples"], start=1, end=2)
    yield node("Add", ["samples", "block_less_1"], ["rounding"])
    yield node("Div", ["rounding", "block_samples"], ["whole_blocks"])
    yield node("Add", ["whole_blocks", "warm_up"], ["end"])
    # Without a sample there is no output, but runtimes fail at a loop without a turn.
    yield node("Max", ["end", "one_block"], ["all_blocks"])
    yield node("Mul", ["all_blocks", "block_samples"], ["all_samples"])
    yield node("Sub", ["all_samples", "samples"], ["missing"])
    yield node("Concat", ["no_padding", "missing"], ["padding"], axis=0)
    yield node("Pad", ["pcm", "padding"], ["padded"])
    yield node("Reshape", ["padded", "blocks_shape"], ["blocks"])


def _fresh_states(step: FlatStep) -> Iterator[NodeProto]:
    for name in (state.name for state in step.states):
        yield node("Concat", ["batch_size", f"{name}.shape"], [f"{name}.whole_shape"], axis=0)
        yield node("Expand", [f"{name}.fresh", f"{name}.whole_shape"], [f"{name}.first"])


def _loop(body: GraphProto, step: FlatStep) -> Iterator[NodeProto]:
    first = [f"{state.name}.first" for state in step.states]
    last = [f"{state.name}.last" for state in step.states]
    axes = {"num_scan_inputs": 1, "scan_input_axes": [1], "scan_output_axes": [1]}
    yield node("Scan", [*first, "blocks"], [*last, "all_outputs"], body=body, **axes)
    yield node("Slice", ["all_outputs", "warm_up", "end", "time_axis"], ["outputs"])


__all__ = ["recording_graph"]
