"""Situations in which somebody speaks: what is found of it, how late, and what else is taken for it."""

from collections.abc import Callable

import numpy as np

from streamrnn.audio import mixing
from streamrnn.recipes.test_sets.situations import lines, noises
from streamrnn.recipes.test_sets.situations.material import (
    in_room,
    in_turn,
    moved,
    rain_that_ends,
    room_noise,
    scene,
    seconds,
    speaking,
    talk,
    utterance_at,
)
from streamrnn.recipes.test_sets.situations.situation import RATE, Compose, Pools, Situation, Take
from streamrnn.recipes.test_sets.situations.whisper import whispered

MUTE_S = 20.0
SCENE_S = 25.0


def _after(silence: Callable[[int, np.random.Generator], np.ndarray]) -> Compose:
    """A scene after 20 s in which a line says nothing."""

    def compose(pools: Pools, rng: np.random.Generator, number: int) -> Take:
        samples, segments = scene(pools, rng, seconds(SCENE_S), number, rng.uniform(-50, -22), (0, 20))
        muted = silence(seconds(MUTE_S), rng)
        return Take(np.concatenate([muted, samples]), moved(segments, len(muted)), judged_from=len(muted))

    return compose


def _digital_silence(n: int, _: np.random.Generator) -> np.ndarray:
    return np.zeros(n, np.float32)


def _comfort_noise(n: int, rng: np.random.Generator) -> np.ndarray:
    return noises.at_level(noises.comfort_noise(n, RATE, rng), rng.uniform(-70, -55))


def _quiet_noise(n: int, rng: np.random.Generator) -> np.ndarray:
    return room_noise(n, rng, -60)


def _transmission_stops(pools: Pools, rng: np.random.Generator, number: int) -> Take:
    """A call that sends nothing in pauses: digital silence there, or comfort noise."""
    n, level_db = seconds(30), rng.uniform(-34, -22)
    speech, segments = talk(pools, rng, n, number, level_db, (1, 5))
    heard = speech + in_turn(pools.noise, number, n, rng, level_db - rng.uniform(12, 25))
    filler = _digital_silence(n, rng) if number % 2 else _comfort_noise(n, rng)
    sent = lines.only_sent_when_spoken(heard, speaking(segments, n), filler, RATE)
    return Take(mixing.clip_protect(sent), segments, kind="digital silence" if number % 2 else "comfort noise")


def _push_to_talk(pools: Pools, rng: np.random.Generator, number: int) -> Take:
    """A radio: digital silence, a click, 0.1 to 0.4 s later speech in noise, a click, silence again."""
    n, position = seconds(40), seconds(rng.uniform(2, 5))
    samples, segments = np.zeros(n, np.float32), []
    for press in range(n):
        level_db = rng.uniform(-32, -20)
        speech, of_it = utterance_at(pools.speech[(number * 5 + press) % len(pools.speech)], level_db)
        before, after = seconds(rng.uniform(0.1, 0.4)), seconds(rng.uniform(0.1, 0.5))
        length = before + len(speech) + after
        if position + length > n:
            break
        pressed = in_turn(pools.noise, number + press, length, rng, level_db - rng.uniform(10, 25))
        pressed[before : before + len(speech)] += speech
        for key, let_go in ((noises.click(RATE, rng), False), (noises.click(RATE, rng), True)):
            at = length - len(key) if let_go else 0
            pressed[at : at + len(key)] += noises.at_level(key, level_db)
        samples[position : position + length] = pressed
        segments += moved(of_it, position + before)
        position += length + seconds(rng.uniform(1.5, 6))
    return Take(mixing.clip_protect(samples), tuple(segments))


def _packets_lost(pools: Pools, rng: np.random.Generator, number: int) -> Take:
    samples, segments = scene(pools, rng, seconds(30), number)
    share = (0.03, 0.1)[number % 2]
    return Take(lines.lossy(samples, RATE, share, rng), segments, kind=f"{100 * share:.0f} %")


def _babble_behind(pools: Pools, rng: np.random.Generator, number: int) -> Take:
    """A speaker before six others who are 5 to 15 dB quieter all together, in a room where there is one."""
    n, level_db = seconds(30), rng.uniform(-32, -22)
    speech, segments = talk(pools, rng, n, number, level_db, (0.5, 4))
    others = np.sum([talk(pools, rng, n, number + 3 + 5 * k, -26, (0, 0.3))[0] for k in range(6)], axis=0)
    babble = noises.at_level(in_room(pools, rng, others), level_db - rng.uniform(5, 15))
    return Take(mixing.clip_protect(speech + babble), segments)


def _whisper(pools: Pools, rng: np.random.Generator, number: int) -> Take:
    n, level_db = seconds(30), rng.uniform(-44, -30)
    speech, segments = talk(pools, rng, n, number, level_db)
    whisper = noises.at_level(whispered(speech, RATE, rng), 0)
    # The level of a whisper is that of what is whispered, pauses left out.
    share = float(np.mean(speaking(segments, n)))
    whisper = whisper * np.float32(np.sqrt(share) * 10 ** (level_db / 20))
    return Take(whisper + room_noise(n, rng, level_db - rng.uniform(15, 25)), segments)


def _quiet(pools: Pools, rng: np.random.Generator, number: int) -> Take:
    speech, segments = talk(pools, rng, seconds(30), number, -55)
    return Take(speech + room_noise(len(speech), rng, -55 - rng.uniform(12, 25)), segments)


def _far(pools: Pools, rng: np.random.Generator, number: int) -> Take:
    level_db = rng.uniform(-48, -34)
    speech, segments = talk(pools, rng, seconds(30), number, level_db)
    room = in_room(pools, rng, speech)
    noise = in_turn(pools.noise, number, len(speech), rng, level_db - rng.uniform(8, 18))
    return Take(mixing.clip_protect(room + noise), segments)


def _coded(codec: Callable[[np.ndarray, int], np.ndarray]) -> Compose:
    """Scenes over a telephone line with this codec."""

    def compose(pools: Pools, rng: np.random.Generator, number: int) -> Take:
        samples, segments = scene(pools, rng, seconds(30), number, rng.uniform(-34, -20))
        samples = mixing.band_limit(samples, rng.uniform(50, 300), 3600, RATE)
        coded = lines.telephone(samples, RATE, codec)
        return Take(coded, tuple((a // 2, b // 2) for a, b in segments), sample_rate=lines.TELEPHONE_RATE)

    return compose


def _opus(pools: Pools, rng: np.random.Generator, number: int) -> Take:
    kbit_per_s = (6, 8, 12)[number % 3]
    take = _coded(lines.opus(kbit_per_s))(pools, rng, number)
    return Take(take.samples, take.segments, kind=f"{kbit_per_s} kbit/s", sample_rate=take.sample_rate)


def _after_noise(later_s: float) -> Compose:
    """8 s of rain at -10 dBFS, a quiet room, and so much later one utterance."""

    def compose(pools: Pools, rng: np.random.Generator, number: int) -> Take:
        led_up, level_db = seconds(8), (-40.0, -30.0)[number % 2]
        speech, segments = utterance_at(pools.speech[number % len(pools.speech)], level_db)
        # An utterance is cut to 0.15 s before its first sound.
        start = led_up + seconds(later_s) - segments[0][0]
        samples = room_noise(start + len(speech) + seconds(1), rng, -65)
        samples[:led_up] += rain_that_ends(pools, number, led_up, rng)
        samples[start : start + len(speech)] += speech
        return Take(
            mixing.clip_protect(samples), moved(segments, start), judged_from=led_up, kind=f"{level_db:.0f} dBFS"
        )

    return compose


def _scenes(pools: Pools, rng: np.random.Generator, number: int) -> Take:
    samples, segments = scene(pools, rng, seconds(30), number, rng.uniform(-40, -20), (0, 20))
    return Take(samples, segments)


WITH_SPEECH = (
    Situation("after-mute", "scenes after 20 s of digital silence", _after(_digital_silence), 45, compared=True),
    Situation("after-comfort-noise", "scenes after 20 s of comfort noise", _after(_comfort_noise), 45, compared=True),
    Situation("after-quiet-noise", "scenes after 20 s of noise at -60 dBFS", _after(_quiet_noise), 45, compared=True),
    Situation("pauses-not-sent", "pauses of digital silence or comfort noise (DTX)", _transmission_stops, 30),
    Situation("push-to-talk", "speech in noise between clicks and digital silence", _push_to_talk, 40),
    Situation("packets-lost", "gaps of 20 to 100 ms, 3 or 10 % of the sound", _packets_lost, 30),
    Situation("babble-behind", "a speaker before six quieter ones", _babble_behind, 30),
    Situation("whisper", "whispers, by noise through voices' filters", _whisper, 30),
    Situation("quiet-speech", "speech at -55 dBFS", _quiet, 30),
    Situation("far-speech", "speech in rooms, with noise", _far, 30),
    Situation("mu-law-8k", "scenes at 8 kHz, G.711 mu-law", _coded(lines.mu_law), 30),
    Situation("a-law-8k", "scenes at 8 kHz, G.711 A-law", _coded(lines.a_law), 30),
    Situation("gsm-8k", "scenes at 8 kHz, GSM full rate", _coded(lines.gsm), 30),
    Situation("opus-8k", "scenes at 8 kHz, Opus at 6, 8 and 12 kbit/s", _opus, 30),
    Situation("amr-8k", "scenes at 8 kHz, AMR at 4.75 kbit/s", _coded(lines.amr), 30),
    Situation("half-a-second-after-noise", "an utterance 0.5 s after rain at -10 dBFS", _after_noise(0.5), 15),
    Situation("two-seconds-after-noise", "an utterance 2 s after rain at -10 dBFS", _after_noise(2.0), 17),
    Situation("scenes", "speech over noise, music and quiet rooms", _scenes, 30),
)

__all__ = ["WITH_SPEECH"]
