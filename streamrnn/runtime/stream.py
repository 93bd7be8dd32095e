"""One live stream: chunks of sound in, numbers out."""

import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from streamrnn.audio import BlockBuffer, StreamingResampler, as_samples
from streamrnn.models import Model
from streamrnn.runtime.compiled import Compiled, compiled_step

LEDGER_BLOCKS = 1000


@dataclass(frozen=True)
class Latency:
    """What a stream's answers wait for.

    Attributes:
        block_ms: the block that has to be full before it is processed.
        lookahead_ms: later audio that the model waits for.
        resampler_ms: later audio that the resampler waits for; 0 at the model's own rate.
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
        """All that no faster machine can remove."""
        return self.block_ms + self.lookahead_ms + self.resampler_ms


@dataclass(frozen=True)
class Snapshot:
    """All that a stream remembers, as NumPy arrays and plain numbers: to be pickled, sent and restored elsewhere."""

    fingerprint: str
    sample_rate: int
    state: tuple[np.ndarray, ...]
    pending: np.ndarray
    resampler: Any
    samples: int
    warm_up: int
    flushed: bool


class Stream:
    """Runs a model live on one stream of sound of any chunk size, sample rate and number of channels.

    Every way of cutting the same sound into chunks gives the same outputs, bit for bit. Not thread-safe; separate
    streams are independent and may run in separate threads.

    Args:
        model: any Model.
        sample_rate: of the chunks, 8,000 to 96,000; default: the model's own.
        warm_up: compile and run one block now, so that the first live one is not slow.

    Raises:
        AudioError: the sample rate is out of range.
        TypeError: it is no Model.
    """

    def __init__(self, model: Model, sample_rate: int | None = None, *, warm_up: bool = True):
        require_model(model)
        self.model = model
        self.sample_rate = model.sample_rate if sample_rate is None else sample_rate
        self._step = compiled_step(model)
        self._blocks = BlockBuffer(model.block_samples)
        resampled = self.sample_rate != model.sample_rate
        self._resampler = StreamingResampler(self.sample_rate, model.sample_rate) if resampled else None
        self._shape, self._deadline_s = (1, model.stride, model.hop_samples), model.frame_s
        if warm_up:
            jax.block_until_ready(self._step(self._step.fresh_state, np.zeros(self._shape, np.float32)))
        self.reset()

    def process(self, chunk: Any) -> Float[np.ndarray, "frames out"]:
        """Takes a chunk, returns the outputs that are now complete, float32[frames, out] (often none).

        Args:
            chunk: float in [-1, 1], int16 or s16le bytes; [n] or [n, channels], mixed down; n may be 0.

        Raises:
            AudioError: NaN or infinite samples, odd byte counts, wrong shapes. The chunk is ignored as a whole, and the
                stream goes on with the next one.
            RuntimeError: the stream was flushed.
        """
        if self._flushed:
            raise RuntimeError("The stream was flushed: its end has been processed. Call reset() to start a new one.")
        samples = as_samples(chunk)
        self._samples += len(samples)
        if self._resampler is not None:
            samples = self._resampler.process(samples)
        return self._run(self._blocks.push(samples))

    def flush(self) -> Float[np.ndarray, "frames out"]:
        """Ends the stream: the outputs still under way, float32[frames, out]. With those of process() they are
        ceil(N / block_samples) for N samples at the model's rate. A second call returns none.
        """
        if self._flushed:
            return self._run(np.zeros((0, self.model.block_samples), np.float32))
        self._flushed = True
        rest = self._run(self._blocks.push(self._resampler.flush())) if self._resampler is not None else None
        silence = np.zeros((self.model.lookahead // self.model.stride, self.model.block_samples), np.float32)
        last = self._run(np.concatenate([self._blocks.flush(), silence]))
        return last if rest is None else np.concatenate([rest, last])

    def reset(self) -> None:
        """Forgets everything: the next chunk is the first of a new stream."""
        self._state = self._step.fresh_state
        self._blocks.reset()
        if self._resampler is not None:
            self._resampler.reset()
        self._samples, self._flushed = 0, False
        self._warm_up = self.model.lookahead // self.model.stride
        self._compute_s: deque[float] = deque(maxlen=LEDGER_BLOCKS)
        self._misses = 0

    @property
    def duration_s(self) -> float:
        """Seconds of sound taken so far."""
        return self._samples / self.sample_rate

    @property
    def latency(self) -> Latency:
        """The latency ledger: declared parts and measured compute."""
        compute = np.array(self._compute_s) if self._compute_s else np.array([np.nan])
        p50, p99 = 1000 * np.percentile(compute, [50, 99])
        return Latency(
            block_ms=1000 * self.model.frame_s,
            lookahead_ms=1000 * self.model.lookahead_s,
            resampler_ms=1000 * self._resampler.delay_s if self._resampler is not None else 0.0,
            compute_p50_ms=float(p50),
            compute_p99_ms=float(p99),
            deadline_misses=self._misses,
        )

    def snapshot(self) -> Snapshot:
        """All that the stream remembers; restore() goes on from it bit for bit."""
        return Snapshot(
            fingerprint=self._step.fingerprint,
            sample_rate=self.sample_rate,
            state=tuple(np.asarray(leaf) for leaf in jax.tree.leaves(self._state)),
            pending=self._blocks.snapshot(),
            resampler=self._resampler.snapshot() if self._resampler is not None else None,
            samples=self._samples,
            warm_up=self._warm_up,
            flushed=self._flushed,
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Goes on where the snapshot was taken.

        Raises:
            TypeError: it is no stream's snapshot.
            ValueError: it is another model's, of another sample rate, or damaged. The stream is then as before.
        """
        if not isinstance(snapshot, Snapshot):
            raise TypeError(f"Stream.restore got a {type(snapshot).__name__}; pass what Stream.snapshot() returned.")
        require_snapshot(snapshot, self._step, self.sample_rate, self.model.block_samples)
        self.reset()
        structure = jax.tree.structure(self._step.fresh_state)
        self._state = jax.tree.unflatten(structure, [jax.device_put(leaf) for leaf in snapshot.state])
        self._blocks.restore(snapshot.pending)
        if self._resampler is not None:
            self._resampler.restore(snapshot.resampler)
        self._samples, self._warm_up, self._flushed = snapshot.samples, snapshot.warm_up, snapshot.flushed

    def _run(self, blocks: Float[np.ndarray, "blocks block_samples"]) -> Float[np.ndarray, "frames out"]:
        outputs = [self._timed_step(block) for block in blocks]
        if self._warm_up:
            dropped = min(self._warm_up, len(outputs))
            self._warm_up -= dropped
            outputs = outputs[dropped:]
        if len(outputs) == 1:
            return outputs[0]
        return np.concatenate(outputs) if outputs else np.zeros((0, self.model.out_features), np.float32)

    def _timed_step(self, block: np.ndarray) -> np.ndarray:
        started = time.perf_counter()
        self._state, y = self._step(self._state, block.reshape(self._shape))
        # A copy: the program's own array cannot be written to, and outputs are the caller's.
        y = np.array(y)[0]
        elapsed = time.perf_counter() - started
        self._compute_s.append(elapsed)
        self._misses += elapsed > self._deadline_s
        return y


def require_snapshot(snapshot: Snapshot, compiled: Compiled, sample_rate: int, block_samples: int) -> None:
    """Raises ValueError, with advice, for a snapshot from which no stream of this model and sample rate can go on."""
    if snapshot.fingerprint != compiled.fingerprint:
        raise ValueError(
            f"The snapshot is of a model with fingerprint {snapshot.fingerprint}; this stream's has "
            f"{compiled.fingerprint}. Restore it into a stream of the model that it was taken from."
        )
    if snapshot.sample_rate != sample_rate:
        raise ValueError(
            f"The snapshot is of a stream at {snapshot.sample_rate} Hz; this one takes {sample_rate} Hz. "
            f"Make the stream with sample_rate={snapshot.sample_rate}."
        )
    fresh = jax.tree.leaves(compiled.fresh_state)
    found, needed = ([(leaf.shape, leaf.dtype.name) for leaf in leaves] for leaves in (snapshot.state, fresh))
    if found != needed or len(snapshot.pending) >= block_samples:
        raise ValueError(
            f"The snapshot's state is {found} and {len(snapshot.pending)} samples; this stream's is {needed} and fewer "
            f"than {block_samples} samples. It was changed or damaged."
        )


def require_model(model: Any) -> None:
    """Raises TypeError, with advice, for what is no Model."""
    if not isinstance(model, Model):
        raise TypeError(
            f"got a {type(model).__name__} where a Model is needed. Pass streamrnn.load('vad'), or a subclass of "
            "streamrnn.Model: it adds to layers the sample rate, the readout and the decoder."
        )


__all__ = ["Latency", "Snapshot", "Stream", "require_model", "require_snapshot"]
