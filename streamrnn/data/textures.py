"""Synthesised noises: textures with random rhythm and colour, revving engines. For training.

Recorded noises are few, and a network memorises them. These are drawn anew each time. All functions return
float32[n].
"""

import numpy as np

from streamrnn.audio import mixing

Rng = np.random.Generator
CURVE_POINTS = 400


def equalised(rng: Rng, samples: np.ndarray, sample_rate: int, range_db: float = 18.0) -> np.ndarray:
    """Filters samples[n] with a random smooth equaliser -> float32[n]: up to seven bumps and dips, each up to
    `range_db`."""
    from scipy.fft import irfft, rfft

    n = len(samples)
    if n < 2:
        return np.array(samples, np.float32)
    # The curve is smooth, so a few hundred points suffice; training spends much of its time here.
    octaves = np.linspace(np.log2(20), np.log2(sample_rate / 2), CURVE_POINTS)
    curve_db = np.zeros(CURVE_POINTS)
    for _ in range(int(rng.integers(1, 8))):
        centre, width = rng.uniform(np.log2(60), np.log2(sample_rate / 2)), rng.uniform(0.15, 1.5)
        curve_db += rng.uniform(-range_db, range_db) * np.exp(-0.5 * ((octaves - centre) / width) ** 2)
    spectrum = np.asarray(rfft(np.asarray(samples, np.float32)))
    bins_hz = np.linspace(0, sample_rate / 2, len(spectrum), dtype=np.float32)
    gains = np.interp(bins_hz, 2**octaves, 10 ** (curve_db / 20)).astype(np.float32)
    return np.asarray(irfft(spectrum * gains, n), np.float32)


def texture(rng: Rng, n: int, sample_rate: int) -> np.ndarray:
    """Coloured noise that pulses, flutters or crackles: steam engines, saws, surf, applause, rattling, wind."""
    noise = mixing.coloured_noise(n, rng.uniform(-0.5, 2), rng)
    return np.asarray(equalised(rng, noise, sample_rate, 24.0) * _rhythm(rng, n, sample_rate), np.float32)


def engine(rng: Rng, n: int, sample_rate: int) -> np.ndarray:
    """Pulses whose rate glides up and down, with the colour of a pipe: motors, saws, drills, insects."""
    knots = np.maximum(2, n // round(rng.uniform(0.3, 3) * sample_rate))
    base = rng.uniform(np.log(25), np.log(500))
    path = base + np.cumsum(rng.normal(0, rng.uniform(0.02, 0.4), knots + 1))
    pitch_hz = np.exp(np.clip(np.interp(np.linspace(0, knots, n), np.arange(knots + 1), path), np.log(20), np.log(900)))
    jitter = 1 + rng.uniform(0, 0.05) * rng.standard_normal(n)
    turns = np.cumsum(pitch_hz * jitter) / sample_rate
    pulses = (1 - 2 * (turns % 1.0)) * rng.uniform(0.5, 1) + rng.uniform(0, 0.4) * rng.standard_normal(n)
    sound = equalised(rng, pulses, sample_rate, 24.0)
    return sound * _rhythm(rng, n, sample_rate) if rng.random() < 0.4 else sound


def _rhythm(rng: Rng, n: int, sample_rate: int) -> np.ndarray:
    """The envelope of a texture: steady, beating at 0.5 to 14 Hz like syllables, or wandering."""
    kind = rng.random()
    if kind < 0.2:
        return np.ones(n, np.float32)
    t = np.arange(n) / sample_rate
    depth = rng.uniform(0.5, 1.0)
    if kind < 0.7:
        rate_hz = np.exp(rng.uniform(np.log(0.5), np.log(14)))
        turns = rate_hz * t + 0.15 * np.cumsum(rng.standard_normal(n)) / np.sqrt(sample_rate)
        place = turns % 1.0
        beat = np.exp(-rng.uniform(1, 12) * place) if rng.random() < 0.5 else 0.5 + 0.5 * np.cos(2 * np.pi * place)
        return np.asarray(1 - depth + depth * beat, np.float32)
    step = max(1, round(sample_rate / np.exp(rng.uniform(np.log(1), np.log(20)))))
    knots = rng.exponential(1, n // step + 2)
    return np.asarray(1 - depth + depth * np.interp(np.arange(n) / step, np.arange(len(knots)), knots), np.float32)


def breaths(rng: np.random.Generator, n: int, sample_rate: int) -> np.ndarray:
    """float32[n]: breaths, sniffs and coughs: bursts of noise with two broad resonances each."""
    from scipy.signal import butter, sosfilt

    line, at = np.zeros(n, np.float32), 0
    while at < n:
        cough = rng.random() < 0.25
        length = round((rng.uniform(0.08, 0.3) if cough else rng.uniform(0.2, 1.0)) * sample_rate)
        t = np.linspace(0, 1, length)
        envelope = np.exp(-6 * t) * np.minimum(1, 40 * t) if cough else np.sin(np.pi * t ** rng.uniform(0.5, 1.5)) ** 2
        noise, burst = rng.standard_normal(length), np.zeros(length)
        for _ in range(2):
            centre = np.exp(rng.uniform(np.log(300), np.log(min(4500, 0.3 * sample_rate))))
            band = butter(
                1, [0.7 * centre, min(1.4 * centre, 0.49 * sample_rate)], "bandpass", fs=sample_rate, output="sos"
            )
            burst += rng.uniform(0.3, 1) * np.asarray(sosfilt(band, noise))
        line[at : at + length] = (envelope * burst)[: n - at]
        at += length + round(rng.uniform(0.1, 2.5) * sample_rate)
    return line


def clicks(rng: np.random.Generator, n: int, sample_rate: int) -> np.ndarray:
    """float32[n]: keys, clicks, knocks: short bursts that die away, a few per second."""
    length = round(np.exp(rng.uniform(np.log(0.002), np.log(0.08))) * sample_rate)
    decay = np.exp(-np.arange(length) / (0.25 * length))
    line = np.zeros(n + length, np.float32)
    for start in rng.integers(0, max(n, 1), size=1 + rng.poisson(rng.uniform(0.5, 8) * n / sample_rate)):
        line[start : start + length] += rng.uniform(0.05, 0.5) * decay * rng.standard_normal(length)
    return line[:n]


__all__ = ["breaths", "clicks", "engine", "equalised", "texture"]
