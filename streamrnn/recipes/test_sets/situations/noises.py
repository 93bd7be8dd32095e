"""Sounds made by computation: quiet rooms, comfort noise, breaths, coughs, keys and clicks.

All are float32[n] at an RMS of 0.1 of what sounds, or as said; randomness comes from the generator that is passed.
"""

import numpy as np

from streamrnn.audio import mixing

RMS = 0.1


def quiet_room(n: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """What a microphone hears where nothing happens -> float32[n]: coloured noise, mostly with the hum of mains."""
    noise = mixing.coloured_noise(n, rng.uniform(0.5, 1.6), rng)
    if rng.random() < 0.6:
        mains_hz, time_s = float(rng.choice([50, 60])), np.arange(n) / sample_rate
        hum = np.sum(
            [np.sin(2 * np.pi * mains_hz * k * time_s + rng.uniform(0, 6.28)) / k**1.5 for k in range(1, 8)], 0
        )
        noise = noise + at_level(hum, -20 - rng.uniform(3, 15))
    return at_level(noise, -20)


def comfort_noise(n: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """What a receiver plays while nothing is sent -> float32[n]: noise whose spectrum changes every 0.4 s or so."""
    length = round(0.4 * sample_rate)
    parts = [_through(rng.standard_normal(length), _gentle(rng, sample_rate)) for _ in range(n // length + 1)]
    return at_level(np.concatenate(parts)[:n], -20)


def breath(sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """One breath, in or out -> float32[n], 0.3 to 1.3 s: noise through the mouth, or the nose, rising and falling."""
    n = round(rng.uniform(0.3, 1.3) * sample_rate)
    centres_hz = rng.uniform((400, 1200, 2400), (900, 2200, 5000))
    noise = np.sum([_resonance(rng.standard_normal(n), hz, rng.uniform(200, 700), sample_rate) for hz in centres_hz], 0)
    rise = rng.uniform(0.3, 0.8)
    envelope = np.interp(np.linspace(0, 1, n), [0, rise, 1], [0, 1, 0]) ** rng.uniform(1, 2)
    return at_level(noise * envelope, -20)


def cough(sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """One cough -> float32[n], 0.25 to 0.6 s: a burst, a hoarse middle and, in half of them, a voiced end.

    Source of the three phases: Korpas, Sadlonova and Vrabec, "Analysis of the cough sound", 1996.
    """
    n = round(rng.uniform(0.25, 0.6) * sample_rate)
    time_s = np.arange(n) / sample_rate
    burst = rng.standard_normal(n) * np.exp(-time_s / rng.uniform(0.02, 0.05))
    middle = rng.standard_normal(n) * np.exp(-time_s / rng.uniform(0.08, 0.15)) * 0.4
    centres_hz = rng.uniform((300, 900, 2000), (700, 1800, 4000))
    sound = np.sum([_resonance(burst + middle, hz, 300, sample_rate) for hz in centres_hz], 0)
    if rng.random() < 0.5:
        pitch_hz = rng.uniform(120, 350) * (1 - 0.4 * time_s / time_s[-1])
        pulses = np.diff(np.floor(np.cumsum(pitch_hz) / sample_rate), prepend=0)
        late = np.interp(time_s / time_s[-1], [0, 0.5, 0.75, 1], [0, 0, 1, 0])
        sound = sound + 4 * late * _resonance(
            pulses * rng.uniform(0.5, 1.5, n), rng.uniform(400, 900), 200, sample_rate
        )
    return at_level(sound, -20)


def keystroke(sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """One key of a keyboard -> float32[n], 0.2 s: pressed down and, 60 to 130 ms later, let go."""
    n, sound = round(0.2 * sample_rate), np.zeros(round(0.2 * sample_rate))
    body_hz = rng.uniform(1200, 4500)
    for start_s, strength in ((0.0, 1.0), (rng.uniform(0.06, 0.13), rng.uniform(0.2, 0.7))):
        start = round(start_s * sample_rate)
        time_s = np.arange(n - start) / sample_rate
        knock = rng.standard_normal(n - start) * np.exp(-time_s / rng.uniform(0.001, 0.004))
        sound[start:] += strength * (knock + _resonance(knock, body_hz, 250, sample_rate))
    return at_level(sound, -20)


def click(sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """One click of a switch, a mouse or a bad contact -> float32[n], 2 to 20 ms."""
    n = round(rng.uniform(0.002, 0.02) * sample_rate)
    return at_level(rng.standard_normal(n) * np.exp(-np.arange(n) / (rng.uniform(0.1, 0.4) * n)), -20)


def at_level(sound: np.ndarray, level_db: float) -> np.ndarray:
    """The sound as float32[n] at that RMS relative to full scale; what is silent stays so."""
    rms = float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) if len(sound) else 0.0
    return np.asarray(sound * (10 ** (level_db / 20) / max(rms, 1e-9)), np.float32)


def _gentle(rng: np.random.Generator, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """A filter of one pole and one zero: (b, a)."""
    return np.array([1.0, rng.uniform(-0.6, 0.6)]), np.array([1.0, -rng.uniform(0.2, 0.9)])


def _through(sound: np.ndarray, filtered_by: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    from scipy.signal import lfilter

    return np.asarray(lfilter(*filtered_by, sound))


def _resonance(sound: np.ndarray, centre_hz: float, width_hz: float, sample_rate: int) -> np.ndarray:
    """The sound through two poles, at unit gain in their middle or nearly so."""
    radius = np.exp(-np.pi * width_hz / sample_rate)
    angle = 2 * np.pi * min(centre_hz, 0.45 * sample_rate) / sample_rate
    gain = (1 - radius) * abs(1 - radius * np.exp(-2j * angle))
    return _through(sound, (np.array([gain]), np.array([1.0, -2 * radius * np.cos(angle), radius**2])))


__all__ = ["at_level", "breath", "click", "comfort_noise", "cough", "keystroke", "quiet_room"]
