"""Augmentation of recordings for training: noise, level, rooms, narrow bands, speed.

All functions are pure: float32[n] in, a new float32 array out, with randomness only from the given generator. Only
`change_speed` and `fit_length` move the sound in time, so labels stay valid. Silence never gives NaN.
"""

import numpy as np

from streamrnn.audio.chunks import AudioError
from streamrnn.audio.resample import resample_to_length

LOOP_FADE_SAMPLES = 160
COLOURED_NOISE_RMS = 0.1


def mix_at_snr(speech: np.ndarray, noise: np.ndarray, snr_db: float, active: np.ndarray | None = None) -> np.ndarray:
    """speech[n] + scaled noise[n] -> float32[n], with the speech `snr_db` above the noise.

    Args:
        active: bool[n], the samples with speech. The level of the speech is measured there, so that pauses do not
            lower it; default: everywhere. The level of the noise is that of all of it.

    If speech (or active speech) or noise is silent, there is no ratio and the noise keeps its level.

    Raises:
        AudioError: the lengths differ.
    """
    if len(speech) != len(noise) or (active is not None and len(active) != len(speech)):
        raise AudioError(
            f"speech has {len(speech)} samples, noise {len(noise)}"
            f"{'' if active is None else f', active {len(active)}'}; they must be equally long. "
            "Use fit_length on the noise."
        )
    speech_rms, noise_rms = _rms(speech if active is None else speech[active]), _rms(noise)
    if speech_rms == 0 or noise_rms == 0:
        return _float32(speech + noise)
    return _float32(speech + noise * (speech_rms / noise_rms * 10 ** (-snr_db / 20)))


def reverberate(samples: np.ndarray, impulse_response: np.ndarray) -> np.ndarray:
    """samples[n] in a room with impulse_response[m] -> float32[n], as loud as before.

    The strongest tap of the response, the direct path, is put at time zero. Reverberation after the end is cut.

    Raises:
        AudioError: the impulse response is empty or silent.
    """
    from scipy.signal import fftconvolve

    if not np.any(impulse_response):
        raise AudioError("the impulse response is empty or silent. Pass a recorded or simulated one.")
    if len(samples) == 0:
        return np.empty(0, np.float32)
    direct = int(np.argmax(np.abs(impulse_response)))
    wet = fftconvolve(samples, impulse_response)[direct:]
    wet = np.pad(wet, (0, max(0, len(samples) - len(wet))))[: len(samples)]
    wet_rms = _rms(wet)
    return _float32(wet * (_rms(samples) / wet_rms)) if wet_rms > 0 else _float32(wet)


def gain(samples: np.ndarray, gain_db: float) -> np.ndarray:
    """samples[n] louder by `gain_db` -> float32[n]. Not clipped; see `clip_protect`."""
    return _float32(samples * 10 ** (gain_db / 20))


def band_limit(samples: np.ndarray, low_hz: float, high_hz: float, sample_rate: int) -> np.ndarray:
    """samples[n] through a band-pass filter -> float32[n], such as 300 to 3400 Hz for a telephone.

    A linear-phase FIR of 30 ms with its delay taken out; at the edges the amplitude is half. low_hz = 0 leaves the low
    end open, high_hz of half the sample rate or more the high end.

    Raises:
        AudioError: not 0 <= low_hz < high_hz, or low_hz lies above half the sample rate.
    """
    from scipy.signal import fftconvolve, firwin

    nyquist_hz = sample_rate / 2
    if not (0 <= low_hz < high_hz and low_hz < nyquist_hz):
        raise AudioError(f"band {low_hz} to {high_hz} Hz; 0 <= low_hz < high_hz and low_hz < {nyquist_hz} are needed.")
    edges = [edge_hz for edge_hz in (low_hz, high_hz) if 0 < edge_hz < nyquist_hz]
    if not edges or len(samples) == 0:
        return np.array(samples, np.float32)
    half = round(0.015 * sample_rate)
    taps = firwin(2 * half + 1, edges, pass_zero=low_hz == 0, fs=sample_rate)
    return _float32(fftconvolve(samples, taps)[half : half + len(samples)])


def change_speed(samples: np.ndarray, factor: float) -> np.ndarray:
    """samples[n] played `factor` times as fast -> float32[round(n / factor)]. Pitch changes with it, as with a tape.

    Raises:
        AudioError: factor is not positive.

    Source: Ko et al., Audio augmentation for speech recognition, Interspeech 2015.
    """
    if not 0 < factor < np.inf:
        raise AudioError(f"speed factor is {factor}; it must be positive, such as 0.9 or 1.1.")
    if factor == 1:
        return np.array(samples, np.float32)
    # Medium quality is accurate to 16 bits. Training does this for every clip; the highest takes five times as long.
    return resample_to_length(samples, factor, 1.0, round(len(samples) / factor), quality="MQ")


def coloured_noise(length_samples: int, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Noise with the power spectrum 1 / f^slope -> float32[length_samples], at an RMS of 0.1.

    Slope 0 is white, 1 pink, 2 brown, -1 blue. The mean is 0.

    Source: Timmer and Koenig, On generating power law noise, Astronomy and Astrophysics 300, 1995.
    """
    spectrum = np.fft.rfft(rng.standard_normal(length_samples)) if length_samples else np.zeros(1)
    frequency = np.arange(len(spectrum), dtype=float)
    frequency[0] = np.inf if slope > 0 else 1.0
    spectrum *= frequency ** (-slope / 2)
    spectrum[0] = 0.0
    noise = np.fft.irfft(spectrum, length_samples) if length_samples > 1 else np.zeros(length_samples)
    return _float32(noise * (COLOURED_NOISE_RMS / max(_rms(noise), np.finfo(float).tiny)))


def fit_length(samples: np.ndarray, length_samples: int, rng: np.random.Generator) -> np.ndarray:
    """samples[n] -> float32[length_samples]: a random cut of a longer recording, or a shorter one looped.

    The loop starts at a random place and its seam is a cross-fade of up to 160 samples. An empty recording gives
    silence.
    """
    if len(samples) >= length_samples:
        start = int(rng.integers(len(samples) - length_samples + 1))
        return np.array(samples[start : start + length_samples], np.float32)
    if len(samples) == 0:
        return np.zeros(length_samples, np.float32)
    loop = _loop(samples)
    start = int(rng.integers(len(loop)))
    return loop[(start + np.arange(length_samples)) % len(loop)]


def clip_protect(samples: np.ndarray, peak: float = 0.99) -> np.ndarray:
    """samples[n] -> float32[n], attenuated as a whole if they exceed `peak`."""
    highest = np.abs(samples).max(initial=0)
    return _float32(samples * (peak / highest)) if highest > peak else np.array(samples, np.float32)


def _loop(samples: np.ndarray) -> np.ndarray:
    """samples[n] shortened by a cross-fade of the end into the beginning, for seamless loops."""
    fade = min(LOOP_FADE_SAMPLES, len(samples) // 2)
    loop = np.array(samples[: len(samples) - fade], np.float32)
    rising = np.linspace(0, 1, fade, endpoint=False, dtype=np.float32)
    loop[:fade] = loop[:fade] * rising + samples[len(samples) - fade :] * (1 - rising)
    return loop


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0


def _float32(samples: np.ndarray) -> np.ndarray:
    return np.asarray(samples, np.float32)


__all__ = [
    "band_limit",
    "change_speed",
    "clip_protect",
    "coloured_noise",
    "fit_length",
    "gain",
    "mix_at_snr",
    "reverberate",
]
