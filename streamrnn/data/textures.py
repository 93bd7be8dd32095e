"""Noises that no recording holds: textures with a rhythm and a colour of their own, engines that rev. For training.

Recorded noises are few, and a network learns them by heart. These are drawn anew each time. All functions return
float32[n].
"""

import numpy as np

from streamrnn.audio import mixing

Rng = np.random.Generator


def equalised(rng: Rng, samples: np.ndarray, sample_rate: int, range_db: float = 18.0) -> np.ndarray:
    """samples[n] through a random smooth equaliser -> float32[n]: up to seven bumps and dips of up to `range_db`."""
    n = len(samples)
    if n < 2:
        return np.array(samples, np.float32)
    octaves = np.log2(np.maximum(np.fft.rfftfreq(n, 1 / sample_rate), 20.0))
    curve_db = np.zeros(len(octaves))
    for _ in range(int(rng.integers(1, 8))):
        centre, width = rng.uniform(np.log2(60), np.log2(sample_rate / 2)), rng.uniform(0.15, 1.5)
        curve_db += rng.uniform(-range_db, range_db) * np.exp(-0.5 * ((octaves - centre) / width) ** 2)
    shaped = np.fft.irfft(np.fft.rfft(samples) * 10 ** (curve_db / 20), n)
    return np.asarray(shaped, np.float32)


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
    """How loud a texture is over time: steady, beating at 0.5 to 14 Hz as syllables do, or wandering."""
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


__all__ = ["engine", "equalised", "texture"]
