"""Inlets turn chunks into whole blocks of a model's frames. Each stream has one, which buffers incomplete blocks.

An inlet works on flat numbers: samples, or the features of successive frames. Where they are buffered is separate: in a
buffer of the stream's own, or in a pool's queue.
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

# Gaps are fed in pieces of this length.
SKIPPED_S = 1.0


@runtime_checkable
class Rest(Protocol):
    """The buffer of an incomplete block."""

    def held(self) -> np.ndarray:
        """A copy of the buffered values, flat."""
        ...

    def push(self, numbers: np.ndarray, before: Callable[[], None] | None) -> np.ndarray:
        """Appends numbers; returns the blocks now complete, [blocks, numbers], if the caller is to run them.

        `before` is called when nothing else can fail, and before another thread can take the numbers.
        """
        ...


class OwnRest:
    """The buffer of a stream that runs its own blocks.

    Args:
        block: numbers per block.
        dtype: of the numbers.
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
    """The base of all inlets: counts the input and returns whole blocks.

    Args:
        signal: the model's input signal.
        stride: frames per block.
        rate: input units (samples or frames) per second.

    Attributes:
        signal: see above.
        block: numbers per block.
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
        """Samples per second. Raises TypeError if the input is not sound."""
        if self.sample_rate is None:
            raise TypeError(f"This stream takes {self.signal}, not sound, so it has no sample rate.")
        return self.sample_rate

    def read(self, chunk: Any) -> np.ndarray:
        """The units of a chunk, checked. Changes nothing; the result may share memory with the chunk."""
        raise NotImplementedError

    def most(self, units: int) -> int:
        """The largest number of values that this number of units can become."""
        raise NotImplementedError

    def push(self, units: np.ndarray, hear: Callable[[np.ndarray], None] | None = None) -> np.ndarray:
        """Takes what `read` returned; returns the blocks now complete, [blocks, numbers], as the buffer hands them out.

        `hear` is called with the same units, before another thread can take a block. On failure nothing is taken.
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
        """Ends the stream: the buffered rest, padded, and then `blocks` blocks of padding, returned as by `push`."""
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
            ValueError: the number is negative or not whole.
        """
        return map(self._silence, skipped(units, self.rate))

    def output_resampler(self) -> StreamingResampler | None:
        """A resampler from the model's sample rate to the stream's, if they differ."""
        return None

    def snapshot(self) -> dict[str, Any]:
        """The inlet's state, for `restore`."""
        return {"sample_rate": self.sample_rate, "taken": self.taken, "waiting": self.rest.held(), "resampler": None}

    def restore(self, snapshot: Any) -> np.ndarray:
        """Resumes from a snapshot, except for the buffered numbers: these are returned, for the caller to buffer.

        Raises:
            ValueError: it has another sample rate or was changed. Nothing has changed then.
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
                f"The snapshot's buffered input must be fewer than {self.block} finite numbers of {self.signal.dtype}. "
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
        """Does nothing: nothing was changed."""

    def _restore(self, resampler: Any) -> None:
        if resampler is not None:
            raise ValueError("The snapshot has a resampler, but this stream has none. It was changed or damaged.")


class SoundInlet(Inlet):
    """Chunks of sound of any length, layout and sample rate -> blocks of samples at the model's rate.

    Args:
        signal, stride: see `Inlet`.
        sample_rate: of the chunks in Hz, 8,000 to 96,000; None: the model's own.
        channels: of the chunks, if there are more than two: these are mixed down only on request.
        encoding: of chunks passed as bytes.

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
        # Most chunks are mono arrays; the checks below would cost a hundredth of a small model's step.
        if isinstance(chunk, np.ndarray) and chunk.ndim == 1:
            return as_channels(chunk, self._encoding)
        shape = np.shape(chunk) if not isinstance(chunk, bytes | bytearray | memoryview) else ()
        if len(shape) == 2 and shape[1] > 2 and shape[1] != self._channels:
            raise AudioError(
                f"audio has shape {list(shape)}: {shape[1]} channels, which this stream does not expect. If these are "
                f"channels of sound, make it with channels={shape[1]}, which mixes them down, or pass one of them; if "
                "these are frames of something else, use a model of a Series."
            )
        samples = as_channels(chunk, self._encoding)
        if samples.ndim == 2 and samples.shape[1] > 1:
            self._cancellation.hear(samples)
        return as_mono(samples)

    def push(self, units: np.ndarray, hear: Callable[[np.ndarray], None] | None = None) -> np.ndarray:
        if self._resampler is not None:
            return super().push(units, hear)
        # There is nothing to rewind, and live steps are short.
        blocks = self.rest.push(units, None if hear is None else partial(hear, units))
        self.taken += len(units)
        return blocks

    def most(self, units: int) -> int:
        # A resampler may output one sample more than its share now, and one less later.
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
    """Frames of a series, any number at a time -> blocks of them.

    Args:
        signal, stride: see `Inlet`.
    """

    def __init__(self, signal: Series, stride: int):
        super().__init__(signal, stride, signal.frames_per_s)
        self._series = signal

    def read(self, chunk: Any) -> np.ndarray:
        """float or int32[frames, features]; also [frames] if a frame is one number.

        Raises:
            TypeError: floats were passed as ids, or ids as floats.
            ValueError: the shape is wrong; numbers are NaN, infinite or beyond LARGEST; or ids are out of range.
        """
        series = self._series
        frames = np.asarray(chunk)
        if frames.ndim == 1 and series.features == 1:
            frames = frames[:, None]
        kinds, needed = ("iu", "whole numbers, such as int32") if series.dtype == "int32" else ("f", "floats")
        if frames.dtype.kind not in kinds and frames.size:
            raise TypeError(
                f"frames are {frames.dtype}; this model takes {needed}. If that is what they mean, convert them: "
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
        # Placeholders for missing readings, the largest float32 or double, are bad too. In float16 the bound itself
        # would be infinite.
        wide = frames.astype(np.float32) if frames.dtype == np.float16 else frames
        bad = ~(np.abs(wide) <= LARGEST) if series.dtype == "float32" else np.zeros(0, bool)
        if bad.any():
            at = int(np.argwhere(bad)[0, 0])
            raise ValueError(
                f"frames contain numbers that are NaN, infinite or beyond {LARGEST:.2g}, the first in frame {at} of "
                "this chunk. The whole chunk was ignored: repair or omit it, and continue."
            )
        lowest, highest = (0, series.ids - 1) if series.ids is not None else (-(2**31), 2**31 - 1)
        if series.dtype == "int32" and frames.size and not lowest <= frames.min() <= frames.max() <= highest:
            raise ValueError(
                f"ids range from {frames.min()} to {frames.max()}; this model knows {lowest} to {highest}. The whole "
                "chunk was ignored."
            )

    def _converted(self, units: np.ndarray) -> np.ndarray:
        return units.reshape(-1)

    def _silence(self, units: int) -> np.ndarray:
        return np.full((units, self._series.features), self._series.padding, self._series.dtype)


def skipped(units: int, rate: float) -> Iterator[int]:
    """The lengths of the pieces in which a gap of `units` samples or frames is fed.

    Args:
        units: length of the gap.
        rate: units per second.

    Raises:
        ValueError: units is negative or not whole.
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
    """A fresh inlet for a model's signal, with a buffer of its own.

    Raises:
        AudioError: the sample rate is out of range.
        TypeError: a sample rate, channels or an encoding was passed for a signal that is not sound.
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
