"""Whole recordings: the same numbers as live, as fast as the machine can."""

from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from streamrnn.audio import BlockBuffer, Source, StreamingResampler, as_samples, open_source
from streamrnn.decisions import Event, Segment, segments
from streamrnn.models import Model
from streamrnn.runtime.compiled import compiled_scan
from streamrnn.runtime.stream import require_model

# As long as one scan is, and as short as the padding of a recording may be.
SEGMENT_S = 30.0
SHORTEST_S = 1.0

Recording = str | PathLike[str] | np.ndarray | Source


def run_file(model: Model, recording: Recording, sample_rate: int | None = None) -> Float[np.ndarray, "frames out"]:
    """The model's outputs for a recording, float32[frames, out], aligned with it; equal to a Stream's to 1e-5.

    Scans segments of 30 s with carried state: one compilation, and memory that grows with the outputs alone. Shorter
    recordings are padded to 15, 7.5, ... seconds, so that thousands of them take little time and few compilations.

    Args:
        model: any Model.
        recording: the path of an audio file; samples, [n] or [n, channels], as Stream.process takes them; or a source
            that ends.
        sample_rate: of samples; files and sources know theirs.

    Raises:
        FileNotFoundError, AudioError: the file is missing or no sound, or samples came without their rate.
        TypeError: it is no Model.
    """
    require_model(model)
    with _source(recording, sample_rate) as source:
        none = np.zeros((0, model.out_features), np.float32)
        return np.concatenate([none, *_outputs(model, _Sound(source))])


def run_file_events(model: Model, recording: Recording, sample_rate: int | None = None, **decision: Any) -> list[Event]:
    """The events of a recording, decided by the live decoder on run_file's outputs; none reaches past its end.

    Further keyword arguments override the model's decision settings (threshold, min_silence_ms, ...). Arguments and
    errors otherwise as those of run_file.
    """
    require_model(model)
    decoder = model.decoder(**decision)
    with _source(recording, sample_rate) as source:
        sound = _Sound(source)
        events = [event for outputs in _outputs(model, sound) for event in decoder.push(outputs)]
    events += decoder.finish(sound.duration_s)
    return [event.clipped(sound.duration_s) for event in events]


def speech_segments(
    model: Model, recording: Recording, sample_rate: int | None = None, **decision: Any
) -> list[Segment]:
    """Where somebody speaks in a recording, in order. Arguments and errors as those of run_file_events."""
    return segments(run_file_events(model, recording, sample_rate, **decision))


def _source(recording: Recording, sample_rate: int | None) -> Source:
    # As a path, a file named "mic" is a file.
    recording = Path(recording) if isinstance(recording, str) else recording
    return open_source(recording, sample_rate=sample_rate, chunk_ms=1000 * SEGMENT_S)


class _Sound:
    """The samples of a source, counted as they are read: a header may promise more, or not know how many there are."""

    def __init__(self, source: Source):
        self.source, self.samples = source, 0

    @property
    def duration_s(self) -> float:
        """Seconds read so far."""
        return self.samples / self.source.sample_rate

    def at(self, sample_rate: int) -> Iterator[Float[np.ndarray, " samples"]]:
        """All samples at another rate, mono, in chunks."""
        if self.source.sample_rate == sample_rate:
            yield from self._chunks()
            return
        resampler = StreamingResampler(self.source.sample_rate, sample_rate)
        yield from map(resampler.process, self._chunks())
        yield resampler.flush()

    def _chunks(self) -> Iterator[Float[np.ndarray, " samples"]]:
        for chunk in map(as_samples, self.source):
            self.samples += len(chunk)
            yield chunk


def _outputs(model: Model, sound: _Sound) -> Iterator[Float[np.ndarray, "frames out"]]:
    """Aligned outputs, segment by segment."""
    scan = compiled_scan(model)
    state, warm_up = scan.fresh_state, model.lookahead // model.stride
    for blocks, wanted in _segments(model, sound):
        state, y = scan(state, blocks.reshape(1, -1, model.hop_samples))
        yield np.asarray(y)[0, warm_up:wanted]
        warm_up = max(0, warm_up - wanted)


def _segments(model: Model, sound: _Sound) -> Iterator[tuple[Float[np.ndarray, "blocks block_samples"], int]]:
    """Segments of whole blocks and how many of the blocks count: the last segment is padded.

    All have one length, but for that of a recording which is shorter than a segment.
    """
    length, was_long = round(SEGMENT_S / model.frame_s), False
    buffer, held = BlockBuffer(model.block_samples), np.zeros((0, model.block_samples), np.float32)
    for samples in sound.at(model.sample_rate):
        held = np.concatenate([held, buffer.push(samples)])
        while len(held) >= length:
            yield held[:length], length
            held, was_long = held[length:], True
    silence = np.zeros((model.lookahead // model.stride, model.block_samples), np.float32)
    held = np.concatenate([held, buffer.flush(), silence])
    length = length if was_long else _padded_length(len(held), length, model.frame_s)
    for start in range(0, len(held), length):
        last = held[start : start + length]
        yield np.pad(last, ((0, length - len(last)), (0, 0))), len(last)


def _padded_length(blocks: int, longest: int, frame_s: float) -> int:
    length = longest
    while length // 2 >= max(blocks, SHORTEST_S / frame_s):
        length //= 2
    return length


__all__ = ["run_file", "run_file_events", "speech_segments"]
