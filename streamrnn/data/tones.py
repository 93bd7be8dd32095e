"""Sounds that machines make, for training: telephone signals, beeps, sirens, buzzes. None is speech.

All functions return float32[n] at an RMS of about 0.1 where they sound. Frequencies and cadences of telephone signals
are those of ITU-T E.180 supplement 2 (tones of national networks), Q.23 (push-button signals) and E.180 (special
information tone).
"""

from collections.abc import Callable

import numpy as np

Rng = np.random.Generator

DTMF_ROWS_HZ, DTMF_COLUMNS_HZ = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
# (frequencies, seconds on and off, in turn)
RINGBACK = (
    ((440, 480), (2.0, 4.0)),
    ((400, 450), (0.4, 0.2, 0.4, 2.0)),
    ((425,), (1.0, 4.0)),
    ((425,), (1.5, 3.5)),
    ((400, 425), (1.0, 2.0)),
)
BUSY = (
    ((480, 620), (0.5, 0.5)),
    ((480, 620), (0.25, 0.25)),
    ((400,), (0.375, 0.375)),
    ((425,), (0.48, 0.48)),
    ((425,), (0.25, 0.25)),
)
DIAL = (((350, 440), (1e9,)), ((425,), (1e9,)), ((425,), (0.2, 0.3, 0.7, 0.8)), ((350, 450), (1e9,)))
SPECIAL_INFORMATION_HZ = (950, 1400, 1800)


def draw_tones(rng: Rng, n: int, sample_rate: int) -> np.ndarray:
    """float32[n] of one kind of machine sound, drawn uniformly from all those in this module."""
    kind = KINDS[int(rng.integers(len(KINDS)))]
    return kind(rng, n, sample_rate)


def keypad(rng: Rng, n: int, sample_rate: int) -> np.ndarray:
    """Push-button (DTMF) signals: pairs of tones of 50 to 300 ms, as fingers or diallers send them."""
    line, at = np.zeros(n, np.float32), 0
    on_s, off_s = rng.uniform(0.05, 0.3), rng.uniform(0.04, 0.6)
    while at < n:
        length = round(on_s * rng.uniform(0.8, 1.2) * sample_rate)
        pair = rng.choice(DTMF_ROWS_HZ), rng.choice(DTMF_COLUMNS_HZ)
        line[at : at + length] = _chord(pair, length, sample_rate, rng)[: n - at]
        at += length + round(off_s * rng.uniform(0.5, 1.5) * sample_rate)
    return line


def call_progress(rng: Rng, n: int, sample_rate: int) -> np.ndarray:
    """Ringback, busy or dial tone of some country, or of a switchboard that keeps to no recommendation."""
    families = (RINGBACK, BUSY, DIAL)
    number = int(rng.integers(len(families) + 1))
    if number < len(families):
        family = families[number]
        frequencies, cadence = family[int(rng.integers(len(family)))]
    else:
        frequencies = tuple(rng.uniform(300, 700, int(rng.integers(1, 3))))
        cadence = tuple(np.exp(rng.uniform(np.log(0.12), np.log(2.0), 2)))
    return _chord(frequencies, n, sample_rate, rng) * _cadence(cadence, n, sample_rate, rng)


def special_information(rng: Rng, n: int, sample_rate: int) -> np.ndarray:
    """Three rising tones, again and again, as before "the number you have dialled"."""
    length, line, at = round(0.33 * sample_rate), np.zeros(n, np.float32), 0
    while at < n:
        for frequency in SPECIAL_INFORMATION_HZ:
            line[at : at + length] = _chord((frequency,), length, sample_rate, rng)[: max(0, n - at)]
            at += length
        at += round(rng.uniform(0.5, 4) * sample_rate)
    return line


def beeps(rng: Rng, n: int, sample_rate: int) -> np.ndarray:
    """Beeps of any pitch and cadence: answering machines, lifts, ovens, reversing lorries, fax calls."""
    base = np.exp(rng.uniform(np.log(200), np.log(3800)))
    frequencies = base * np.array([1, *rng.uniform(1, 3, int(rng.integers(0, 3)))])
    on_s, off_s = np.exp(rng.uniform(np.log(0.04), np.log(2.0))), np.exp(rng.uniform(np.log(0.05), np.log(4.0)))
    line = _chord(frequencies, n, sample_rate, rng)
    return line * _cadence((on_s, off_s), n, sample_rate, rng)


def siren(rng: Rng, n: int, sample_rate: int) -> np.ndarray:
    """A tone that sweeps, warbles or trills: alarms, sirens, whistles, modems."""
    t = np.arange(n) / sample_rate
    centre, depth = np.exp(rng.uniform(np.log(300), np.log(3000))), rng.uniform(0.02, 0.7)
    speed = np.exp(rng.uniform(np.log(0.2), np.log(20)))
    swing = np.sin(2 * np.pi * speed * t + rng.uniform(0, 2 * np.pi))
    swing = np.sign(swing) if rng.random() < 0.3 else swing
    phase = 2 * np.pi * np.cumsum(centre * 2.0 ** (depth * swing)) / sample_rate
    return _float32(0.14 * _harmonics(phase, centre, sample_rate, rng))


def buzz(rng: Rng, n: int, sample_rate: int) -> np.ndarray:
    """A steady sound rich in harmonics, in the range of voices' pitch: buzzers, motors, mains hum, vuvuzelas."""
    base = np.exp(rng.uniform(np.log(45), np.log(500)))
    drift = 1 + 0.01 * rng.standard_normal() * np.sin(2 * np.pi * rng.uniform(0.1, 6) * np.arange(n) / sample_rate)
    phase = 2 * np.pi * np.cumsum(base * drift) / sample_rate
    harmonics = np.arange(1, max(2, min(40, int(0.45 * sample_rate / base))))
    weights = harmonics ** -rng.uniform(0.3, 2.0) * rng.uniform(0.2, 1, len(harmonics))
    offsets = rng.uniform(0, 2 * np.pi, len(harmonics))
    line = sum(w * np.sin(h * phase + o) for h, w, o in zip(harmonics, weights, offsets, strict=True))
    line = line * (0.1 / max(float(np.std(line)), 1e-6))
    cadence = (1e9,) if rng.random() < 0.5 else (rng.uniform(0.1, 3), rng.uniform(0.1, 4))
    return _float32(line * _cadence(cadence, n, sample_rate, rng))


KINDS: tuple[Callable[[Rng, int, int], np.ndarray], ...] = (
    keypad,
    call_progress,
    call_progress,
    special_information,
    beeps,
    beeps,
    siren,
    buzz,
)


def _harmonics(phase: np.ndarray, base_hz: float, sample_rate: int, rng: Rng) -> np.ndarray:
    line = np.sin(phase)
    for harmonic in range(2, 1 + int(rng.integers(1, 5))):
        if harmonic * base_hz * 1.7 < sample_rate / 2:
            line = line + rng.uniform(0, 0.6) * np.sin(harmonic * phase)
    return line


def _chord(frequencies_hz, n: int, sample_rate: int, rng: Rng) -> np.ndarray:
    t = np.arange(n) / sample_rate
    tones = [np.sin(2 * np.pi * f * t + rng.uniform(0, 2 * np.pi)) for f in frequencies_hz if f < 0.49 * sample_rate]
    return _float32(0.14 * sum(tones, np.zeros(n)) / np.sqrt(max(len(tones), 1)))


def _cadence(cadence_s, n: int, sample_rate: int, rng: Rng) -> np.ndarray:
    """1 while a tone sounds and 0 in its pauses, starting at a random phase, with edges of 3 ms."""
    period = [round(min(s, n / sample_rate + 1) * sample_rate) for s in cadence_s]
    gate = np.concatenate([np.full(length, float(i % 2 == 0)) for i, length in enumerate(period)])
    if len(gate) < 2 * n:
        gate = np.tile(gate, -(-2 * n // len(gate)))
    start = int(rng.integers(len(gate) - n + 1))
    edge = np.ones(round(0.003 * sample_rate))
    return _float32(np.convolve(gate[start : start + n], edge / len(edge), "same"))


def _float32(samples: np.ndarray) -> np.ndarray:
    return np.asarray(samples, np.float32)


__all__ = ["beeps", "buzz", "call_progress", "draw_tones", "keypad", "siren", "special_information"]
