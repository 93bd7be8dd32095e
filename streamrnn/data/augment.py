"""Random augmentation of clips: speed, rooms, position, noise, narrow bands and level; of words: tempo and colour."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Literal

import numpy as np

from streamrnn.audio import AudioError, as_samples, mixing
from streamrnn.data.clips import pick

Background = Literal["noise", "music", "babble"]

ROOM_S, ROOM_FADE_S = 0.3, 0.1
LEVEL_FRAME_S = 0.02
ACTIVE_RANGE_DB = 30.0
# Pieces of 40 ms hold two periods of any voice, and a search over 16 ms finds the matching phase of each period.
TEMPO_PIECE_S, TEMPO_SEARCH_S = 0.04, 0.016
TEMPO_SEARCH_STEP = 4


@dataclass(frozen=True)
class AugmentSettings:
    """Settings of augmentation. Shares are probabilities; values are drawn uniformly from ranges.

    Raises:
        ValueError: a share is not in [0, 1], noise, music and babble together are above 1, a range is not (lowest,
            highest), a speed is not positive, shift_ms is negative, or babble has no voices.
    """

    speed: tuple[float, float] = (0.9, 1.1)
    """Speed factor; pitch changes with it."""
    room_share: float = 0.3
    """Share of clips with room reverberation."""
    shift_ms: float = 100.0
    """Maximum shift of a clip from the middle of its slot, either way; parts outside the slot are cut."""
    noise_share: float = 0.6
    """Share of clips over noise."""
    music_share: float = 0.1
    """Share of clips over music."""
    babble_share: float = 0.1
    """Share of clips over babble, several voices at once."""
    babble_voices: tuple[int, int] = (3, 6)
    """Number of babble voices."""
    snr_db: tuple[float, float] = (0.0, 25.0)
    """SNR: level of the clip's active parts relative to the noise, music or babble."""
    band_limit_share: float = 0.1
    """Share of clips limited to a telephone-like band."""
    gain_db: tuple[float, float] = (-12.0, 6.0)
    """Gain of the whole."""

    def __post_init__(self):
        shares = {f.name: getattr(self, f.name) for f in fields(self) if f.name.endswith("_share")}
        for name, share in shares.items():
            _require(0 <= share <= 1, name, share, "a probability from 0 to 1")
        together = self.noise_share + self.music_share + self.babble_share
        _require(together <= 1 + 1e-9, "noise_share + music_share + babble_share", together, "at most 1")
        for name in ("speed", "babble_voices", "snr_db", "gain_db"):
            low, high = getattr(self, name)
            _require(low <= high, name, (low, high), "a range (lowest, highest)")
        _require(self.speed[0] > 0, "speed", self.speed, "positive")
        _require(self.babble_voices[0] >= 1, "babble_voices", self.babble_voices, "at least one voice")
        _require(self.shift_ms >= 0, "shift_ms", self.shift_ms, "0 or above")


def _require(holds: bool, name: str, value: object, needed: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value}; it must be {needed}.")


@dataclass(frozen=True)
class Augment:
    """Augments clips at random: speed, room, position, background, band and level, in this order.

    Takes about a millisecond per second of 16 kHz audio, fast enough to augment during training.

    Attributes:
        noise, music, voices: recordings as int16[n] or float32[n] in [-1, 1], of any length.
        rooms: impulse responses, int16[n] or float32[n]. 0.3 s from the direct sound on are used.
        sample_rate: of all of them and of the clips, in Hz.
        settings: of the augmentation.

    Without noise recordings, noise is generated, between white and brown. Without music, voices or rooms, their share
    of the clips stays unchanged.

    Raises:
        AudioError: an impulse response is empty or silent; raised when it is drawn.
    """

    noise: Sequence[np.ndarray]
    music: Sequence[np.ndarray]
    rooms: Sequence[np.ndarray]
    voices: Sequence[np.ndarray]
    sample_rate: int
    settings: AugmentSettings = field(default_factory=AugmentSettings)

    def __call__(self, rng: np.random.Generator, samples: np.ndarray, length_samples: int | None = None) -> np.ndarray:
        """A clip, int16[n] or float32[n] in [-1, 1], as float32[length_samples] in [-1, 1].

        The same generator state gives the same result. A silent clip becomes background alone, at its recorded level.

        Args:
            length_samples: length of the result. The clip is placed in its middle, shifted, and cut if it is too long.
                Default: the clip's length after its change of speed, without a shift.
        """
        s = self.settings
        clip = as_samples(samples)
        if (speed := rng.uniform(*s.speed)) != 1:
            clip = mixing.change_speed(clip, speed)
        if rng.random() < s.room_share and self.rooms:
            clip = mixing.reverberate(clip, self._room(rng))
        if length_samples is not None:
            clip = _place(clip, length_samples, round(rng.uniform(-1, 1) * s.shift_ms / 1000 * self.sample_rate))
        clip = self._over_background(rng, clip)
        if rng.random() < s.band_limit_share:
            clip = mixing.band_limit(clip, rng.uniform(20, 350), rng.uniform(3000, 4000), self.sample_rate)
        return mixing.clip_protect(mixing.gain(clip, rng.uniform(*s.gain_db)))

    def _room(self, rng: np.random.Generator) -> np.ndarray:
        response = as_samples(pick(rng, self.rooms))
        return _shortened(response, round(ROOM_S * self.sample_rate), round(ROOM_FADE_S * self.sample_rate))

    def _over_background(self, rng: np.random.Generator, clip: np.ndarray) -> np.ndarray:
        background = self._background(rng, len(clip)) if len(clip) else None
        if background is None:
            return clip
        return mixing.mix_at_snr(clip, background, rng.uniform(*self.settings.snr_db), _active(clip, self.sample_rate))

    def _background(self, rng: np.random.Generator, n: int) -> np.ndarray | None:
        s, drawn = self.settings, rng.random()
        if drawn < s.noise_share:
            if self.noise:
                return _recorded(rng, self.noise, n)
            return mixing.coloured_noise(n, rng.uniform(0, 2), rng)
        if drawn < s.noise_share + s.music_share:
            return _recorded(rng, self.music, n) if self.music else None
        if drawn < s.noise_share + s.music_share + s.babble_share:
            return self._babble(rng, n) if self.voices else None
        return None

    def _babble(self, rng: np.random.Generator, n: int) -> np.ndarray:
        low, high = self.settings.babble_voices
        voices = [_recorded(rng, self.voices, n) for _ in range(rng.integers(low, high + 1))]
        # Equally loud; otherwise the voice with the nearest microphone would dominate.
        return np.sum([voice / max(float(np.std(voice)), 1e-4) for voice in voices], axis=0) * np.float32(0.02)


def change_tempo(samples: np.ndarray, factor: float, sample_rate: int) -> np.ndarray:
    """samples[n] spoken `factor` times as fast -> float32[round(n / factor)], at the same pitch.

    Half-overlapping pieces of 40 ms are moved closer together or farther apart. Each is taken from the place, up to
    8 ms from its own, where it continues the previous one best. Together with `change_speed` this changes pitch and
    formants without the tempo.

    Raises:
        AudioError: factor is not positive.

    Source: Verhelst and Roelands, An overlap-add technique based on waveform similarity (WSOLA), ICASSP 1993.
    """
    if not 0 < factor < np.inf:
        raise AudioError(f"tempo factor is {factor}; it must be positive, such as 0.8 or 1.25.")
    half, reach = (round(s * sample_rate / 2) for s in (TEMPO_PIECE_S, TEMPO_SEARCH_S))
    length = round(len(samples) / factor)
    # Padded, so that every searched piece is within the array.
    padded = np.pad(as_samples(samples), (reach, 3 * half + 2 * reach + TEMPO_SEARCH_STEP))
    window = np.hanning(2 * half + 1)[:-1].astype(np.float32)
    out = np.zeros(length + 3 * half, np.float32)
    out[:half] = padded[reach : reach + half] * window[half:]
    at = reach
    for start in range(0, length, half):
        wanted = reach + min(round(start * factor), len(samples))
        at = wanted + _likest(padded[at : at + half], padded[wanted - reach : wanted + reach + half]) - reach
        out[start : start + 2 * half] += padded[at : at + 2 * half] * window
        at += half
    return out[:length]


def coloured(rng: np.random.Generator, samples: np.ndarray) -> np.ndarray:
    """samples[n] through a random filter of second order, like another microphone -> float32[n].

    Source: Valin, A hybrid DSP/deep learning approach to real-time full-band speech enhancement, MMSP 2018.
    """
    from scipy.signal import lfilter

    zeros, poles = rng.uniform(-0.375, 0.375, (2, 2))
    return np.asarray(lfilter([1, *zeros], [1, *poles], as_samples(samples)), np.float32)


def _likest(piece: np.ndarray, among: np.ndarray) -> int:
    """The place in float32[m] where float32[n] fits best, to within a few samples."""
    step = TEMPO_SEARCH_STEP
    return step * int(np.argmax(np.correlate(among[::step], piece[::step], "valid")))


def _place(samples: np.ndarray, length_samples: int, shift_samples: int) -> np.ndarray:
    """samples[n] in the middle of silence, delayed by `shift_samples`, cut at the borders; float32[length]."""
    start = (length_samples - len(samples)) // 2 + shift_samples
    placed = np.zeros(length_samples, np.float32)
    kept = samples[max(0, -start) : max(0, length_samples - start)]
    first = max(0, start)
    placed[first : first + len(kept)] = kept
    return placed


def _active(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """bool[n]: the parts of float32[n] within 30 dB of its loudest 20 ms, like speech without its pauses."""
    frame = round(LEVEL_FRAME_S * sample_rate)
    whole = np.pad(samples, (0, -len(samples) % frame)).reshape(-1, frame)
    power = np.einsum("tn,tn->t", whole, whole)
    loud = power >= power.max(initial=0) * 10 ** (-ACTIVE_RANGE_DB / 10)
    return np.repeat(loud, frame)[: len(samples)]


def _shortened(response: np.ndarray, length_samples: int, fade_samples: int) -> np.ndarray:
    """An impulse response up to `length_samples` after its direct sound, faded out, since a cut tail would click."""
    end = int(np.argmax(np.abs(response))) + length_samples if len(response) else 0
    if len(response) <= end:
        return response
    kept = response[:end].copy()
    kept[-fade_samples:] *= np.linspace(1, 0, fade_samples, dtype=np.float32)
    return kept


def _recorded(rng: np.random.Generator, pool: Sequence[np.ndarray], n: int) -> np.ndarray:
    recording = pick(rng, pool)
    # Cut first: noise may be minutes long.
    return mixing.fit_length(recording, n, rng) * np.float32(1 / 32768 if recording.dtype == np.int16 else 1)


__all__ = ["Augment", "AugmentSettings", "change_tempo", "coloured"]
