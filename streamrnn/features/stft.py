"""The short-time Fourier transform and its inverse, one frame at a time.

Raw audio comes as frames of `hop` samples. Frame t of the spectrum covers the `window` samples that end with input
frame t, so the transform is causal. The recording is preceded by silence.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

from streamrnn.contract import Layer, constant, remembered
from streamrnn.shapes import Samples, Spectrum, State


class STFT(Layer):
    """Short-time Fourier transform with a periodic Hann window: x[batch, time, hop] -> complex64[batch, time, bins].

        X[t, k] = sum_n hann[n] x[(t + 1) hop - window + n] exp(-2 pi i k n / n_fft),   0 <= n < window

    There are bins = n_fft // 2 + 1; bin k is at k * sample_rate / n_fft Hz. The result equals
    `librosa.stft(center=False, n_fft=window)` of the signal with window - hop zeros before it; a larger n_fft appends
    zeros to each windowed segment.

    State: the last ceil(window / hop) - 1 input frames, float32[batch, ceil(window / hop) - 1, hop].

    Source: Allen and Rabiner, "A unified approach to short-time Fourier analysis and synthesis", Proc. IEEE, 1977.

    Args:
        window: samples seen per frame.
        hop: samples between frames, at most `window`; it need not divide `window`.
        n_fft: length of the FFT, at least `window` (default: `window`).

    Raises:
        ValueError: the sizes do not fit together, or the input frames are not `hop` samples wide.
    """

    def __init__(self, window: int, hop: int, n_fft: int | None = None):
        self.n_fft = _checked_n_fft("STFT", window, hop, n_fft)
        self.window = window
        self.hop = hop
        self.analysis_window = constant(lambda: _hann(window).astype(np.float32), (window,))

    def init_state(self, batch_size: int) -> State:
        return jnp.zeros((batch_size, _frames_per_window(self) - 1, self.hop), jnp.float32)

    def step(self, state: State, x: Samples) -> tuple[State, Spectrum]:
        return self.scan(state, x)

    def scan(self, state: State, x: Samples) -> tuple[State, Spectrum]:
        _check_width("STFT", x, self.hop, "hop")
        time = x.shape[1]
        heard = jnp.concatenate([state, x], axis=1)
        # Shifted views instead of a gather of sample indices: every slice is static, and XLA fuses them into one copy.
        shifted = [heard[:, k : k + time] for k in range(_frames_per_window(self))]
        segments = jnp.concatenate(shifted, axis=-1)[..., -self.window :]
        return remembered(state, x), jnp.fft.rfft(segments * self.analysis_window[...], n=self.n_fft)


class InverseSTFT(Layer):
    """Overlap-add synthesis, the inverse of `STFT`: complex[batch, time, bins] -> float32[batch, time, hop].

        x[t] = sum_k synthesis[k] * irfft(X[t + K - 1 - k])[k],   0 <= k < K = window / hop,   [k]: the k-th hop samples

    The synthesis window is the periodic Hann window divided by the overlap sum of its square, so that
    InverseSTFT(STFT(x)) = x. An output frame is complete when the last of the K windows that cover it has arrived:
    lookahead = window / hop - 1 frames. If the FFT is longer, only its first `window` samples are used.

    State: the unfinished output frames, float32[batch, window / hop - 1, hop].

    Source: Griffin and Lim, "Signal estimation from modified short-time Fourier transform", IEEE TASSP, 1984, eq. 6.

    Args:
        window, hop, n_fft: as given to the `STFT`; `window` is a multiple of `hop`, at least 3 * hop.

    Raises:
        ValueError: the sizes do not fit together, the squared window does not overlap-add to a constant, or the input
            frames are not n_fft // 2 + 1 bins wide.
    """

    def __init__(self, window: int, hop: int, n_fft: int | None = None):
        self.n_fft = _checked_n_fft("InverseSTFT", window, hop, n_fft)
        overlap = _overlap_of_squared_window(window, hop)
        self.window = window
        self.hop = hop
        self.lookahead = window // hop - 1
        self.synthesis_window = constant(lambda: (_hann(window) / overlap).astype(np.float32), (window,))

    def init_state(self, batch_size: int) -> State:
        return jnp.zeros((batch_size, self.lookahead, self.hop), jnp.float32)

    def step(self, state: State, x: Spectrum) -> tuple[State, Samples]:
        return self.scan(state, x)

    def scan(self, state: State, x: Spectrum) -> tuple[State, Samples]:
        _check_width("InverseSTFT", x, self.n_fft // 2 + 1, "n_fft // 2 + 1")
        batch, time, _ = x.shape
        segments = jnp.fft.irfft(x, n=self.n_fft)[..., : self.window] * self.synthesis_window[...]
        parts = segments.reshape(batch, time, self.lookahead + 1, self.hop)
        y = _delayed(state, 0, time)
        for k in range(self.lookahead + 1):
            y += _delayed(parts[:, :, k], k, self.lookahead - k)
        return y[:, time:], y[:, :time]


def _delayed(x: Array, before: int, after: int) -> Array:
    return jnp.pad(x, ((0, 0), (before, after), (0, 0)))


def _hann(window: int) -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)


def _frames_per_window(stft: STFT) -> int:
    return -(-stft.window // stft.hop)


def _overlap_of_squared_window(window: int, hop: int) -> float:
    if window % hop:
        raise ValueError(
            f"InverseSTFT got window {window} and hop {hop}; the window must be a multiple of the hop for windows to "
            f"overlap evenly. Pass for instance window={4 * hop}, hop={hop}, to the STFT also."
        )
    overlap = np.sum(_hann(window).reshape(-1, hop) ** 2, axis=0)
    if not np.allclose(overlap, overlap[0]):
        raise ValueError(
            f"InverseSTFT got window {window} and hop {hop}; squared Hann windows that far apart do not add up to a "
            f"constant, so nothing could be reconstructed. Pass hop = window / 4 (or any divisor from window / 3 down)."
        )
    return float(overlap[0])


def _checked_n_fft(name: str, window: int, hop: int, n_fft: int | None) -> int:
    if not 1 <= hop <= window or window < 2:
        raise ValueError(
            f"{name} got window {window} and hop {hop} samples; it needs 1 <= hop <= window and window >= 2. "
            f"Usual for speech at 16 kHz: window=400, hop=160."
        )
    n_fft = window if n_fft is None else n_fft
    if n_fft < window:
        raise ValueError(
            f"{name} got n_fft {n_fft} for a window of {window} samples; the FFT must hold the whole window. "
            f"Pass n_fft >= {window}, or leave it out."
        )
    return n_fft


def _check_width(name: str, x: Array, needed: int, meaning: str) -> None:
    if x.ndim != 3 or x.shape[-1] != needed:
        raise ValueError(
            f"{name} got an array of shape {tuple(x.shape)}; it needs [batch, time, {needed}], where {needed} is "
            f"{meaning}. Cut the signal into frames of {needed}, or build {name} for the frames you have."
        )


__all__ = ["STFT", "InverseSTFT"]
