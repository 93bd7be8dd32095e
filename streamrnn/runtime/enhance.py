"""Sound in, sound out: models that give sound, live and for whole recordings."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from streamrnn.audio import ChunkSource, Source, as_samples, open_source
from streamrnn.decisions.attenuation import SoundSettings
from streamrnn.models import Model
from streamrnn.runtime.files import SEGMENT_S, Recording, run_file
from streamrnn.runtime.stream import Latency, Snapshot, Stream, require_model
from streamrnn.runtime.way_back import WayBack


@dataclass(frozen=True)
class EnhancerSnapshot:
    """A stream's snapshot, what has not come out yet of what went in, and the way back to the stream's own rate."""

    stream: Snapshot
    waiting: np.ndarray
    resampler: Any


class Enhancer:
    """Runs a model that gives sound live on one stream: noisy sound in, clean sound out, at the stream's own rate.

    With flush(), as many samples come out as went in, and each at its place: sample n of the output belongs to sample n
    of the input. Every way of cutting the same sound into chunks gives the same output, bit for bit. Not thread-safe;
    separate enhancers are independent.

    Args:
        model: one that gives sound, such as streamrnn.load("denoise").
        sample_rate: of the chunks, 8,000 to 96,000; default: the model's own. At another rate, what comes out reaches
            only as high as the model hears: to 8 kHz at 16,000 samples per second.
        warm_up: compile and run one block now, so that the first live one is not slow.
        sound: settings that override the model's: max_attenuation_db.

    Raises:
        AudioError: the sample rate is out of range.
        TypeError: the model gives no sound; an unknown setting.
        ValueError: a setting is out of range.
    """

    def __init__(self, model: Model, sample_rate: int | None = None, *, warm_up: bool = True, **sound: Any):
        share = original_share(model, sound)
        self.stream = Stream(model, sample_rate, warm_up=warm_up)
        self._way_back = WayBack(model.sample_rate, self.stream.sample_rate, share)

    def process(self, chunk: Any) -> Float[np.ndarray, " samples"]:
        """Takes a chunk (see Stream.process), returns what is now complete, float32[samples] (often none), mono.

        Raises:
            AudioError: the chunk is not sound; it is ignored as a whole.
            RuntimeError: the stream was flushed.
        """
        heard = as_samples(chunk)
        frames = self.stream.process(heard)
        self._way_back.hear(heard)
        return self._way_back.give(frames)

    def flush(self) -> Float[np.ndarray, " samples"]:
        """Ends the stream: the samples still under way. A second call returns none."""
        return self._way_back.give(self.stream.flush(), ended=True)

    def reset(self) -> None:
        """Forgets everything: the next chunk is the first of a new stream."""
        self.stream.reset()
        self._way_back.reset()

    @property
    def sample_rate(self) -> int:
        """Samples per second, in and out."""
        return self.stream.sample_rate

    @property
    def duration_s(self) -> float:
        """Seconds of sound taken so far."""
        return self.stream.duration_s

    @property
    def latency(self) -> Latency:
        """The stream's latency ledger, the way back to its own rate included."""
        latency = self.stream.latency
        return dataclasses.replace(latency, resampler_ms=latency.resampler_ms + 1000 * self._way_back.delay_s)

    def snapshot(self) -> EnhancerSnapshot:
        """All that the enhancer remembers; restore() goes on from it bit for bit."""
        return EnhancerSnapshot(self.stream.snapshot(), *self._way_back.snapshot())

    def restore(self, snapshot: EnhancerSnapshot) -> None:
        """Goes on where the snapshot was taken, with this enhancer's own settings.

        Raises:
            TypeError: it is no enhancer's snapshot.
            ValueError: it is another model's, of another sample rate, or damaged. The enhancer is then as before.
        """
        if not isinstance(snapshot, EnhancerSnapshot):
            raise TypeError(
                f"Enhancer.restore got a {type(snapshot).__name__}; pass what Enhancer.snapshot() returned."
            )
        # The stream first: it refuses what does not fit before anything is changed.
        self.stream.restore(snapshot.stream)
        self._way_back.restore(snapshot.waiting, snapshot.resampler)


def enhance_file(
    model: Model, recording: Recording, sample_rate: int | None = None, **sound: Any
) -> tuple[Float[np.ndarray, " samples"], int]:
    """A recording without its noise: (float32[n], mono, aligned with the recording's n samples, its sample rate in Hz).

    Equal to an Enhancer's output to 1e-5, as fast as the machine can; holds the recording in memory.

    Args:
        model: one that gives sound, such as streamrnn.load("denoise").
        recording: the path of an audio file; samples, [n] or [n, channels]; or a source that ends.
        sample_rate: of samples; files and sources know theirs.
        sound: settings that override the model's: max_attenuation_db.

    Raises:
        FileNotFoundError, AudioError: the file is missing or no sound, or samples came without their rate.
        TypeError: the model gives no sound; an unknown setting.
        ValueError: a setting is out of range.
    """
    share = original_share(model, sound)
    # As a path, a file named "mic" is a file.
    recording = Path(recording) if isinstance(recording, str) else recording
    heard: list[np.ndarray] = [np.zeros(0, np.float32)]
    with open_source(recording, sample_rate=sample_rate, chunk_ms=1000 * SEGMENT_S) as source:
        rate = source.sample_rate
        frames = run_file(model, ChunkSource(_kept(source, heard), rate))
    way_back = WayBack(model.sample_rate, rate, share)
    way_back.hear(np.concatenate(heard))
    return way_back.give(frames, ended=True), rate


def original_share(model: Any, sound: dict[str, Any]) -> float:
    """How much of the original stays, 0 to 1, by the model's settings and those of `sound`, which override them.

    Raises:
        TypeError: the model gives no sound; an unknown setting.
        ValueError: a setting is out of range.
    """
    require_model(model)
    if not isinstance(model.decision, SoundSettings):
        raise TypeError(
            f"{type(model).__name__} gives no sound. Pass a model that does, such as streamrnn.load('denoise'); "
            "for events use streamrnn.Listener, for its outputs streamrnn.Stream."
        )
    return dataclasses.replace(model.decision, **sound).original_share


def _kept(source: Source, heard: list[np.ndarray]) -> Iterator[np.ndarray]:
    for chunk in source:
        heard.append(as_samples(chunk))
        yield heard[-1]


__all__ = ["Enhancer", "EnhancerSnapshot", "enhance_file"]
