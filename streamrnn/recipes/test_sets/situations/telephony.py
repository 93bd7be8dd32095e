"""The tones of telephones: dialling, ringing, busy lines, errors, answering machines and faxes.

Sources: ITU-T E.180 supplement 2 (national tones), Q.23 (DTMF), E.180 (special information), T.30 (fax), V.8 (ANSam).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

RAMP_S = 0.004
DTMF_ROWS_HZ = (697, 770, 852, 941)
DTMF_COLUMNS_HZ = (1209, 1336, 1477, 1633)
V21_HZ = (1650, 1850)
V21_BIT_S = 1 / 300
ANSAM_REVERSAL_S = 0.45


@dataclass(frozen=True)
class Tone:
    """A national tone: what sounds at once, and for how long it sounds and pauses in turn.

    Attributes:
        name: what it says, and where.
        steps: (frequencies in Hz, seconds); no frequency is a pause. The steps repeat for ever.
        beat_hz: modulates the whole from 0 to full strength; 0: not at all.
    """

    name: str
    steps: tuple[tuple[tuple[float, ...], float], ...]
    beat_hz: float = 0.0


def _cadence(name: str, frequencies_hz: tuple[float, ...], *seconds: float, beat_hz: float = 0.0) -> Tone:
    """One chord that sounds and pauses for these seconds in turn."""
    steps = tuple((frequencies_hz if number % 2 == 0 else (), duration) for number, duration in enumerate(seconds))
    return Tone(name, steps, beat_hz)


def _information(name: str, first_hz: float, second_hz: float, third_hz: float, *seconds: float) -> Tone:
    chords = ((first_hz,), (second_hz,), (third_hz,), ())
    return Tone(name, tuple(zip(chords, (*seconds, 1.0), strict=True)))


TONES = (
    _cadence("dial tone, US", (350, 440), 60),
    _cadence("ringback, US", (440, 480), 2, 4),
    _cadence("busy, US", (480, 620), 0.5, 0.5),
    _cadence("congestion, US", (480, 620), 0.25, 0.25),
    _cadence("call waiting, US", (440,), 0.3, 9.7),
    _cadence("receiver off hook, US", (1400, 2060, 2450, 2600), 0.1, 0.1),
    _cadence("ringback, UK", (400, 450), 0.4, 0.2, 0.4, 2),
    _cadence("busy, UK", (400,), 0.375, 0.375),
    _cadence("congestion, UK", (400,), 0.4, 0.35, 0.225, 0.525),
    _cadence("dial tone, Germany", (425,), 60),
    _cadence("ringback, Germany", (425,), 1, 4),
    _cadence("busy, Germany", (425,), 0.48, 0.48),
    _cadence("congestion, Germany", (425,), 0.24, 0.24),
    _cadence("dial tone, France", (440,), 60),
    _cadence("ringback, France", (440,), 1.5, 3.5),
    _cadence("busy, France", (440,), 0.5, 0.5),
    _cadence("dial tone, Italy", (425,), 0.2, 0.2, 0.6, 1),
    _cadence("busy, China", (450,), 0.35, 0.35),
    _cadence("dial tone, Japan", (400,), 60),
    _cadence("ringback, Japan", (400,), 1, 2, beat_hz=16),
    _cadence("ringback, Australia", (400,), 0.4, 0.2, 0.4, 2, beat_hz=17),
    _cadence("ringback, India", (400,), 0.4, 0.2, 0.4, 2, beat_hz=25),
    _information("special information, international", 950, 1400, 1800, 0.33, 0.33, 0.33),
    _information("special information, US, intercept", 913.8, 1370.6, 1776.7, 0.274, 0.274, 0.38),
    _information("special information, US, no circuit", 985.2, 1428.5, 1776.7, 0.38, 0.38, 0.38),
    _cadence("answering machine, 1 kHz", (1000,), 0.5, 7.5),
    _cadence("answering machine, 440 Hz", (440,), 1, 7),
    _cadence("answering machine, 1.4 kHz", (1400,), 0.2, 5.8),
    _cadence("recording warning, 1.4 kHz", (1400,), 0.5, 14.5),
    _cadence("fax calling", (1100,), 0.5, 3),
)


def national_tone(tone: Tone, n: int, sample_rate: int) -> np.ndarray:
    """A tone from the beginning of its cadence on -> float64[n], each frequency of amplitude 1 over their number."""
    time_s, sound, position = np.arange(n) / sample_rate, np.zeros(n), 0
    step = 0
    while position < n:
        frequencies_hz, duration_s = tone.steps[step % len(tone.steps)]
        end = min(position + round(duration_s * sample_rate), n)
        sound[position:end] = _chord(frequencies_hz, time_s[position:end])
        _ramp(sound[position:end], sample_rate)
        position, step = end, step + 1
    return sound if not tone.beat_hz else sound * (0.5 - 0.5 * np.cos(2 * np.pi * tone.beat_hz * time_s))


def dtmf(n: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Keys pressed at random -> float64[n]: 50 to 250 ms each, 45 to 250 ms apart, numbers 1 to 3 s apart."""
    sound, position, keys = np.zeros(n), 0, int(rng.integers(3, 12))
    while position < n:
        end = min(position + round(rng.uniform(0.05, 0.25) * sample_rate), n)
        pair = float(rng.choice(DTMF_ROWS_HZ)), float(rng.choice(DTMF_COLUMNS_HZ))
        sound[position:end] = _chord(pair, np.arange(end - position) / sample_rate)
        _ramp(sound[position:end], sample_rate)
        keys -= 1
        position = end + round((rng.uniform(0.045, 0.25) if keys else rng.uniform(1, 3)) * sample_rate)
        keys = keys or int(rng.integers(3, 12))
    return sound


def fax_answer(n: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """A fax machine that answers -> float64[n]: 3.3 s of 2100 Hz, phases turned, with a 15 Hz beat; then V.21 data."""
    time_s = np.arange(n) / sample_rate
    turned = 1 - 2 * (np.floor(time_s / ANSAM_REVERSAL_S) % 2)
    answer = turned * np.sin(2 * np.pi * 2100 * time_s) * (1 + 0.2 * np.sin(2 * np.pi * 15 * time_s)) / 1.2
    bits = rng.integers(0, 2, int(n / sample_rate / V21_BIT_S) + 1)
    frequency_hz = np.take(V21_HZ, bits[np.floor(time_s / V21_BIT_S).astype(int)])
    data = np.sin(2 * np.pi * np.cumsum(frequency_hz) / sample_rate)
    return np.select([time_s < 3.3, time_s < 3.4, (time_s - 3.4) % 4 < 2.2], [answer, 0 * data, data], 0 * data)


def telephone_sounds() -> list[tuple[str, Callable[[int, int, np.random.Generator], np.ndarray]]]:
    """(name, (n, sample_rate, rng) -> float64[n]) of all that a line may say, the tones of TONES and keys and faxes."""
    made: list[tuple[str, Callable[[int, int, np.random.Generator], np.ndarray]]] = [
        (tone.name, lambda n, sample_rate, _, tone=tone: national_tone(tone, n, sample_rate)) for tone in TONES
    ]
    # Keys are pressed in every call: they come as often as the tones of a country.
    return [*made, *[("keys", dtmf)] * 5, ("fax answering", fax_answer)]


def _chord(frequencies_hz: Sequence[float], time_s: np.ndarray) -> np.ndarray:
    if not frequencies_hz:
        return np.zeros(len(time_s))
    return np.sum([np.sin(2 * np.pi * hz * time_s) for hz in frequencies_hz], axis=0) / len(frequencies_hz)


def _ramp(sound: np.ndarray, sample_rate: int) -> None:
    """Fades the ends in place, as lines do."""
    length = min(round(RAMP_S * sample_rate), len(sound) // 2)
    if length:
        rising = np.linspace(0, 1, length, endpoint=False)
        sound[:length] *= rising
        sound[-length:] *= rising[::-1]


__all__ = ["TONES", "Tone", "dtmf", "fax_answer", "national_tone", "telephone_sounds"]
