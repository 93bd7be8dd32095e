"""Running exported ONNX files, block by block and with any chunks. Needs ONNX Runtime and NumPy, no JAX."""

import json
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from streamrnn.audio import BlockBuffer, as_samples
from streamrnn.export.format import KEY, STEP, initial_state, require_format

try:
    import onnxruntime
except ImportError as error:
    raise ImportError(
        "Running ONNX files needs the package onnxruntime, which is not installed. "
        'Install it: pip install "streamrnn[onnx]"'
    ) from error

Exported = str | PathLike[str] | bytes


class OnnxStep:
    """An exported step in ONNX Runtime on one CPU thread, with the state of `batch_size` streams.

    pcm float32[batch, block_samples] -> outputs float32[batch, out]. All arrays are bound to buffers once, and the
    state goes to and fro between two sets of them: the fastest way that the runtime has.

    Args:
        exported: the path of a file, or its content.
        batch_size: how many streams advance at once.

    Raises:
        ImportError: ONNX Runtime is not installed.
        OSError: there is no such file.
        ValueError: it is no ONNX file, or not an export that this version runs.
    """

    def __init__(self, exported: Exported, batch_size: int = 1):
        self._session, self.metadata = open_session(exported)
        described, self.batch_size = self.metadata["states"], batch_size
        self._fresh = [initial_state(state, batch_size) for state in described]
        self._pcm = _buffer(np.zeros((batch_size, self.metadata["block_samples"]), np.float32))
        self._outputs = _buffer(np.zeros((batch_size, self.metadata["out_features"]), np.float32))
        self._states = [_buffer(array) for array in self._fresh], [_buffer(array) for array in self._fresh]
        here, there = self._states
        self._bindings = self._bound(here, there), self._bound(there, here)
        self._turn = 0

    def __call__(self, pcm: Float[np.ndarray, "batch block_samples"]) -> Float[np.ndarray, "batch out"]:
        self._pcm.update_inplace(pcm)
        self._session.run_with_iobinding(self._bindings[self._turn])
        self._turn = 1 - self._turn
        return self._outputs.numpy().copy()

    def reset(self) -> None:
        """All streams are fresh again."""
        for buffer, array in zip(self._states[self._turn], self._fresh, strict=True):
            buffer.update_inplace(array)

    def _bound(self, states: list[Any], next_states: list[Any]) -> Any:
        binding = self._session.io_binding()
        binding.bind_ortvalue_input("pcm", self._pcm)
        binding.bind_ortvalue_output("outputs", self._outputs)
        for state, here, there in zip(self.metadata["states"], states, next_states, strict=True):
            binding.bind_ortvalue_input(state["name"], here)
            binding.bind_ortvalue_output(state["next"], there)
        return binding


class OnnxStream:
    """One stream through an exported step: chunks of any length in, aligned outputs out, as of streamrnn.Stream.

    Chunks are at the model's own sample rate, `metadata["sample_rate"]`. Arguments and errors as of `OnnxStep`.
    """

    def __init__(self, exported: Exported):
        self._step = OnnxStep(exported)
        self.metadata = self._step.metadata
        self._blocks = BlockBuffer(self.metadata["block_samples"])
        self.reset()

    def process(self, chunk: Any) -> Float[np.ndarray, "frames out"]:
        """Takes a chunk, returns the outputs that are now complete.

        Args:
            chunk: float in [-1, 1], int16 or s16le bytes; [n] or [n, channels], mixed down.

        Raises:
            AudioError: NaN, odd byte counts, wrong shapes. The chunk is ignored as a whole.
        """
        return self._run(self._blocks.push(as_samples(chunk)))

    def flush(self) -> Float[np.ndarray, "frames out"]:
        """Ends the stream: the outputs still under way. The next chunk begins a new one."""
        silence = np.zeros((self.metadata["warm_up_frames"], self.metadata["block_samples"]), np.float32)
        outputs = self._run(np.concatenate([self._blocks.flush(), silence]))
        self.reset()
        return outputs

    def reset(self) -> None:
        """Forgets everything: the next chunk is the first of a new stream."""
        self._step.reset()
        self._blocks.reset()
        self._warm_up = self.metadata["warm_up_frames"]

    def _run(self, blocks: Float[np.ndarray, "blocks block_samples"]) -> Float[np.ndarray, "frames out"]:
        outputs = [self._step(block[None]) for block in blocks]
        dropped = min(self._warm_up, len(outputs))
        self._warm_up -= dropped
        return np.concatenate([np.zeros((0, self.metadata["out_features"]), np.float32), *outputs[dropped:]])


def open_session(exported: Exported) -> tuple[Any, dict[str, Any]]:
    """ONNX Runtime's session of an exported step, on one thread, and the file's metadata.

    Raises:
        OSError, ValueError: as `OnnxStep` does.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = "The graph" if isinstance(exported, bytes) else exported
    content = exported if isinstance(exported, bytes) else Path(exported).read_bytes()
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # a dozen classes of its own, with no common one but this
        raise ValueError(f"{path} cannot be run by ONNX Runtime ({error}). Export the model again.") from error
    properties = session.get_modelmeta().custom_metadata_map
    if KEY not in properties:
        raise ValueError(f"{path} was not exported by streamrnn. Pass a file that `streamrnn export` wrote.")
    metadata = json.loads(properties[KEY])
    require_format(metadata, path, STEP)
    return session, metadata


def _buffer(array: np.ndarray) -> Any:
    # A copy: on a CPU the runtime works in the array's own memory.
    return onnxruntime.OrtValue.ortvalue_from_numpy(array.copy())


__all__ = ["Exported", "OnnxStep", "OnnxStream", "open_session"]
