"""Exported ONNX files as models: they stream, alone and in pools. Needs ONNX Runtime and NumPy but not JAX."""

import hashlib
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

import streamrnn.decisions
from streamrnn.decisions.outlets import Outlet, outlet_by
from streamrnn.runtime.export_format import KEY, SOUND_FORMAT, STEP, initial_state, read_metadata, signal_of
from streamrnn.runtime.steps import State, Step

try:
    import onnxruntime
except ImportError as error:
    raise ImportError(
        "Running ONNX files needs the package onnxruntime, which is not installed. "
        'Install it: pip install "streamrnn[onnx]"'
    ) from error

Exported = str | PathLike[str] | bytes

# ONNX Runtime's names for the dtypes of inputs and outputs.
PORTS = {"float32": "tensor(float)", "int32": "tensor(int32)"}


class OnnxModel(Step):
    """An exported step, which Stream, Listener, Enhancer, Pool and run_file accept in place of a Model: see `Step`.

    Args:
        exported: the path of a file that `streamrnn export` wrote, or its content.
        threads: number of compute threads. With 1, only the calling thread computes.

    Attributes:
        metadata: the file's description of itself; docs/export.md explains it.

    Raises:
        ImportError: ONNX Runtime is not installed.
        OSError: there is no such file.
        ValueError: it is not an ONNX file, or not an export that this version runs.
    """

    def __init__(self, exported: Exported, *, threads: int = 1):
        path = "The graph" if isinstance(exported, bytes) else exported
        content = exported if isinstance(exported, bytes) else Path(exported).read_bytes()
        self._session, self.metadata = open_session(content, path, threads)
        about = self.metadata
        self.signal, self.stride = signal_of(about)
        self.lookahead, self.out_features = about["warm_up_frames"] * self.stride, about["out_features"]
        self.labels, self.decision = _labels(about, path), _decision(about, path)
        self.name = f"{about.get('name') or about.get('model') or path}"
        self.fresh_state = {state["name"]: initial_state(state) for state in about["states"]}
        self._names = list(self.fresh_state)
        self._input = "pcm" if about["format"] == SOUND_FORMAT else "frames"
        self._fingerprint = hashlib.blake2b(content, digest_size=8).hexdigest()

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def __call__(self, state: State, x: np.ndarray) -> tuple[State, np.ndarray]:
        if self._input == "pcm":
            x = x[:, 0]
        outputs, *after = self._session.run(None, {self._input: x, **state})
        return dict(zip(self._names, after, strict=True)), outputs[:, None]

    def outlet(self, **settings: Any) -> Outlet:
        return outlet_by(self.decision, settings, self.labels, self.frame_s, self.lookahead_s)


def open_session(content: bytes, path: Any, threads: int = 1) -> tuple[Any, dict[str, Any]]:
    """ONNX Runtime's session of an exported step, and the file's metadata; errors refer to the file as `path`.

    Raises:
        ValueError: as for `OnnxModel`.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # a dozen classes of its own, with no other common base
        raise ValueError(f"{path} cannot be run by ONNX Runtime ({error}). Export the model again.") from error
    properties = session.get_modelmeta().custom_metadata_map
    if KEY not in properties:
        raise ValueError(f"{path} was not exported by streamrnn. Pass a file that `streamrnn export` wrote.")
    metadata = read_metadata(properties[KEY], path, STEP)
    _require_ports(session, metadata, path)
    return session, metadata


def _require_ports(session: Any, metadata: dict[str, Any], path: Any) -> None:
    """Raises ValueError unless the graph's inputs and outputs are those in the metadata."""
    signal, stride = signal_of(metadata)
    taken = {"pcm": [signal.features]} if metadata["format"] == SOUND_FORMAT else {"frames": [stride, signal.features]}
    states = [[PORTS[state["dtype"]], *state["shape"]] for state in metadata["states"]]
    inputs = {name: [PORTS[signal.dtype], *shape] for name, shape in taken.items()} | _named(metadata, "name", states)
    outputs = {"outputs": [PORTS["float32"], metadata["out_features"]]} | _named(metadata, "next", states)
    for ports, told in ((session.get_inputs(), inputs), (session.get_outputs(), outputs)):
        found = {port.name: [port.type, *port.shape[1:]] for port in ports}
        if found != told:
            differing = sorted(name for name in found.keys() | told.keys() if found.get(name) != told.get(name))
            raise ValueError(
                f"{path} does not match its metadata: {', '.join(differing)[:200]} of the graph differs. "
                "Export the model again."
            )


def _named(metadata: dict[str, Any], key: str, states: list[Any]) -> dict[str, Any]:
    return {state[key]: port for state, port in zip(metadata["states"], states, strict=True)}


def _labels(metadata: dict[str, Any], path: Any) -> tuple[str, ...]:
    labels = metadata.get("labels", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError(f"{path} has damaged metadata: labels are {labels!r:.40}, not names. Export the model again.")
    return tuple(labels)


def _decision(metadata: dict[str, Any], path: Any) -> Any:
    """The decision settings; None if their class is not in streamrnn.decisions."""
    kind: Any = getattr(streamrnn.decisions, str(metadata.get("decision_kind")), None)
    if not hasattr(kind, "outlet"):
        return None
    settings: Any = metadata.get("decision_settings", metadata.get("decision"))
    try:
        decision = kind(**settings)
        # Checks that the settings fit the labels.
        decision.outlet(_labels(metadata, path), 0.01, 0.0)
    except (IndexError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} has damaged metadata: its decision settings are no valid {metadata['decision_kind']} ({error}). "
            "Export the model again."
        ) from error
    return decision


__all__ = ["Exported", "OnnxModel", "open_session"]
