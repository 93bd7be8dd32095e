"""Whole recordings: the same outputs as live, as fast as the machine can compute them."""

from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.annotations import Float, Shaped
from streamrnn.audio import Source
from streamrnn.decisions import Event, Segment, segments
from streamrnn.decisions.outlets import require_outlet
from streamrnn.lifetime import running
from streamrnn.runtime.chunks import FrameChunks, SoundChunks, chunks_of
from streamrnn.runtime.inlets import Inlet, inlet_of
from streamrnn.runtime.steps import AnyModel, Step, step_of

# The length of one scan, and the shortest length that a recording is padded to.
SEGMENT_S = 30.0
SHORTEST_S = 1.0

# For a Series, an array of frames or an iterable of arrays.
Recording = str | PathLike[str] | np.ndarray | Source | Any


def run_file(
    model: AnyModel, recording: Recording, sample_rate: int | None = None, *, channel: int | None = None
) -> Float[np.ndarray, "frames out"]:
    """The model's outputs for a recording, float32[frames, out], aligned with it; equal to a Stream's to 1e-5.

    Scans segments of 30 s with carried state: one compilation, and memory that grows only with the outputs. Shorter
    recordings are padded to 15, 7.5, ... seconds, so that thousands of them take little time and few compilations.

    Args:
        model: any Model, or a loaded export.
        recording: the path of an audio file; samples, [n] or [n, channels], as for Stream.process; or a source that
            ends. For a model of a Series: frames, [n, features], or an iterable of chunks of them.
        sample_rate: of samples, in Hz; files and sources know theirs.
        channel: the channel to use, counted from 0; default: the mean of all.

    Raises:
        FileNotFoundError, AudioError: the file is missing or not audio, samples came without a sample rate, or there is
            no such channel.
        TypeError: model is not a Model, or takes a different signal than the recording.
    """
    step = step_of(model)
    with _chunks(step, recording, sample_rate, channel) as chunks:
        none = np.zeros((0, step.out_features), np.float32)
        return np.concatenate([none, *outputs_of(step, _inlet(step, chunks), chunks)])


def run_file_events(
    model: AnyModel,
    recording: Recording,
    sample_rate: int | None = None,
    *,
    channel: int | None = None,
    **decision: Any,
) -> list[Event]:
    """The events of a recording, which the live decoder decides from run_file's outputs; none reaches past its end.

    Further keyword arguments override the model's decision settings (threshold, min_silence_ms, ...). Other arguments
    and errors are those of run_file.
    """
    step = step_of(model)
    outlet = step.outlet(**decision)
    require_outlet(outlet, "events", step.name)
    with _chunks(step, recording, sample_rate, channel) as chunks:
        inlet = _inlet(step, chunks)
        events = [event for outputs in outputs_of(step, inlet, chunks) for event in outlet.push(outputs).events]
    events += outlet.finish(np.zeros((0, step.out_features), np.float32), inlet.duration_s).events
    return [event.clipped(inlet.duration_s) for event in events]


def speech_segments(
    model: AnyModel,
    recording: Recording,
    sample_rate: int | None = None,
    *,
    channel: int | None = None,
    **decision: Any,
) -> list[Segment]:
    """The speech segments of a recording, in order. Arguments and errors are those of run_file_events."""
    return segments(run_file_events(model, recording, sample_rate, channel=channel, **decision))


def _chunks(
    step: Step, recording: Recording, sample_rate: int | None, channel: int | None
) -> SoundChunks | FrameChunks:
    # A str is a path here, even "mic".
    recording = Path(recording) if isinstance(recording, str) else recording
    return chunks_of(step.signal, recording, sample_rate, channel, SEGMENT_S)


def _inlet(step: Step, chunks: SoundChunks | FrameChunks) -> Inlet:
    return inlet_of(step.signal, step.stride, chunks.sample_rate)


def outputs_of(step: Step, inlet: Inlet, chunks: Iterable[Any]) -> Iterator[Float[np.ndarray, "frames out"]]:
    """Aligned outputs for a finite iterable of chunks, segment by segment, through a fresh inlet."""
    state, warm_up = step.fresh_state, step.lookahead // step.stride
    for blocks, wanted in _segments(step, inlet, chunks):
        with running:
            state, y = step.scan(state, blocks.reshape(1, -1, step.signal.features))
            outputs = np.asarray(y)[0, warm_up:wanted]
        yield outputs
        warm_up = max(0, warm_up - wanted)


def _segments(
    step: Step, inlet: Inlet, chunks: Iterable[Any]
) -> Iterator[tuple[Shaped[np.ndarray, "blocks numbers"], int]]:
    """Segments of whole blocks, and how many of the blocks count: the last segment is padded.

    All have the same length, except for that of a recording shorter than one segment.
    """
    length, was_long = max(1, round(SEGMENT_S / step.frame_s)), False
    held, count = [np.zeros((0, inlet.block), step.signal.dtype)], 0
    for chunk in chunks:
        # A copy: sources may reuse one buffer.
        held.append(inlet.push(inlet.read(chunk)).copy())
        count += len(held[-1])
        if count >= length:
            joined, whole = np.concatenate(held), count // length * length
            for start in range(0, whole, length):
                yield joined[start : start + length], length
            held, count, was_long = [joined[whole:]], count - whole, True
    held = np.concatenate([*held, inlet.finish(step.lookahead // step.stride)])
    length = length if was_long else _padded_length(len(held), length, step.frame_s)
    for start in range(0, len(held), length):
        last = held[start : start + length]
        missing = ((0, length - len(last)), (0, 0))
        yield np.pad(last, missing, constant_values=step.signal.padding), len(last)


def _padded_length(blocks: int, longest: int, frame_s: float) -> int:
    length = longest
    while length // 2 >= max(blocks, SHORTEST_S / frame_s):
        length //= 2
    return length


__all__ = ["outputs_of", "run_file", "run_file_events", "speech_segments"]
