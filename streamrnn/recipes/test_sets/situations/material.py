"""Pieces of which situations are put together: levels, recordings in turn, talk, rooms."""

from collections.abc import Sequence

import numpy as np

from streamrnn.audio import mixing
from streamrnn.data.clips import pick
from streamrnn.data.mixtures import Span, Utterance
from streamrnn.recipes.test_sets.situations.noises import at_level, quiet_room
from streamrnn.recipes.test_sets.situations.situation import RATE, Pools

FADE_S = 0.01


def seconds(duration_s: float) -> int:
    """Samples at the rate of situations."""
    return round(duration_s * RATE)


def as_float(samples: np.ndarray) -> np.ndarray:
    """int16[n] -> float32[n] in [-1, 1]."""
    return samples.astype(np.float32) / 32768


def in_turn(pool: Sequence[np.ndarray], number: int, n: int, rng: np.random.Generator, level_db: float) -> np.ndarray:
    """Recording `number` of a pool, begun again at its end, made n samples long at a level -> float32[n].

    A part that is silent by chance, as between the barks of a dog, is drawn again.
    """
    recording = as_float(pool[number % len(pool)])
    cut = mixing.fit_length(recording, n, rng)
    for _ in range(8):
        if np.abs(cut).max(initial=0) > 0.2 * np.abs(recording).max(initial=0):
            break
        cut = mixing.fit_length(recording, n, rng)
    return at_level(cut, level_db)


def room_noise(n: int, rng: np.random.Generator, level_db: float) -> np.ndarray:
    """A quiet room at a level -> float32[n]."""
    return at_level(quiet_room(n, RATE, rng), level_db)


def rain_that_ends(pools: Pools, number: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """A steady noise at -10 dBFS, whose highest peaks are clipped as by any converter -> float32[n]."""
    return np.clip(faded(in_turn(pools.rain, number, n, rng, -10)), -0.99, 0.99)


def faded(sound: np.ndarray, fade_s: float = FADE_S) -> np.ndarray:
    """The sound with soft ends, float32[n]: begun at once, but without a click."""
    length = min(seconds(fade_s), len(sound) // 2)
    made = np.array(sound, np.float32)
    rising = np.linspace(0, 1, length, endpoint=False, dtype=np.float32)
    made[:length] *= rising
    made[len(made) - length :] *= rising[::-1]
    return made


def utterance_at(utterance: Utterance, level_db: float) -> tuple[np.ndarray, tuple[Span, ...]]:
    """An utterance whose speech has that level, cut to 0.15 s around it -> (float32[n], segments)."""
    samples, around = as_float(utterance.samples), seconds(0.15)
    first = max(0, utterance.segments[0][0] - around)
    last = min(len(samples), utterance.segments[-1][1] + around)
    segments = tuple((start - first, end - first) for start, end in utterance.segments)
    samples = samples[first:last]
    spoken = samples[speaking(segments, len(samples))]
    rms = float(np.sqrt(np.mean(np.square(spoken, dtype=np.float64))))
    return faded(samples * np.float32(10 ** (level_db / 20) / max(rms, 1e-6))), segments


def talk(
    pools: Pools,
    rng: np.random.Generator,
    n: int,
    number: int,
    level_db: float,
    pause_s: tuple[float, float] = (0.5, 3.0),
) -> tuple[np.ndarray, tuple[Span, ...]]:
    """Utterances in turn with pauses between them -> (float32[n], segments).

    An utterance that would be cut is left out, but for the first one: where it is longer than n, its end is cut.
    """
    line, segments, position = np.zeros(n, np.float32), [], seconds(rng.uniform(*pause_s))
    spoken = [u for u in pools.speech if u.segments]
    for count in range(n):
        samples, of_it = utterance_at(spoken[(number * 7 + count) % len(spoken)], level_db + rng.normal(0, 2))
        if position + len(samples) > n and segments:
            break
        position = min(position, max(0, n - len(samples)))
        samples = samples[: n - position]
        line[position : position + len(samples)] = samples
        segments += [(position + a, min(position + b, n)) for a, b in of_it if position + a < n]
        position += len(samples) + seconds(rng.uniform(*pause_s))
        if position >= n:
            break
    return line, tuple(segments)


def in_room(pools: Pools, rng: np.random.Generator, speech: np.ndarray) -> np.ndarray:
    """Speech heard through one of the rooms, as loud as before -> float32[n]; without rooms as it is."""
    return mixing.reverberate(speech, pick(rng, pools.rooms)) if pools.rooms else speech


def speaking(segments: Sequence[Span], n: int) -> np.ndarray:
    """bool[n]: where somebody speaks."""
    mask = np.zeros(n, bool)
    for start, end in segments:
        mask[start:end] = True
    return mask


def moved(segments: Sequence[Span], by: int) -> tuple[Span, ...]:
    """Segments, shifted by this many samples."""
    return tuple((start + by, end + by) for start, end in segments)


def scene(
    pools: Pools,
    rng: np.random.Generator,
    n: int,
    number: int,
    level_db: float = -28.0,
    snr_db: tuple[float, float] = (8, 25),
) -> tuple[np.ndarray, tuple[Span, ...]]:
    """Talk over noise, music (one in four) or a quiet room (one in four) -> (float32[n], segments)."""
    speech, segments = talk(pools, rng, n, number, level_db)
    drawn, below = rng.random(), level_db - rng.uniform(*snr_db)
    if drawn < 0.25:
        background = room_noise(n, rng, below - 10)
    else:
        background = in_turn(pools.music if drawn < 0.5 else pools.noise, number, n, rng, below)
    return mixing.clip_protect(speech + background), segments


__all__ = [
    "as_float",
    "faded",
    "in_room",
    "in_turn",
    "moved",
    "rain_that_ends",
    "room_noise",
    "scene",
    "seconds",
    "speaking",
    "talk",
    "utterance_at",
]
