"""Speech in noise, composed on the fly, with its clean speech."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from streamrnn.audio import mixing
from streamrnn.data.augment import coloured
from streamrnn.data.clips import pick, pick_by_shares, pick_speed
from streamrnn.data.mixtures import recorded_background

EARLY_MS = 50.0
CLICK_MS = 4.0
LOUDEST = 0.99


class Voice(NamedTuple):
    """A clean recording of speech, int16[n], and its name."""

    samples: np.ndarray
    name: str


class Noisy(NamedTuple):
    """Speech in noise, float32[n] in [-1, 1]; its speech alone; the speech-to-noise ratio.

    The description is the kind of noise; names are those of the recordings of speech.
    """

    samples: np.ndarray
    clean: np.ndarray
    snr_db: float
    description: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class NoisySettings:
    """Settings of noisy speech. Shares are probabilities; values are drawn uniformly from ranges."""

    snr_db: tuple[float, float] = (0.0, 15.0)
    """SNR: level of the speech, including pauses, relative to the noise or music."""
    level_db: tuple[float, float] = (-35.0, -20.0)
    """RMS of the whole, relative to full scale."""
    speed: tuple[float, float] = (1.0, 1.0)
    """Speed factor of utterances and of recorded noises and music; pitch changes with it."""
    speed_share: float = 1.0
    """Share of them whose speed changes."""
    music_share: float = 0.25
    """Share of mixes with music instead of noise."""
    babble_share: float = 0.0
    """Share of mixes with babble, several voices at once, instead of noise."""
    synthetic_share: float = 0.0
    """Share of mixes with coloured noise instead of recorded noise."""
    second_noise_share: float = 0.0
    """Share of mixes with a second noise on top of the first."""
    click_share: float = 0.0
    """Share of mixes with clicks, like those of keys, on top of the noise."""
    colour_share: float = 0.0
    """Share of speech, and independently of noise, through a random gentle filter, as of another microphone."""
    room_share: float = 0.0
    """Share of mixes with reverberant speech. The clean target keeps the room's reflections of the first 50 ms."""
    telephone_share: float = 0.0
    """Share of mixes limited to a telephone-like band."""


@dataclass(frozen=True)
class NoisySpeech:
    """Draws speech in noise from recordings, all at one sample rate.

    Attributes:
        speech: pools of clean recordings, each with the share of utterances drawn from it.
        noise, music: recordings of them, int16[n] each.
        rooms: impulse responses, int16[n] each; may be empty.
        sample_rate: of all of them.
        settings: of the mixes.
    """

    speech: Sequence[tuple[float, Sequence[Voice]]]
    noise: Sequence[np.ndarray]
    music: Sequence[np.ndarray]
    rooms: Sequence[np.ndarray]
    sample_rate: int
    settings: NoisySettings = field(default_factory=NoisySettings)

    def draw(self, rng: np.random.Generator, duration_s: float) -> Noisy:
        """Draws a recording of that length; the same generator state gives the same one."""
        s, n = self.settings, round(duration_s * self.sample_rate)
        talk, names = self._talk(rng, n)
        heard, clean = self._in_room(rng, self._coloured(rng, talk))
        kind, background = self._background(rng, n)
        snr_db = rng.uniform(*s.snr_db)
        noise = mixing.mix_at_snr(heard, self._coloured(rng, background), snr_db) - heard
        heard, clean = self._on_the_line(rng, heard + noise, clean)
        gain = _gain_to(heard, rng.uniform(*s.level_db))
        return Noisy(heard * gain, clean * gain, snr_db, kind, names)

    def _talk(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, tuple[str, ...]]:
        """Consecutive utterances, the first one cut at its start, and the names of the audible ones."""
        line, names, position = np.zeros(n, np.float32), (), -round(rng.uniform(0, 3) * self.sample_rate)
        while position < n:
            spoken, name = self._utterance(rng)
            # If the first utterance would be over, it begins here, so that no recording starts empty.
            position = 0 if position + len(spoken) <= 0 else position
            skipped = max(0, -position)
            here = spoken[skipped : n - position]
            names += (name,) if len(here) else ()
            line[position + skipped : position + skipped + len(here)] = here
            position += len(spoken) + round(rng.exponential(0.3) * self.sample_rate)
        return line, names

    def _utterance(self, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        shares, pools = zip(*self.speech, strict=True)
        voice = pick(rng, pick_by_shares(rng, pools, shares))
        speed = pick_speed(rng, self.settings.speed, self.settings.speed_share)
        spoken = mixing.change_speed(_as_float(voice.samples), speed)
        return spoken * _gain_to(spoken, -26 + rng.normal(0, 2)), voice.name

    def _in_room(self, rng: np.random.Generator, speech: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The speech in the mix, and the clean speech to keep."""
        if rng.random() >= self.settings.room_share or not self.rooms:
            return speech, speech
        response = _as_float(pick(rng, self.rooms))
        direct = int(np.argmax(np.abs(response)))
        response = response[direct:] / max(float(np.sqrt(np.sum(response[direct:] ** 2))), 1e-5)
        early = response[: round(EARLY_MS / 1000 * self.sample_rate)]
        return _through(speech, response), _through(speech, early)

    def _background(self, rng: np.random.Generator, n: int) -> tuple[str, np.ndarray]:
        s = self.settings
        if rng.random() < s.music_share:
            return "music", self._recorded(rng, self.music, n)
        kind, noise = self._noise(rng, n)
        if rng.random() < s.second_noise_share:
            noise = noise + mixing.gain(self._recorded(rng, self.noise, n), rng.uniform(-12, 0))
        if rng.random() < s.click_share:
            noise = noise + self._clicks(rng, n)
        return kind, noise

    def _noise(self, rng: np.random.Generator, n: int) -> tuple[str, np.ndarray]:
        s = self.settings
        draw = rng.random()
        if draw < s.babble_share:
            return "babble", self._babble(rng, n)
        if draw < s.babble_share + s.synthetic_share:
            return "synthetic noise", mixing.gain(mixing.coloured_noise(n, rng.uniform(-0.5, 2), rng), -6)
        return "noise", self._recorded(rng, self.noise, n)

    def _recorded(self, rng: np.random.Generator, pool: Sequence[np.ndarray], n: int) -> np.ndarray:
        s = self.settings
        sound = recorded_background(rng, _as_float(pick(rng, pool)), n, s.speed, s.speed_share)
        return sound * _gain_to(sound, -26)

    def _babble(self, rng: np.random.Generator, n: int) -> np.ndarray:
        voices = np.sum([self._talk(rng, n)[0] for _ in range(int(rng.integers(4, 9)))], axis=0)
        return np.asarray(voices * _gain_to(voices, -26), np.float32)

    def _clicks(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Short decaying bursts, a few per second."""
        length = round(rng.uniform(0.5, 2) * CLICK_MS / 1000 * self.sample_rate)
        decay = np.exp(-np.arange(length) / (0.25 * length))
        line = np.zeros(n + length, np.float32)
        for start in rng.integers(0, n, size=rng.poisson(4 * n / self.sample_rate)):
            line[start : start + length] += rng.uniform(0.05, 0.5) * decay * rng.standard_normal(length)
        return line[:n]

    def _coloured(self, rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
        return coloured(rng, sound) if rng.random() < self.settings.colour_share else sound

    def _on_the_line(
        self, rng: np.random.Generator, heard: np.ndarray, clean: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        if rng.random() >= self.settings.telephone_share:
            return heard, clean
        band = rng.uniform(20, 350), rng.uniform(3000, 4000), self.sample_rate
        return mixing.band_limit(heard, *band), mixing.band_limit(clean, *band)


def _gain_to(sound: np.ndarray, level_db: float) -> np.float32:
    """The gain to that RMS, or as close to it as full scale allows."""
    rms = float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) if len(sound) else 0.0
    loudest = LOUDEST / max(float(np.abs(sound).max(initial=0)), 1e-9)
    return np.float32(min(10 ** (level_db / 20) / max(rms, 1e-5), loudest))


def _through(sound: np.ndarray, response: np.ndarray) -> np.ndarray:
    from scipy.signal import oaconvolve

    return np.asarray(oaconvolve(sound, response)[: len(sound)], np.float32)


def _as_float(samples: np.ndarray) -> np.ndarray:
    return samples.astype(np.float32) / 32768


__all__ = ["Noisy", "NoisySettings", "NoisySpeech", "Voice"]
