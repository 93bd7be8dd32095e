"""Situations in which single words are said: what is heard of them, and what else is heard."""

from collections.abc import Callable

import numpy as np

from streamrnn.audio import mixing
from streamrnn.data.mixtures import Span
from streamrnn.recipes.test_sets.situations import lines
from streamrnn.recipes.test_sets.situations.material import (
    as_float,
    faded,
    in_room,
    in_turn,
    moved,
    rain_that_ends,
    room_noise,
    seconds,
)
from streamrnn.recipes.test_sets.situations.noises import at_level
from streamrnn.recipes.test_sets.situations.situation import RATE, Compose, Pools, Situation, Take, Word

Placed = tuple[np.ndarray, tuple[Span, ...], tuple[tuple[int, int, str], ...]]


def _line_of_words(
    pools: Pools, rng: np.random.Generator, n: int, number: int, level_db: float, pause_s: tuple[float, float]
) -> Placed:
    """Words of one vocabulary in turn, with pauses between them; vocabularies take turns, too."""
    names = sorted(pools.words)
    vocabulary = pools.words[names[number % len(names)]]
    line, segments, words = np.zeros(n, np.float32), [], []
    position, word_number = seconds(rng.uniform(0.5, 1.5)), number // len(names) * 13
    while True:
        word: Word = vocabulary[word_number % len(vocabulary)]
        sound = at_level(faded(as_float(word.samples), 0.02), level_db + rng.normal(0, 2))
        if position + len(sound) > n:
            return line, tuple(segments), tuple(words)
        line[position : position + len(sound)] += sound
        segments += moved(word.segments, position)
        start, end = (word.segments[0][0], word.segments[-1][1]) if word.segments else (0, len(sound))
        words.append((position + start, position + end, word.label))
        position += len(sound) + seconds(rng.uniform(*pause_s))
        word_number += 1


def _words_in(
    background: Callable[[Pools, np.random.Generator, int, int, float], np.ndarray],
    pause_s: tuple[float, float] = (0.7, 3.0),
) -> Compose:
    """40 s of words at -36 to -22 dBFS over a background: (pools, rng, n, number, level of the words) -> float32[n]."""

    def compose(pools: Pools, rng: np.random.Generator, number: int) -> Take:
        n, level_db = seconds(40), rng.uniform(-36, -22)
        line, segments, words = _line_of_words(pools, rng, n, number, level_db, pause_s)
        return Take(mixing.clip_protect(line + background(pools, rng, n, number, level_db)), segments, words)

    return compose


def _quiet(_: Pools, rng: np.random.Generator, n: int, __: int, level_db: float) -> np.ndarray:
    return room_noise(n, rng, level_db - 30)


def _noise(pools: Pools, rng: np.random.Generator, n: int, number: int, level_db: float) -> np.ndarray:
    return in_turn(pools.noise, number, n, rng, level_db - rng.uniform(5, 20))


def _music(pools: Pools, rng: np.random.Generator, n: int, number: int, level_db: float) -> np.ndarray:
    return in_turn(pools.music, number, n, rng, level_db - rng.uniform(5, 20))


def _far(pools: Pools, rng: np.random.Generator, number: int) -> Take:
    n, level_db = seconds(40), rng.uniform(-44, -32)
    line, segments, words = _line_of_words(pools, rng, n, number, level_db, (0.7, 3.0))
    return Take(in_room(pools, rng, line) + _noise(pools, rng, n, number, level_db - 8), segments, words)


def _at_8_khz(pools: Pools, rng: np.random.Generator, number: int) -> Take:
    take = _words_in(_quiet)(pools, rng, number)
    codec = (lines.mu_law, lines.gsm)[number % 2]
    coded = lines.telephone(mixing.band_limit(take.samples, 200, 3600, RATE), RATE, codec)
    segments = tuple((a // 2, b // 2) for a, b in take.segments)
    words = tuple((a // 2, b // 2, label) for a, b, label in take.words)
    return Take(coded, segments, words, kind=codec.__name__, sample_rate=lines.TELEPHONE_RATE)


def _after_noise(pools: Pools, rng: np.random.Generator, number: int) -> Take:
    """8 s of rain at -10 dBFS, a quiet room, and 0.5 s later the words."""
    led_up, n = seconds(8), seconds(14)
    line, segments, words = _line_of_words(pools, rng, n, number, -34, (0.7, 2.0))
    # The first word begins half a second after the noise, whatever its recording begins with.
    early = max(0, words[0][0] - seconds(0.5)) if words else 0
    line, segments = line[early:], tuple((max(0, a - early), b - early) for a, b in segments)
    words = tuple((max(0, a - early), b - early, label) for a, b, label in words)
    samples = room_noise(led_up + len(line), rng, -62)
    samples[:led_up] += rain_that_ends(pools, number, led_up, rng)
    samples[led_up:] += line
    placed = tuple((a + led_up, b + led_up, label) for a, b, label in words)
    return Take(mixing.clip_protect(samples), moved(segments, led_up), placed, judged_from=led_up)


def _after_mute(pools: Pools, rng: np.random.Generator, number: int) -> Take:
    take = _words_in(_quiet)(pools, rng, number)
    muted = seconds(20)
    words = tuple((a + muted, b + muted, label) for a, b, label in take.words)
    samples = np.concatenate([np.zeros(muted, np.float32), take.samples])
    return Take(samples, moved(take.segments, muted), words, judged_from=muted)


SPOKEN_WORDS = (
    Situation("words", "words, 0.7 to 3 s apart, in a quiet room", _words_in(_quiet), 40, needs="words"),
    Situation("words-in-noise", "words over noise, 5 to 20 dB below", _words_in(_noise), 40, needs="words"),
    Situation("words-in-music", "words over music, 5 to 20 dB below", _words_in(_music), 40, needs="words"),
    Situation("words-far", "words in rooms, with noise", _far, 40, needs="words"),
    Situation("words-8k", "words at 8 kHz, mu-law or GSM", _at_8_khz, 40, needs="words"),
    Situation("words-after-noise", "words from 0.5 s after rain at -10 dBFS on", _after_noise, 22, needs="words"),
    Situation("words-after-mute", "words after 20 s of digital silence", _after_mute, 60, compared=True, needs="words"),
)

__all__ = ["SPOKEN_WORDS"]
