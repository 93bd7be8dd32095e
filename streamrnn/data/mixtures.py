"""Everyday scenes, composed on the fly: talk with pauses, in rooms, over noise or music."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from streamrnn.audio import mixing
from streamrnn.data.clips import pick, pick_by_shares, pick_speed

Span = tuple[int, int]


@dataclass(frozen=True)
class Utterance:
    """A clean recording, int16[n], its segments of speech (start, end) in samples, and its name."""

    samples: np.ndarray
    segments: tuple[Span, ...]
    name: str = ""


@dataclass(frozen=True)
class SceneSettings:
    """Settings of scenes. Shares are probabilities; values are drawn uniformly from ranges."""

    snr_db: tuple[float, float] = (-5.0, 20.0)
    """SNR: level of the speech, without pauses, relative to the noise or music."""
    music_share: float = 0.25
    """Share of scenes with music instead of noise."""
    room_share: float = 0.5
    """Share of scenes with reverberant speech."""
    silent_share: float = 0.1
    """Share of scenes without speech."""
    long_pause_share: float = 0.2
    """Share of pauses of 2 to 8 s; the others are exponential, 0.8 s on average."""
    level_db: tuple[float, float] = (-45.0, -15.0)
    """RMS of the whole scene, relative to full scale."""
    speed: tuple[float, float] = (1.0, 1.0)
    """Speed factor of utterances and of recorded noises and music; pitch changes with it."""
    speed_share: float = 1.0
    """Share of them whose speed changes."""
    second_noise_share: float = 0.0
    """Share of scenes with a second noise on top of the first."""
    synthetic_noise_share: float = 0.0
    """Share of coloured noise instead of recorded noise."""
    telephone_share: float = 0.0
    """Share of scenes limited to a telephone-like band."""


@dataclass(frozen=True)
class Scene:
    """A composed recording, float32[n] in [-1, 1], its speech (start, end) in samples, and its parts.

    Attributes:
        snr_db: as drawn; meaningless without speech.
        description: the background ("noise" or "music"), with " in a room" if there is speech in one.
        names: of the utterances.
    """

    samples: np.ndarray
    segments: tuple[Span, ...]
    snr_db: float
    description: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scenes:
    """Draws scenes from pools of recordings, all at one sample rate.

    Attributes:
        speech: pools of utterances, each with the share of utterances drawn from it.
        noise, music: recordings, int16[n].
        rooms: impulse responses, float32[n].
        sample_rate: of all of them.
        settings: of the scenes.
    """

    speech: Sequence[tuple[float, Sequence[Utterance]]]
    noise: Sequence[np.ndarray]
    music: Sequence[np.ndarray]
    rooms: Sequence[np.ndarray]
    sample_rate: int
    settings: SceneSettings = field(default_factory=SceneSettings)

    def draw(self, rng: np.random.Generator, duration_s: float) -> Scene:
        """One scene; the same generator state gives the same scene."""
        s, n = self.settings, round(duration_s * self.sample_rate)
        silent = rng.random() < s.silent_share
        speech, segments, names = (np.zeros(n, np.float32), (), ()) if silent else self._talk(rng, n)
        if in_room := bool(rng.random() < s.room_share and self.rooms):
            speech = mixing.reverberate(speech, pick(rng, self.rooms))
        kind, background = self._background(rng, n)
        snr_db = rng.uniform(*s.snr_db)
        mixed = background if silent else mixing.mix_at_snr(speech, background, snr_db, _mask(segments, n))
        mixed = self._colour(rng, _at_level(mixed, rng.uniform(*s.level_db)))
        where = " in a room" if in_room and segments else ""
        return Scene(mixing.clip_protect(mixed), segments, snr_db, f"{kind}{where}", names)

    def _talk(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, tuple[Span, ...], tuple[str, ...]]:
        line, segments, names = np.zeros(n, np.float32), [], []
        position = round(rng.uniform(0, 2) * self.sample_rate)
        while position < n:
            samples, spoken, name = self._utterance(rng)
            names.append(name)
            samples = samples[: n - position]
            line[position : position + len(samples)] = samples
            segments += [(position + a, min(position + b, n)) for a, b in spoken if position + a < n]
            position += len(samples) + self._pause(rng)
        return line, tuple(segments), tuple(names)

    def _utterance(self, rng: np.random.Generator) -> tuple[np.ndarray, list[Span], str]:
        shares, pools = zip(*self.speech, strict=True)
        pool = pick_by_shares(rng, pools, shares)
        utterance = pick(rng, pool)
        samples, segments = utterance.samples.astype(np.float32) / 32768, list(utterance.segments)
        speed = pick_speed(rng, self.settings.speed, self.settings.speed_share)
        if speed != 1:
            samples = mixing.change_speed(samples, speed)
            segments = [(round(a / speed), min(round(b / speed), len(samples))) for a, b in segments]
        spoken = samples[_mask(segments, len(samples))]
        return _at_level(samples, -26 + rng.normal(0, 3), of=spoken), segments, utterance.name

    def _pause(self, rng: np.random.Generator) -> int:
        long = rng.random() < self.settings.long_pause_share
        return round((rng.uniform(2, 8) if long else rng.exponential(0.8)) * self.sample_rate)

    def _background(self, rng: np.random.Generator, n: int) -> tuple[str, np.ndarray]:
        if rng.random() < self.settings.music_share:
            return "music", self._recorded(rng, self.music, n)
        if rng.random() < self.settings.synthetic_noise_share:
            return "noise", mixing.coloured_noise(n, rng.uniform(0, 2), rng)
        noise = self._recorded(rng, self.noise, n)
        if rng.random() < self.settings.second_noise_share:
            noise = noise + mixing.gain(self._recorded(rng, self.noise, n), rng.uniform(-12, 0))
        return "noise", noise

    def _recorded(self, rng: np.random.Generator, pool: Sequence[np.ndarray], n: int) -> np.ndarray:
        s, samples = self.settings, pick(rng, pool).astype(np.float32) / 32768
        return _at_level(recorded_background(rng, samples, n, s.speed, s.speed_share), -26)

    def _colour(self, rng: np.random.Generator, scene: np.ndarray) -> np.ndarray:
        if rng.random() >= self.settings.telephone_share:
            return scene
        return mixing.band_limit(scene, rng.uniform(20, 350), rng.uniform(3000, 4000), self.sample_rate)


def recorded_background(
    rng: np.random.Generator, samples: np.ndarray, n: int, speed: tuple[float, float], speed_share: float
) -> np.ndarray:
    """A recording of noise or music, fitted to n samples -> float32[n], at a speed drawn like that of speech.

    A change of speed moves the upper frequency limit of a recording. If only speech were changed, a model would learn
    to recognise speech by this limit and take sound up to the highest frequency for noise, clear consonants above all.
    """
    # No draw if the speed is fixed, so that such mixes stay the same for the same generator.
    factor = 1.0 if speed == (1.0, 1.0) else pick_speed(rng, speed, speed_share)
    return mixing.change_speed(mixing.fit_length(samples, math.ceil(n * factor), rng), factor)[:n]


def _mask(segments: Sequence[Span], n: int) -> np.ndarray:
    mask = np.zeros(n, bool)
    for start, end in segments:
        mask[start:end] = True
    return mask


def _at_level(samples: np.ndarray, level_db: float, of: np.ndarray | None = None) -> np.ndarray:
    measured = samples if of is None or not len(of) else of
    rms = float(np.sqrt(np.mean(np.square(measured, dtype=np.float64)))) if len(measured) else 0.0
    return samples * np.float32(10 ** (level_db / 20) / max(rms, 1e-5))


__all__ = ["Scene", "SceneSettings", "Scenes", "Utterance", "recorded_background"]
