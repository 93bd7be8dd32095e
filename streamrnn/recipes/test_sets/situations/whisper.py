"""Speech made to whisper: the tract of a voice, excited by noise alone."""

import numpy as np

WINDOW_S, HOP_S = 0.025, 0.00625
ORDER_PER_KHZ, ORDER_OVER = 1, 4
# Levels of voiced frames over unvoiced ones are evened out: a whisper has no loud vowels.
EVENING = 0.5
LOW_CUT_HZ = 250.0


def whispered(speech: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Speech, float32[n], as a whisper, float32[n] of the same level.

    Each window's linear prediction is excited by white noise of (nearly) the window's energy; the windows are added up.
    No pulse of the voice is left, the lowest frequencies are cut, and loud vowels come nearer to the consonants.

    Source: linear prediction by the autocorrelation method, Makhoul, Proceedings of the IEEE 63, 1975.
    """
    from scipy.linalg import solve_toeplitz
    from scipy.signal import lfilter

    length, hop = round(WINDOW_S * sample_rate), round(HOP_S * sample_rate)
    order = sample_rate // 1000 * ORDER_PER_KHZ + ORDER_OVER
    window = np.hanning(length)
    padded = np.pad(np.asarray(speech, np.float64), (length, length))
    # Speech falls by 6 dB per octave through the glottis, which a whisper leaves open.
    padded = lfilter([1.0, -0.9], [1.0], padded)
    made = np.zeros(len(padded) + length)
    for start in range(0, len(padded) - length, hop):
        frame = padded[start : start + length] * window
        energy = float(np.sum(frame**2))
        if energy <= 1e-9:
            continue
        correlation = np.correlate(frame, frame, "full")[length - 1 : length + order]
        correlation[0] *= 1 + 1e-4
        predictor = solve_toeplitz(correlation[:-1], correlation[1:])
        voice = lfilter([1.0], np.concatenate([[1.0], -predictor]), rng.standard_normal(length)) * window
        made[start : start + length] += voice * energy ** (EVENING / 2) / max(float(np.linalg.norm(voice)), 1e-9)
    return _as_loud(_without_lows(made[length : length + len(speech)], sample_rate), speech)


def _without_lows(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    from scipy.signal import butter, sosfilt

    return np.asarray(sosfilt(butter(2, LOW_CUT_HZ, "highpass", fs=sample_rate, output="sos"), sound))


def _as_loud(sound: np.ndarray, as_: np.ndarray) -> np.ndarray:
    wanted, had = (float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))) for x in (as_, sound))
    return np.asarray(sound * (wanted / max(had, 1e-9)), np.float32)


__all__ = ["whispered"]
