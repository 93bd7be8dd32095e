"""Inlets turn chunks into whole blocks of a model's frames. Each stream has one, which buffers incomplete blocks.

An inlet works on flat numbers: samples, or the features of frames one after another. Where they wait is told apart: in
a buffer of the stream's own, or in a pool's queue.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from numbers import Real
from typing import Any, Protocol, runtime_checkable

import numpy as np

from streamrnn.audio import AudioError, BlockBuffer, Encoding, StreamingResampler
from streamrnn.audio.chunks import as_channels, as_mono
from streamrnn.audio.encodings import require_encoding
from streamrnn.audio.mixing_down import Cancellation
from streamrnn.audio.resample import live_rate
from streamrnn.signals import LARGEST, Series, Signal, Sound

# Time that passed without frames is fed in pieces of so much.
SKIPPED_S = 1.0


@runtime_checkable
class Rest(Protocol):
    """The buffer of an incomplete block."""

    def held(self) -> np.ndarray:
        """A copy of the buffered values, flat."""
        ...

    def push(self, numbers: np.ndarray, before: Callable[[], None] | None) -> np.ndarray:
        """Takes numbers and gives the blocks that are now complete, [blocks, numbers], if they are the caller's to run.

        `before` is called when nothing else can fail, and before anybody can take the numbers away.
        """
        ...


class OwnRest:
    """The buffer of a stream that runs its own blocks.

    Args:
        block: numbers of one.
        dtype: theirs.
    """

    def __init__(self, block: int, dtype: str):
        self._buffer = BlockBuffer(block, dtype)

    def held(self) -> np.ndarray:
        return self._buffer.snapshot()

    def push(self, numbers: np.ndarray, before: Callable[[], None] | None) -> np.ndarray:
        if before is not None:
            before()
        return self._buffer.push(numbers)

    def restore(self, numbers: np.ndarray) -> None:
        self._buffer.restore(numbers)


class Inlet:
    """The base of all inlets: counts what comes and gives whole blocks.

    Args:
        signal: what the model takes.
        stride: frames of a block.
        rate: units (samples or frames) that come per second.

    Attributes:
        signal: see above.
        block: numbers of a block.
        taken: units taken so far.
    """

    def __init__(self, signal: Signal, stride: int, rate: float):
        self.signal, self.rate, self.block = signal, rate, stride * signal.features
        self.rest: Rest = OwnRest(self.block, signal.dtype)
        self.taken = 0

    sample_rate: int | None = None
    delay_s: float = 0.0

    @property
    def duration_s(self) -> float:
        """Seconds of input so far."""
        return self.taken / self.rate

    @property
    def sound_rate(self) -> int:
        """Samples per second. Raises TypeError where there are no samples."""
        if self.sample_rate is None:
            raise TypeError(f"This stream takes {self.signal}, no sound, so it has no sample rate.")
        return self.sample_rate

    def read(self, chunk: Any) -> np.ndarray:
        """The units of a chunk, checked: nothing is changed, and the result may share memory with the chunk."""
        raise NotImplementedError

    def most(self, units: int) -> int:
        """The largest number of values that this number of units can become."""
        raise NotImplementedError

    def push(self, units: np.ndarray, hear: Callable[[np.ndarray], None] | None = None) -> np.ndarray:
        """Takes what `read` gave: the blocks that are now complete, [blocks, numbers], as its rest hands them out.

        `hear` is given the same units, before anybody can take a block. Where anything fails, nothing was taken.
        """
        mark = self._mark()
        try:
            blocks = self.rest.push(self._converted(units), None if hear is None else partial(hear, units))
        except BaseException:
            self._rewind(mark)
            raise
        self.taken += len(units)
        return blocks

    def finish(self, blocks: int) -> np.ndarray:
        """Ends the stream: what waits, padded, and so many blocks of padding behind it, as `push` gives them."""
        mark = self._mark()
        try:
            tail = self._tail()
            missing = -(len(self.rest.held()) + len(tail)) % self.block + blocks * self.block
            padding = np.full(missing, self.signal.padding, self.signal.dtype)
            return self.rest.push(np.concatenate([tail, padding]), None)
        except BaseException:
            self._rewind(mark)
            raise

    def silence(self, units: int) -> Iterator[np.ndarray]:
        """This number of units of silence, in pieces, ready for `push`.

        Raises:
            ValueError: their number is negative or not whole.
        """
        return map(self._silence, skipped(units, self.rate))

    def output_resampler(self) -> StreamingResampler | None:
        """A resampler from the model's sample rate to the stream's, where they differ."""
        return None

    def snapshot(self) -> dict[str, Any]:
        """The inlet's state, for `restore`."""
        return {"sample_rate": self.sample_rate, "taken": self.taken, "waiting": self.rest.held(), "resampler": None}

    def restore(self, snapshot: Any) -> np.ndarray:
        """Goes on from a snapshot, but for the numbers that wait: these are returned, to be put into the rest.

        Raises:
            ValueError: it is another sample rate's, or changed. Nothing has changed then.
        """
        names = {"sample_rate", "taken", "waiting", "resampler"}
        if not isinstance(snapshot, Mapping) or set(snapshot) != names:
            raise ValueError(f"The snapshot's inlet needs {sorted(names)}. It was changed or damaged.")
        if snapshot["sample_rate"] != self.sample_rate:
            raise ValueError(
                f"The snapshot is of a stream at {snapshot['sample_rate']} Hz; this one takes {self.sample_rate} Hz. "
                f"Make the stream with sample_rate={snapshot['sample_rate']}."
            )
        taken, waiting = snapshot["taken"], snapshot["waiting"]
        good = isinstance(waiting, np.ndarray) and waiting.ndim == 1 and waiting.dtype == self.signal.dtype
        if not good or len(waiting) >= self.block or not np.isfinite(waiting).all():
            raise ValueError(
                f"What waits in the snapshot are not fewer than {self.block} finite numbers of {self.signal.dtype}. "
                "It was changed or damaged."
            )
        if type(taken) is not int or taken < 0:
            raise ValueError(f"The snapshot has taken {taken!r} samples or frames. It was changed or damaged.")
        self._restore(snapshot["resampler"])
        self.taken = taken
        return waiting

    def _converted(self, units: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _tail(self) -> np.ndarray:
        return np.zeros(0, self.signal.dtype)

    def _silence(self, units: int) -> np.ndarray:
        raise NotImplementedError

    def _mark(self) -> Any:
        return None

    def _rewind(self, mark: Any) -> None:
        """Nothing was changed."""

    def _restore(self, resampler: Any) -> None:
        if resampler is not None:
            raise ValueError("The snapshot has a resampler, and this stream none. It was changed or damaged.")


class SoundInlet(Inlet):
    """Chunks of sound of any length, layout and sample rate -> blocks of samples at the model's rate.

    Args:
        signal, stride: see `Inlet`.
        sample_rate: of the chunks, 8,000 to 96,000; None: the model's own.
        channels: of the chunks, where they are more than two: so many are mixed down on request alone.
        encoding: of chunks that are bytes.

    Raises:
        AudioError: the sample rate is out of range.
        ValueError: there is no such encoding.
    """

    def __init__(
        self, signal: Sound, stride: int, sample_rate: int | None, channels: int | None, encoding: Encoding = "s16le"
    ):
        require_encoding(encoding)
        model_rate = signal.sample_rate
        own = model_rate if sample_rate in (None, model_rate) else live_rate(sample_rate)
        super().__init__(signal, stride, own)
        self.sample_rate, self._channels, self._rates = own, channels, (own, model_rate)
        self._encoding: Encoding = encoding
        self._cancellation = Cancellation(own, "Pass one of them: chunk[:, 0].")
        self._resampler = StreamingResampler(own, model_rate) if own != model_rate else None
        self.delay_s = 0.0 if self._resampler is None else self._resampler.delay_s

    def read(self, chunk: Any) -> np.ndarray:
        # Most chunks are mono arrays; what follows would cost a hundredth of a small model's step.
        if isinstance(chunk, np.ndarray) and chunk.ndim == 1:
            return as_channels(chunk, self._encoding)
        shape = np.shape(chunk) if not isinstance(chunk, bytes | bytearray | memoryview) else ()
        if len(shape) == 2 and shape[1] > 2 and shape[1] != self._channels:
            raise AudioError(
                f"audio has shape {list(shape)}: {shape[1]} channels, of which this stream was not told. If they are "
                f"channels of sound, make it with channels={shape[1]}, which mixes them down, or pass one of them; if "
                "these are frames of something else, the model must be one of a Series."
            )
        samples = as_channels(chunk, self._encoding)
        if samples.ndim == 2 and samples.shape[1] > 1:
            self._cancellation.hear(samples)
        return as_mono(samples)

    def push(self, units: np.ndarray, hear: Callable[[np.ndarray], None] | None = None) -> np.ndarray:
        if self._resampler is not None:
            return super().push(units, hear)
        # Nothing is to be taken back, and a live step is short.
        blocks = self.rest.push(units, None if hear is None else partial(hear, units))
        self.taken += len(units)
        return blocks

    def most(self, units: int) -> int:
        # A resampler may give one sample more than its share now, and one less later.
        own, model_rate = self._rates
        return units if self._resampler is None else -(-units * model_rate // own) + 1

    def output_resampler(self) -> StreamingResampler | None:
        own, model_rate = self._rates
        return None if self._resampler is None else StreamingResampler(model_rate, own)

    def snapshot(self) -> dict[str, Any]:
        resampler = None if self._resampler is None else self._resampler.snapshot()
        return {**super().snapshot(), "resampler": resampler}

    def _converted(self, units: np.ndarray) -> np.ndarray:
        return units if self._resampler is None else self._resampler.process(units)

    def _tail(self) -> np.ndarray:
        return super()._tail() if self._resampler is None else self._resampler.flush()

    def _silence(self, units: int) -> np.ndarray:
        return np.zeros(units, np.float32)

    def _mark(self) -> Any:
        return None if self._resampler is None else self._resampler.mark()

    def _rewind(self, mark: Any) -> None:
        if self._resampler is not None:
            self._resampler.rewind(mark)

    def _restore(self, resampler: Any) -> None:
        if self._resampler is None:
            super()._restore(resampler)
        else:
            self._resampler.restore(resampler)


class SeriesInlet(Inlet):
    """Frames of a series, as many at a time as one likes -> blocks of them.

    Args:
        signal, stride: see `Inlet`.
    """

    def __init__(self, signal: Series, stride: int):
        super().__init__(signal, stride, signal.frames_per_s)
        self._series = signal

    def read(self, chunk: Any) -> np.ndarray:
        """float or int32[frames, features]; [frames] will do where a frame is one number.

        Raises:
            TypeError: floats came for ids, or ids for floats.
            ValueError: another shape; numbers that are NaN, infinite or beyond LARGEST; ids that there are not.
        """
        series = self._series
        frames = np.asarray(chunk)
        if frames.ndim == 1 and series.features == 1:
            frames = frames[:, None]
        kinds, needed = ("iu", "whole numbers, such as int32") if series.dtype == "int32" else ("f", "floats")
        if frames.dtype.kind not in kinds and frames.size:
            raise TypeError(
                f"frames are {frames.dtype}; this model's are {needed}. Convert them where that is what they mean: "
                f"frames.astype(np.{series.dtype})."
            )
        if frames.ndim != 2 or frames.shape[1] != series.features:
            raise ValueError(
                f"frames have shape {list(frames.shape)}; this model takes [frames, {series.features}]. Reshape them."
            )
        self._check(frames)
        return frames.astype(series.dtype, copy=False)

    def most(self, units: int) -> int:
        return units * self._series.features

    def _check(self, frames: np.ndarray) -> None:
        series = self._series
        # So are numbers that stand for a missing reading, the largest of float32 or of doubles. In float16 the bound
        # itself would be infinite.
        wide = frames.astype(np.float32) if frames.dtype == np.float16 else frames
        bad = ~(np.abs(wide) <= LARGEST) if series.dtype == "float32" else np.zeros(0, bool)
        if bad.any():
            at = int(np.argwhere(bad)[0, 0])
            raise ValueError(
                f"frames hold numbers that are NaN, infinite or beyond {LARGEST:.2g}, the first in frame {at} of this "
                "chunk. Nothing of it was used: repair or leave it out, and go on."
            )
        lowest, highest = (0, series.ids - 1) if series.ids is not None else (-(2**31), 2**31 - 1)
        if series.dtype == "int32" and frames.size and not lowest <= frames.min() <= frames.max() <= highest:
            raise ValueError(
                f"ids reach from {frames.min()} to {frames.max()}; this model knows {lowest} to {highest}. Nothing of "
                "the chunk was used."
            )

    def _converted(self, units: np.ndarray) -> np.ndarray:
        return units.reshape(-1)

    def _silence(self, units: int) -> np.ndarray:
        return np.full((units, self._series.features), self._series.padding, self._series.dtype)


def skipped(units: int, rate: float) -> Iterator[int]:
    """How silence of so many samples or frames is fed: so many at a time.

    Args:
        units: of the silence.
        rate: per second.

    Raises:
        ValueError: their number is negative or not whole.
    """
    if isinstance(units, bool) or not isinstance(units, Real) or units % 1 or units < 0:
        raise ValueError(f"skip got {units!r}; it needs a whole number of samples or frames, 0 or more.")
    piece = max(1, int(SKIPPED_S * rate))
    return (min(piece, int(units) - start) for start in range(0, int(units), piece))


def inlet_of(
    signal: Signal,
    stride: int,
    sample_rate: int | None = None,
    channels: int | None = None,
    encoding: Encoding | None = None,
) -> Inlet:
    """A fresh inlet for what a model takes, over a buffer of its own.

    Raises:
        AudioError: the sample rate is out of range.
        TypeError: a sample rate, channels or an encoding came for what is no sound.
        ValueError: there is no such encoding.
    """
    if isinstance(signal, Sound):
        return SoundInlet(signal, stride, sample_rate, channels, "s16le" if encoding is None else encoding)
    if (sample_rate, channels, encoding) != (None, None, None):
        raise TypeError(
            f"sample_rate, channels and encoding are for sound; this model takes {signal}. Leave them out and feed it "
            "frames."
        )
    return SeriesInlet(signal, stride)


__all__ = ["Inlet", "OwnRest", "Rest", "SeriesInlet", "SoundInlet", "inlet_of", "skipped"]
