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
        block_ms: the block that has to be full before it is processed.
        lookahead_ms: what comes later and the model waits for.
        resampler_ms: later audio that resamplers wait for; 0 at the model's own rate.
        compute_p50_ms, compute_p99_ms: measured time of one block's step over the last blocks (nan before the first).
        deadline_misses: blocks so far that took longer to compute than to speak.
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

    Every way of cutting the same sound into chunks gives the same outputs, bit for bit. Not thread-safe; separate
    streams are independent and may run in separate threads.

    Args:
        model: any Model, or an exported one that was loaded.
        sample_rate: of the chunks, 8,000 to 96,000; default: the model's own. For sound alone.
        channels: of the chunks, where they are more than two; they are mixed down. For sound alone.
        encoding: of chunks that are bytes: s16le (default), f32le, or telephony's mulaw and alaw (G.711). For
            sound alone.
        warm_up: compile and run one block now, so that the first live one is not slow.

    Raises:
        AudioError: the sample rate is out of range.
        TypeError: it is no Model; or it takes no sound, and a sample rate came.
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
        # Made anew, so that an error in it is met before a model is compiled.
        self.reset()
        if warm_up:
            padding = np.full(self._shape, self.step.signal.padding, self.step.signal.dtype)
            with running:
                np.asarray(self.step(self.step.fresh_state, padding)[1])

    def process(self, chunk: Any) -> Float[np.ndarray, "frames out"]:
        """Takes a chunk; returns the outputs that are now complete, float32[frames, out] (often none).

        Args:
            chunk: sound: float in [-1, 1], int16, or bytes of the encoding; [n] or [n, channels], mixed down. Or frames
                of a Series: float or int32[n, features]. n may be 0.

        Raises:
            AudioError: NaN or infinite samples, half samples, wrong shapes. The chunk is ignored as a whole, and the
                stream goes on with the next one.
            TypeError, ValueError: the same, of frames.
            RuntimeError: the stream was flushed.
        """
        return self._take(self.inlet.read(chunk))

    def skip(self, frames: int) -> Float[np.ndarray, "frames out"]:
        """Feeds silence for a gap in the stream, such as lost packets.

        So times stay true, and what was open, such as speech, ends as it does in silence. It costs what processing
        silence costs.

        Args:
            frames: how many samples (at the stream's sample rate) or frames of a Series are missing.

        Raises:
            ValueError: the number is negative or not whole.
            RuntimeError: the stream was flushed.
        """
        outputs = [self._take(piece) for piece in self.inlet.silence(frames)]
        return np.concatenate([np.zeros((0, self.step.out_features), np.float32), *outputs])

    def flush(self) -> Float[np.ndarray, "frames out"]:
        """Ends the stream and returns its last outputs, float32[frames, out]. With those of process() they are
        ceil(N / block) for N samples at the model's rate, or N frames. A second call returns none.
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
        """Continues from a snapshot.

        Raises:
            TypeError: it is no snapshot.
            ValueError: it is another model's, of another sample rate or kind of stream, or damaged. The stream is then
                as before.
        """
        self.restore_with(snapshot, Numbers())

    def snapshot_with(self, outlet: Outlet) -> Snapshot:
        """The snapshot of this stream and its outlet."""
        state = {name: np.array(leaf) for name, leaf in self._state.items()}
        return taken(self.step, self.inlet, outlet, state, self._warm_up, self._flushed)

    def restore_with(self, snapshot: Snapshot, outlet: Outlet) -> None:
        """Restores this stream and a fresh outlet from a snapshot. Errors as of `restore`; discard the outlet then."""
        inlet = self._new_inlet()
        waiting = put_back(snapshot, self.step, inlet, outlet)
        rest = OwnRest(inlet.block, inlet.signal.dtype)
        rest.restore(waiting)
        inlet.rest, state = rest, self.step.loaded(snapshot.state)
        self.reset()
        self.inlet, self._state = inlet, state
        self._warm_up, self._flushed = snapshot.warm_up, snapshot.flushed

    def _take(self, units: np.ndarray) -> Float[np.ndarray, "frames out"]:
        """The outputs that become complete with what the inlet read."""
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
        # A copy: the program's own array cannot be written to, and outputs are the caller's.
        y = np.array(y)[0]
        elapsed = time.perf_counter() - started
        self._compute_s.append(elapsed)
        self._misses += elapsed > self._deadline_s
        return y


__all__ = ["Latency", "Stream"]
