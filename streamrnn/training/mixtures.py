"""Recordings of everyday scenes, composed on the fly: talk with pauses, in rooms, over noise or music."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from streamrnn.audio import mixing
from streamrnn.training.data import pick, pick_by_shares, pick_speed

Segment = tuple[int, int]


@dataclass(frozen=True)
class Utterance:
    """A clean recording, int16[n], where somebody speaks in it, (start, end) in samples, and its name."""

    samples: np.ndarray
    segments: tuple[Segment, ...]
    name: str = ""


@dataclass(frozen=True)
class SceneSettings:
    """How scenes are drawn. Shares are probabilities; ranges are drawn from evenly."""

    snr_db: tuple[float, float] = (-5.0, 20.0)
    """Speech level, where there is speech, over that of the noise or music."""
    music_share: float = 0.25
    """Music instead of noise."""
    room_share: float = 0.5
    """Speech heard through a room."""
    silent_share: float = 0.1
    """Nobody speaks at all."""
    long_pause_share: float = 0.2
    """Pauses of 2 to 8 s among the short ones (exponential, 0.8 s on average)."""
    level_db: tuple[float, float] = (-45.0, -15.0)
    """RMS of the whole scene, relative to full scale."""
    speed: tuple[float, float] = (1.0, 1.0)
    """Speed, and with it pitch, of utterances and of recorded noises and music."""
    speed_share: float = 1.0
    """Share of them whose speed is drawn; the others stay as they are."""
    second_noise_share: float = 0.0
    """A second noise on top of the first."""
    synthetic_noise_share: float = 0.0
    """Coloured noise instead of a recorded one."""
    telephone_share: float = 0.0
    """The whole scene limited to a band like that of a telephone."""


@dataclass(frozen=True)
class Scene:
    """A composed recording, float32[n] in [-1, 1], its speech (start, end) in samples, and how it was made.

    Attributes:
        snr_db: as drawn; without meaning where nobody speaks.
        description: the background ("noise" or "music"), and " in a room" where speech is heard through one.
        names: of the utterances.
    """

    samples: np.ndarray
    segments: tuple[Segment, ...]
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
        settings: how scenes are drawn.
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

    def _talk(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, tuple[Segment, ...], tuple[str, ...]]:
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

    def _utterance(self, rng: np.random.Generator) -> tuple[np.ndarray, list[Segment], str]:
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
    """A recording of noise or music made n samples long -> float32[n], at a speed that is drawn as that of speech is.

    Another speed moves the highest frequency at which a recording has anything. Were speech alone played at other
    speeds, a model would learn to tell speech by that, and take for noise whatever reaches up to the highest frequency:
    clear consonants above all.
    """
    # Without a draw where nothing would change, mixes of one speed stay the same for the same generator.
    factor = 1.0 if speed == (1.0, 1.0) else pick_speed(rng, speed, speed_share)
    return mixing.change_speed(mixing.fit_length(samples, math.ceil(n * factor), rng), factor)[:n]


def _mask(segments: Sequence[Segment], n: int) -> np.ndarray:
    mask = np.zeros(n, bool)
    for start, end in segments:
        mask[start:end] = True
    return mask


def _at_level(samples: np.ndarray, level_db: float, of: np.ndarray | None = None) -> np.ndarray:
    measured = samples if of is None or not len(of) else of
    rms = float(np.sqrt(np.mean(np.square(measured, dtype=np.float64)))) if len(measured) else 0.0
    return samples * np.float32(10 ** (level_db / 20) / max(rms, 1e-5))


__all__ = ["Scene", "SceneSettings", "Scenes", "Utterance", "recorded_background"]
