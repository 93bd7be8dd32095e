"""A live stream and its outlet: what listeners and enhancers share."""

import dataclasses
from functools import partial
from typing import Any, ClassVar

import numpy as np

from streamrnn.audio import Encoding
from streamrnn.decisions.outlets import Given, Gives, Outlet, require_outlet
from streamrnn.runtime.snapshots import Snapshot
from streamrnn.runtime.steps import AnyModel, step_of
from streamrnn.runtime.stream import Latency, Stream


class Live:
    """A Stream whose outputs go into an outlet.

    Args:
        model, sample_rate, channels, encoding, warm_up: see Stream.
        settings: override the model's decision settings.
    """

    gives: ClassVar[Gives]

    def __init__(
        self,
        model: AnyModel,
        sample_rate: int | None,
        channels: int | None,
        encoding: Encoding | None,
        warm_up: bool,
        settings: dict[str, Any],
    ):
        step = step_of(model)
        self._make_outlet = partial(step.outlet, **settings)
        # Before the stream: bad settings are reported before anything is compiled.
        outlet = self._make_outlet()
        require_outlet(outlet, self.gives, step.name)
        self.stream = Stream(model, sample_rate, channels=channels, encoding=encoding, warm_up=warm_up)
        self.outlet = self._begun(outlet)
        self.outputs = np.zeros((0, step.out_features), np.float32)
        """The model's outputs for the last chunk, for meters and plots."""

    def reset(self) -> None:
        """Starts a new stream with the next chunk."""
        self.stream.reset()
        self.outlet.reset()
        self.outputs = self.outputs[:0]

    @property
    def sample_rate(self) -> int:
        """Samples per second of its chunks. Raises TypeError for models of a Series."""
        return self.stream.sample_rate

    @property
    def frame_s(self) -> float:
        """Seconds per output of the model."""
        return self.stream.step.frame_s

    def read(self, chunk: Any) -> np.ndarray:
        """A chunk as the model receives it, float32[n], mono; for a Series, its frames. Nothing is fed.

        Raises:
            AudioError, TypeError, ValueError: the chunk is not what the model takes.
        """
        return self.stream.inlet.read(chunk)

    @property
    def duration_s(self) -> float:
        """Seconds of input so far."""
        return self.stream.duration_s

    @property
    def activity(self) -> np.ndarray:
        """The activity in `outputs`, such as the probability of speech, [frames]."""
        return self.outlet.activity(self.outputs)

    @property
    def latency(self) -> Latency:
        """The stream's latency ledger, including the outlet's part."""
        latency = self.stream.latency
        return dataclasses.replace(latency, resampler_ms=latency.resampler_ms + 1000 * self.outlet.delay_s)

    def snapshot(self) -> Snapshot:
        """The stream's state; restore() continues from it."""
        return self.stream.snapshot_with(self.outlet)

    def restore(self, snapshot: Snapshot) -> None:
        """Resumes from a snapshot of a stream of the same model, sample rate and settings.

        Raises:
            TypeError: it is not a snapshot.
            ValueError: it is damaged, or its model, sample rate, settings or kind of stream differ. Nothing has changed
                then.
        """
        outlet = self._begun(self._make_outlet())
        self.stream.restore_with(snapshot, outlet)
        self.outlet, self.outputs = outlet, self.outputs[:0]

    def _begun(self, outlet: Outlet) -> Outlet:
        outlet.begin(self.stream.inlet.output_resampler())
        return outlet

    def _feed(self, chunk: Any) -> Given:
        return self._take(self.stream.inlet.read(chunk))

    def _take(self, units: np.ndarray) -> Given:
        self.outputs = self.stream._take(units)
        self.outlet.hear(units)
        return self.outlet.push(self.outputs)

    def _skip(self, frames: int) -> list[Given]:
        outputs, given = [self.outputs[:0]], []
        for piece in self.stream.inlet.silence(frames):
            given.append(self._take(piece))
            outputs.append(self.outputs)
        self.outputs = np.concatenate(outputs)
        return given

    def _finish(self) -> Given:
        self.outputs = self.stream.flush()
        return self.outlet.finish(self.outputs, self.duration_s)


__all__ = ["Live"]
