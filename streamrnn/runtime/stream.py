"""One live stream: chunks in, numbers out."""

import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from streamrnn.annotations import Float, Shaped
from streamrnn.audio import Encoding
from streamrnn.decisions.outlets import Numbers, Outlet
from streamrnn.lifetime import running
from streamrnn.runtime.inlets import Inlet, OwnRest, inlet_of
from streamrnn.runtime.snapshots import Snapshot, put_back, taken
from streamrnn.runtime.steps import AnyModel, step_of

LEDGER_BLOCKS = 1000


@dataclass(frozen=True)
class Latency:
    """The parts of a stream's latency.

    Attributes:
        block_ms: a block has to be full before it is processed.
        lookahead_ms: later input that the model waits for.
        resampler_ms: later audio that resamplers wait for; 0 at the model's own rate.
        compute_p50_ms, compute_p99_ms: measured time of one block's step over the last blocks (nan before the first).
        deadline_misses: blocks so far that took longer to compute than they last.
    """

    block_ms: float
    lookahead_ms: float
    resampler_ms: float
    compute_p50_ms: float
    compute_p99_ms: float
    deadline_misses: int

    @property
    def algorithmic_ms(self) -> float:
        """The latency on an infinitely fast machine."""
        return self.block_ms + self.lookahead_ms + self.resampler_ms


class Stream:
    """Runs a model live on one stream, fed in chunks of any size: sound of any sample rate, or frames of a Series.

    Outputs do not depend on how the sound is cut into chunks, bit for bit. Not thread-safe; separate streams are
    independent and may run in separate threads.

    Args:
        model: any Model, or a loaded export.
        sample_rate: of the chunks in Hz, 8,000 to 96,000; default: the model's own. Only for sound.
        channels: of the chunks, if there are more than two; they are mixed down. Only for sound.
        encoding: of chunks passed as bytes: s16le (default), f32le, or telephony's mulaw and alaw (G.711). Only for
            sound.
        warm_up: compile and run one block now, so that the first live block is not slow.

    Raises:
        AudioError: the sample rate is out of range.
        TypeError: model is not a Model, or a sample rate was passed for a model that does not take sound.
        ValueError: there is no such encoding.
    """

    def __init__(
        self,
        model: AnyModel,
        sample_rate: int | None = None,
        *,
        channels: int | None = None,
        encoding: Encoding | None = None,
        warm_up: bool = True,
    ):
        self.model, self.step = model, step_of(model)
        self._new_inlet = partial(inlet_of, self.step.signal, self.step.stride, sample_rate, channels, encoding)
        self._shape, self._deadline_s = (1, self.step.stride, self.step.signal.features), self.step.frame_s
        self._delayed = self.step.lookahead // self.step.stride
        # First, so that bad arguments raise before a model is compiled.
        self.reset()
        if warm_up:
            padding = np.full(self._shape, self.step.signal.padding, self.step.signal.dtype)
            with running:
                np.asarray(self.step(self.step.fresh_state, padding)[1])

    def process(self, chunk: Any) -> Float[np.ndarray, "frames out"]:
        """Processes a chunk; returns the outputs now complete, float32[frames, out] (often none).

        Args:
            chunk: sound: float in [-1, 1], int16, or bytes of the encoding; [n] or [n, channels], mixed down. Or frames
                of a Series: float or int32[n, features]. n may be 0.

        Raises:
            AudioError: NaN or infinite samples, half samples, wrong shapes. The whole chunk is ignored, and the stream
                continues with the next one.
            TypeError, ValueError: the same, for frames.
            RuntimeError: the stream was flushed.
        """
        return self._take(self.inlet.read(chunk))

    def skip(self, frames: int) -> Float[np.ndarray, "frames out"]:
        """Feeds silence for a gap in the stream, such as lost packets.

        Times stay correct, and what was open, such as speech, ends as it does in silence. Skipping costs as much as
        processing silence.

        Args:
            frames: how many samples (at the stream's sample rate) or frames of a Series are missing.

        Raises:
            ValueError: the number is negative or not whole.
            RuntimeError: the stream was flushed.
        """
        outputs = [self._take(piece) for piece in self.inlet.silence(frames)]
        return np.concatenate([np.zeros((0, self.step.out_features), np.float32), *outputs])

    def flush(self) -> Float[np.ndarray, "frames out"]:
        """Ends the stream and returns its last outputs, float32[frames, out]. Together with those of process(), there
        are ceil(N / block) outputs for N samples at the model's rate, or N frames. A second call returns none.
        """
        if self._flushed:
            return np.zeros((0, self.step.out_features), np.float32)
        blocks = self.inlet.finish(self._delayed)
        self._flushed = True
        return self._run(blocks)

    def reset(self) -> None:
        """Starts a new stream with the next chunk."""
        self.inlet: Inlet = self._new_inlet()
        self._state = self.step.fresh_state
        self._flushed, self._warm_up = False, self._delayed
        self._compute_s: deque[float] = deque(maxlen=LEDGER_BLOCKS)
        self._misses = 0

    @property
    def sample_rate(self) -> int:
        """Samples per second of its chunks. Raises TypeError for models of a Series."""
        return self.inlet.sound_rate

    @property
    def duration_s(self) -> float:
        """Seconds of input so far."""
        return self.inlet.duration_s

    @property
    def latency(self) -> Latency:
        """The latency ledger: declared parts and measured compute."""
        compute = np.array(self._compute_s) if self._compute_s else np.array([np.nan])
        p50, p99 = 1000 * np.percentile(compute, [50, 99])
        return Latency(
            block_ms=1000 * self.step.frame_s,
            lookahead_ms=1000 * self.step.lookahead_s,
            resampler_ms=1000 * self.inlet.delay_s,
            compute_p50_ms=float(p50),
            compute_p99_ms=float(p99),
            deadline_misses=self._misses,
        )

    def snapshot(self) -> Snapshot:
        """The stream's state; restore() continues from it bit for bit."""
        return self.snapshot_with(Numbers())

    def restore(self, snapshot: Snapshot) -> None:
        """Resumes from a snapshot.

        Raises:
            TypeError: it is not a snapshot.
            ValueError: it is damaged, or its model, sample rate or kind of stream differ. The stream is unchanged then.
        """
        self.restore_with(snapshot, Numbers())

    def snapshot_with(self, outlet: Outlet) -> Snapshot:
        """The snapshot of this stream and its outlet."""
        state = {name: np.array(leaf) for name, leaf in self._state.items()}
        return taken(self.step, self.inlet, outlet, state, self._warm_up, self._flushed)

    def restore_with(self, snapshot: Snapshot, outlet: Outlet) -> None:
        """Restores this stream and a fresh outlet from a snapshot. Raises as `restore` does; discard the outlet
        then."""
        inlet = self._new_inlet()
        waiting = put_back(snapshot, self.step, inlet, outlet)
        rest = OwnRest(inlet.block, inlet.signal.dtype)
        rest.restore(waiting)
        inlet.rest, state = rest, self.step.loaded(snapshot.state)
        self.reset()
        self.inlet, self._state = inlet, state
        self._warm_up, self._flushed = snapshot.warm_up, snapshot.flushed

    def _take(self, units: np.ndarray) -> Float[np.ndarray, "frames out"]:
        """The outputs completed by what the inlet read."""
        if self._flushed:
            raise RuntimeError("The stream was flushed: its end has been processed. Call reset() to start a new one.")
        return self._run(self.inlet.push(units))

    def _run(self, blocks: Shaped[np.ndarray, "blocks numbers"]) -> Float[np.ndarray, "frames out"]:
        with running:
            outputs = [self._timed_step(block) for block in blocks]
        if self._warm_up:
            dropped = min(self._warm_up, len(outputs))
            self._warm_up -= dropped
            outputs = outputs[dropped:]
        if len(outputs) == 1:
            return outputs[0]
        return np.concatenate(outputs) if outputs else np.zeros((0, self.step.out_features), np.float32)

    def _timed_step(self, block: np.ndarray) -> np.ndarray:
        started = time.perf_counter()
        self._state, y = self.step(self._state, block.reshape(self._shape))
        # A copy: the program's own array is read-only, and outputs belong to the caller.
        y = np.array(y)[0]
        elapsed = time.perf_counter() - started
        self._compute_s.append(elapsed)
        self._misses += elapsed > self._deadline_s
        return y


__all__ = ["Latency", "Stream"]
