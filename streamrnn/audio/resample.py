"""Changing the sample rate: live, chunk by chunk with a short constant delay, and offline for whole recordings."""

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from streamrnn.audio.chunks import AudioError, require_rate

LOWEST_RATE, HIGHEST_RATE = 8000, 96000
MAX_DELAY_MS = 4
STOPBAND_DB = 80
# Longer chunks are processed in pieces of this many samples, so that memory stays bounded and in the cache.
PIECE_SAMPLES = 2048
# More phases than this are processed by rows instead, few enough at a time that their windows stay in the cache.
FEW_PHASES, FEW_ROWS = 32, 64
# Memory for filters kept for later streams with the same rates; all pairs of usual rates need a tenth of it.
MOST_KEPT_BYTES = 128 * 2**20


class StreamingResampler:
    """A polyphase FIR resampler with explicit state: output n is the input at time n / target_rate.

    The rates are reduced to up/down = target/source. Each output sample is the dot product of a window of the input
    with one of `up` filters: a Kaiser-windowed sinc of 80 dB that passes 0.9 of the lower Nyquist frequency, or
    somewhat less if that would take more than 4 ms (below about 12.5 kHz; from or to 8 kHz it passes 3.37 kHz). The
    right half of the window is the whole delay. Equal rates pass through unchanged, without delay.

    Any chunking of the same input gives the same output bit for bit. The position is an integer, so days of audio do
    not drift. N input samples give ceil(N * target_rate / source_rate) output samples, including those of the flush.

    Filters are shared by all resamplers for a pair of rates, and cached. They take 4 * up * taps bytes: 180 kB for
    44100 -> 16000, 18 MB for 44101 -> 16000 with its 16000 filters, and at worst 40 MB and two seconds of design. Not
    thread-safe.

    Args:
        source_rate, target_rate: whole numbers of Hz from 8000 to 96000.

    Raises:
        AudioError: a rate is out of range or not whole.

    Source: Crochiere and Rabiner, Multirate Digital Signal Processing, 1983, section 2.3; Kaiser, Nonrecursive digital
    filter design using the I0-sinh window function, 1974.
    """

    def __init__(self, source_rate: int, target_rate: int):
        self.source_rate = live_rate(source_rate)
        self.target_rate = live_rate(target_rate)
        divisor = math.gcd(self.source_rate, self.target_rate)
        self._up, self._down = self.target_rate // divisor, self.source_rate // divisor
        self._filters, self._lookahead_samples = _DESIGNS.of(self.source_rate, self.target_rate)
        self.reset()

    @property
    def delay_s(self) -> float:
        """The delay of the output, in seconds; at most 0.004."""
        return self._lookahead_samples / self.source_rate

    def process(self, samples: np.ndarray) -> np.ndarray:
        """float32[n] at source_rate -> float32[m], all that is ready at target_rate; n and m may be 0."""
        pieces = [self._advance(samples[i : i + PIECE_SAMPLES]) for i in range(0, len(samples), PIECE_SAMPLES)]
        return np.concatenate([np.empty(0, np.float32), *pieces])

    def flush(self) -> np.ndarray:
        """The remaining outputs, with zeros for the missing samples, float32[m]. A new stream starts afterwards."""
        rest = self.process(np.zeros(self._lookahead_samples, np.float32))
        self.reset()
        return rest

    def reset(self) -> None:
        """Starts a new stream."""
        history_samples = self._filters.shape[1] - 1 - self._lookahead_samples
        self._tail = np.zeros(history_samples, np.float32)
        self._phase = 0

    def snapshot(self) -> dict[str, Any]:
        """The state, for `restore`: the rates, the last input samples and the phase of the next output."""
        return {
            "source_rate": self.source_rate,
            "target_rate": self.target_rate,
            "tail": self._tail.copy(),
            "phase": self._phase,
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Resumes from a `snapshot`.

        Raises:
            AudioError: it was taken from a resampler with other rates, or was changed. Nothing has changed then.
        """
        if not isinstance(snapshot, Mapping) or set(snapshot) != {"source_rate", "target_rate", "tail", "phase"}:
            raise AudioError("snapshot is none of a resampler. Pass what its snapshot() returned.")
        rates = snapshot["source_rate"], snapshot["target_rate"]
        if rates != (self.source_rate, self.target_rate):
            raise AudioError(
                f"snapshot is of a resampler {rates[0]} -> {rates[1]} Hz; this one is {self.source_rate} -> "
                f"{self.target_rate} Hz. Restore it into one of the same rates."
            )
        tail, phase = snapshot["tail"], snapshot["phase"]
        good = isinstance(tail, np.ndarray) and tail.dtype == np.float32 and tail.ndim == 1 and type(phase) is int
        # The buffered samples never contain a complete window, whose output would already have been returned.
        if not good or not 0 <= phase < self._up or len(tail) >= self._filters.shape[1] or not np.isfinite(tail).all():
            raise AudioError("snapshot of a resampler was changed or damaged. Pass what its snapshot() returned.")
        self._tail, self._phase = tail.copy(), phase

    def mark(self) -> tuple[np.ndarray, int]:
        """The current state, for `rewind`: cheaper than a snapshot, but only for this object."""
        return self._tail, self._phase

    def rewind(self, mark: tuple[np.ndarray, int]) -> None:
        """Returns to a `mark`."""
        self._tail, self._phase = mark

    def _advance(self, samples: np.ndarray) -> np.ndarray:
        # The buffer always begins with the window of the next output, so positions never leave a small range.
        buffer = np.concatenate((self._tail, samples), dtype=np.float32, casting="same_kind")
        complete_windows = len(buffer) - self._filters.shape[1] + 1
        count = -((self._phase - complete_windows * self._up) // self._down)
        if count <= 0:
            self._tail = buffer
            return np.empty(0, np.float32)
        starts, phases = np.divmod(self._phase + self._down * np.arange(count + 1), self._up)
        self._tail, self._phase = buffer[starts[-1] :].copy(), int(phases[-1])
        return self._filtered(buffer, starts[:-1], phases[:-1])

    def _filtered(self, buffer: np.ndarray, starts: np.ndarray, phases: np.ndarray) -> np.ndarray:
        """The dot products of the windows that begin at `starts` with the filters of these phases."""
        windows, outputs = sliding_window_view(buffer, self._filters.shape[1]), np.empty(len(starts), np.float32)
        # Not a matrix product: BLAS blocks rows together, so a row's last bits would depend on the number of rows.
        if self._up <= FEW_PHASES:
            # Outputs of one phase share a filter and have equally spaced windows, so nothing needs to be copied.
            for first in range(min(self._up, len(starts))):
                rows = windows[starts[first] : starts[-1] + 1 : self._down][: len(outputs[first :: self._up])]
                np.einsum("nk,k->n", rows, self._filters[phases[first]], out=outputs[first :: self._up])
            return outputs
        for first in range(0, len(starts), FEW_ROWS):
            rows = slice(first, first + FEW_ROWS)
            np.einsum("nk,nk->n", windows[starts[rows]], self._filters[phases[rows]], out=outputs[rows])
        return outputs


def resample(samples: np.ndarray, source_rate: int, target_rate: int) -> np.ndarray:
    """A whole recording at another rate, for bulk files: float[n] -> float32[ceil(n * target_rate / source_rate)].

    Channels stay as they are: [n, channels] -> [ceil(n * target_rate / source_rate), channels].

    Linear phase, so output n is the input at time n / target_rate. Uses soxr at its very high quality.

    Raises:
        AudioError: a rate is not a positive whole number.
    """
    for rate in (source_rate, target_rate):
        if not rate >= 1 or rate % 1:
            raise AudioError(f"sample rate is {rate} Hz; it must be a positive whole number.")
    if source_rate == target_rate:
        return samples.astype(np.float32, copy=False)
    length = -(-len(samples) * int(target_rate) // int(source_rate))
    return resample_to_length(samples, source_rate, target_rate, length)


def resample_to_length(
    samples: np.ndarray, source_rate: float, target_rate: float, length: int, quality: str = "VHQ"
) -> np.ndarray:
    """`resample` for any ratio, at one of soxr's qualities, cut or padded by a sample to give `length`."""
    import soxr

    resampled = soxr.resample(samples.astype(np.float32, copy=False), source_rate, target_rate, quality=quality)[
        :length
    ]
    return np.pad(resampled, [(0, length - len(resampled)), *[(0, 0)] * (resampled.ndim - 1)])


def live_rate(rate: int) -> int:
    """The rate, if sound with it can be resampled live. Raises AudioError otherwise."""
    require_rate(rate)
    if not LOWEST_RATE <= rate <= HIGHEST_RATE or rate != int(rate):
        raise AudioError(
            f"sample rate is {rate} Hz; live resampling takes whole numbers from {LOWEST_RATE} to {HIGHEST_RATE}. "
            "Convert the audio first: ffmpeg -i IN -ar 48000 OUT.wav, or streamrnn.audio.resample."
        )
    return int(rate)


class _Designs:
    """The filters of the most recent pairs of rates, as many as fit; each is designed once, by one thread."""

    def __init__(self, most_bytes: int):
        self._most_bytes = most_bytes
        self._kept: OrderedDict[tuple[int, int], Future[tuple[np.ndarray, int]]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, source_rate: int, target_rate: int) -> tuple[np.ndarray, int]:
        """See `_design`."""
        rates = source_rate, target_rate
        with self._lock:
            is_new = rates not in self._kept
            design = self._kept.setdefault(rates, Future())
            self._kept.move_to_end(rates)
        if is_new:
            self._make(rates, design)
        return design.result()

    def _make(self, rates: tuple[int, int], design: Future[tuple[np.ndarray, int]]) -> None:
        # Without the lock, so that others can use existing filters.
        try:
            design.set_result(_design(*rates))
        except BaseException as error:
            with self._lock:
                self._kept.pop(rates, None)
            design.set_exception(error)
            raise
        with self._lock:
            while len(self._kept) > 1 and self._bytes() > self._most_bytes:
                self._kept.popitem(last=False)

    def _bytes(self) -> int:
        return sum(design.result()[0].nbytes for design in self._kept.values() if design.done())


def _design(source_rate: int, target_rate: int) -> tuple[np.ndarray, int]:
    """The filters, float32[up, taps], oldest sample first, and their look-ahead in source samples."""
    if source_rate == target_rate:
        return np.ones((1, 1), np.float32), 0
    nyquist_hz = min(source_rate, target_rate) / 2
    # Kaiser's formula gives the length for a transition width, and the narrowest transition for the longest delay.
    length_times_width = (STOPBAND_DB - 7.95) / 14.36
    transition_hz = max(0.1 * nyquist_hz, length_times_width / (2 * MAX_DELAY_MS / 1000))
    half = min(math.ceil(length_times_width / transition_hz / 2 * source_rate), MAX_DELAY_MS * source_rate // 1000)
    bandwidth = (2 * nyquist_hz - transition_hz) / source_rate
    up = target_rate // math.gcd(source_rate, target_rate)
    filters = np.empty((up, 2 * half), np.float32)
    # Design in slices: the float64 intermediates of all filters of an awkward pair of rates would take half a gigabyte.
    for start in range(0, up, 256):
        phases = np.arange(start, min(start + 256, up)) / up
        filters[start : start + 256] = _windowed_sinc(phases, half, bandwidth)
    filters.flags.writeable = False
    return filters, half


def _windowed_sinc(phases: np.ndarray, half: int, bandwidth: float) -> np.ndarray:
    """One filter per phase, [phases, 2 * half]: its taps are at the distances phase + half - 1, ..., phase - half."""
    beta = 0.1102 * (STOPBAND_DB - 8.7)
    distance = phases[:, None] + np.arange(half - 1, -half - 1, -1)
    kaiser = np.i0(beta * np.sqrt(1 - (distance / half) ** 2))
    # The tap at exactly -half has no partner at +half; without it the prototype filter is symmetric.
    taps = np.where(distance > -half, kaiser * np.sinc(bandwidth * distance), 0.0)
    return taps / taps.sum(axis=1, keepdims=True)


_DESIGNS = _Designs(MOST_KEPT_BYTES)


__all__ = ["StreamingResampler", "live_rate", "resample", "resample_to_length"]
