"""Mel spectra and the features derived from them: log-mel, MFCC and deltas."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from streamrnn.contract import Layer, Stateless, constant, remembered
from streamrnn.features.stft import STFT
from streamrnn.shapes import Frames, Spectrum, State

# Slaney's scale: linear up to 1 kHz, 15 mel, and logarithmic from there, a factor of 6.4 in 27 mel.
HZ_PER_MEL, BREAK_HZ, LOG_STEP = 200 / 3, 1000.0, np.log(6.4) / 27


class PowerSpectrum(Stateless):
    """|X|^2 of a complex spectrum: complex64[batch, time, bins] -> float32[batch, time, bins], >= 0. No state."""

    def __call__(self, x: Spectrum) -> Frames:
        # Not abs() squared: the gradient of abs is NaN at 0, and digital silence is all zeros.
        return jnp.real(x) ** 2 + jnp.imag(x) ** 2


class MelFilterbank(Stateless):
    """Triangular filters on the mel scale: spectrum[batch, time, n_fft // 2 + 1] -> [batch, time, n_mels]. No state.

    The filters are those of `librosa.filters.mel`: Slaney's scale (linear below 1 kHz, logarithmic above) and norm
    (equal area), designed here and stored with the weights.

    Source: Slaney, "Auditory Toolbox", Interval Research technical report 1998-010.

    Args:
        sample_rate: in Hz.
        n_fft: length of the FFT that made the spectrum.
        n_mels: number of filters.
        f_min_hz: lower edge of the lowest filter.
        f_max_hz: upper edge of the highest filter, at most sample_rate / 2 (the default).

    Raises:
        ValueError: there are no filters, or the band is empty or ends above half the sample rate.
    """

    def __init__(self, sample_rate: int, n_fft: int, n_mels: int, f_min_hz: float = 0.0, f_max_hz: float | None = None):
        f_max_hz = sample_rate / 2 if f_max_hz is None else f_max_hz
        _check_mel_band(sample_rate, n_mels, f_min_hz, f_max_hz)

        self.filters = constant(
            lambda: _mel_filters(sample_rate, n_fft, n_mels, f_min_hz, f_max_hz), (n_fft // 2 + 1, n_mels)
        )

    def __call__(self, x: Frames) -> Frames:
        return _project(x, self.filters[...])


class Decibels(Stateless):
    """Power to decibels: y = 10 log10(max(x, amin)), any shape. No state.

    It equals `librosa.power_to_db(ref=1, top_db=None)`: `top_db` depends on the loudest frame of the whole recording,
    which a stream does not know yet.

    Args:
        amin: smaller powers are raised to this one, > 0; 1e-10 puts silence at -100 dB.

    Raises:
        ValueError: amin is not positive.
    """

    def __init__(self, amin: float = 1e-10):
        if not amin > 0:
            raise ValueError(f"Decibels got amin {amin}; the logarithm needs amin > 0. Pass for instance 1e-10.")
        self.amin = amin

    def __call__(self, x: Frames) -> Frames:
        return 10.0 * jnp.log10(jnp.maximum(x, self.amin))


class DCT(Stateless):
    """The first coefficients of the orthonormal type-II cosine transform: [batch, time, n_in] -> [.., n_out]. No state.

        y[k] = s[k] sum_n x[n] cos(pi k (2n + 1) / (2 n_in)),   s[0] = sqrt(1 / n_in), else s[k] = sqrt(2 / n_in)

    Source: Davis and Mermelstein, "Comparison of parametric representations for monosyllabic word recognition", IEEE
    TASSP, 1980 (of log-mel spectra: the MFCC).

    Raises:
        ValueError: not 1 <= n_out <= n_in.
    """

    def __init__(self, n_in: int, n_out: int):
        if not 1 <= n_out <= n_in:
            raise ValueError(f"DCT got n_in {n_in} and n_out {n_out}; {n_in} values have 1 to {n_in} coefficients.")
        self.basis = constant(lambda: _cosine_basis(n_in, n_out), (n_in, n_out))

    def __call__(self, x: Frames) -> Frames:
        return _project(x, self.basis[...])


class Deltas(Layer):
    """Features with their local derivatives appended: [batch, time, features] -> [.., features * (1 + len(orders))].

    The derivative of order d at a frame is that of a polynomial of degree d, fitted to the `width` frames around it
    (Savitzky-Golay). It equals `librosa.feature.delta` wherever all `width` frames lie inside the recording; at the
    edges librosa extrapolates, and here the frames before the first are zeros. Outputs lag width // 2 frames behind.

    State: the last width - 1 input frames, float32[batch, width - 1, features].

    Source: Savitzky and Golay, "Smoothing and differentiation of data by simplified least squares procedures", 1964;
    Furui, "Speaker-independent isolated word recognition using dynamic features of speech spectrum", IEEE TASSP, 1986.

    Args:
        features: width of the input frames.
        width: frames fitted, odd, at least 3.
        orders: derivatives appended, in this order, each below `width`.

    Raises:
        ValueError: width is even or too small, or an order does not fit it.
    """

    def __init__(self, features: int, width: int = 9, orders: tuple[int, ...] = (1, 2)):
        _check_deltas(width, orders)
        self.features = features
        self.width = width
        self.lookahead = width // 2

        def design() -> np.ndarray:
            from scipy.signal import savgol_coeffs

            rows = [savgol_coeffs(width, polyorder=order, deriv=order, use="dot") for order in orders]
            return np.asarray(rows, np.float32)

        self.filters = constant(design, (len(orders), width))

    def init_state(self, batch_size: int) -> State:
        return jnp.zeros((batch_size, self.width - 1, self.features), jnp.float32)

    def step(self, state: State, x: Frames) -> tuple[State, Frames]:
        return self.scan(state, x)

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        time = x.shape[1]
        heard = jnp.concatenate([state, x], axis=1)
        shifted = [heard[:, k : k + time] for k in range(self.width)]
        derivatives = [sum(c * frame for c, frame in zip(row, shifted, strict=True)) for row in self.filters[...]]
        return remembered(state, x), jnp.concatenate([shifted[self.lookahead], *derivatives], axis=-1)


def log_mel(
    sample_rate: int,
    window: int,
    hop: int,
    n_mels: int,
    n_fft: int | None = None,
    f_min_hz: float = 0.0,
    f_max_hz: float | None = None,
    amin: float = 1e-10,
) -> tuple[Layer, ...]:
    """Layers from raw audio to the log-mel spectrum in dB, for a Chain.

    Audio [batch, time, hop] in [-1, 1] -> float32[batch, time, n_mels] from 10 log10(amin) up. `window`, `hop` and
    `n_fft` are in samples; see `STFT`, `MelFilterbank` and `Decibels`.

    Raises:
        ValueError: as these layers do.
    """
    stft = STFT(window, hop, n_fft)
    filterbank = MelFilterbank(sample_rate, stft.n_fft, n_mels, f_min_hz, f_max_hz)
    return stft, PowerSpectrum(), filterbank, Decibels(amin)


def mfcc(
    sample_rate: int,
    window: int,
    hop: int,
    n_mels: int,
    n_mfcc: int,
    n_fft: int | None = None,
    f_min_hz: float = 0.0,
    f_max_hz: float | None = None,
    amin: float = 1e-10,
) -> tuple[Layer, ...]:
    """Layers from raw audio to mel-frequency cepstral coefficients, for a Chain: `log_mel`, then `DCT`.

    Audio [batch, time, hop] in [-1, 1] -> float32[batch, time, n_mfcc].

    Raises:
        ValueError: as these layers do.
    """
    return *log_mel(sample_rate, window, hop, n_mels, n_fft, f_min_hz, f_max_hz, amin), DCT(n_mels, n_mfcc)


def _project(x: Array, matrix: Array) -> Array:
    # By default GPUs and TPUs round operands to about 10 or 8 bits: relative errors near 1e-3, but 1e-4 is promised.
    return jnp.matmul(x, matrix, precision=jax.lax.Precision.HIGHEST)


def _cosine_basis(n_in: int, n_out: int) -> np.ndarray:
    basis = np.cos(np.pi / n_in * np.outer(np.arange(n_in) + 0.5, np.arange(n_out)))
    basis[:, 0] *= np.sqrt(0.5)
    return (np.sqrt(2 / n_in) * basis).astype(np.float32)


def _mel_filters(sample_rate: int, n_fft: int, n_mels: int, f_min_hz: float, f_max_hz: float) -> np.ndarray:
    """float32[bins, n_mels]: filter k rises from edge k to the next, and falls to the one after."""
    lowest, highest = _to_mel(np.array([f_min_hz, f_max_hz]))
    edges = _from_mel(np.linspace(lowest, highest, n_mels + 2))
    bins = np.fft.rfftfreq(n_fft, 1 / sample_rate)
    triangles = [np.interp(bins, edges[k : k + 3], (0, 2 / (edges[k + 2] - edges[k]), 0)) for k in range(n_mels)]
    return np.stack(triangles, axis=1).astype(np.float32)


def _to_mel(hz: np.ndarray) -> np.ndarray:
    above = BREAK_HZ / HZ_PER_MEL + np.log(np.maximum(hz, BREAK_HZ) / BREAK_HZ) / LOG_STEP
    return np.where(hz < BREAK_HZ, hz / HZ_PER_MEL, above)


def _from_mel(mel: np.ndarray) -> np.ndarray:
    above = mel - BREAK_HZ / HZ_PER_MEL
    return np.where(above < 0, mel * HZ_PER_MEL, BREAK_HZ * np.exp(LOG_STEP * above))


def _check_mel_band(sample_rate: int, n_mels: int, f_min_hz: float, f_max_hz: float) -> None:
    if n_mels < 1:
        raise ValueError(f"MelFilterbank got n_mels {n_mels}; it needs at least one filter. 40 to 80 suit speech.")
    if not 0 <= f_min_hz < f_max_hz <= sample_rate / 2:
        raise ValueError(
            f"MelFilterbank got the band {f_min_hz} to {f_max_hz} Hz at sample rate {sample_rate}; it needs "
            f"0 <= f_min_hz < f_max_hz <= {sample_rate / 2}. Lower f_max_hz, or leave it out."
        )


def _check_deltas(width: int, orders: tuple[int, ...]) -> None:
    if width < 3 or width % 2 == 0:
        raise ValueError(f"Deltas got width {width}; it needs an odd width of at least 3. The usual one is 9.")
    if not orders or not all(1 <= order < width for order in orders):
        raise ValueError(
            f"Deltas got orders {orders} for width {width}; it needs one or more orders from 1 to {width - 1}. "
            f"Pass (1, 2) for deltas and delta-deltas."
        )


__all__ = ["DCT", "Decibels", "Deltas", "MelFilterbank", "PowerSpectrum", "log_mel", "mfcc"]
