"""Situations in which nobody speaks: whatever a detector hears there is wrong."""

from collections.abc import Callable

import numpy as np

from streamrnn.audio import mixing
from streamrnn.recipes.test_sets.situations import lines, noises
from streamrnn.recipes.test_sets.situations.material import faded, in_turn, room_noise, seconds
from streamrnn.recipes.test_sets.situations.situation import RATE, Pools, Situation, Take
from streamrnn.recipes.test_sets.situations.telephony import telephone_sounds

ROOM_DB = -60.0
LED_UP_S = 10.0
ONSET_LEVELS_DB = (-38.0, -25.0)


def _noise_begins(pools: Pools, rng: np.random.Generator, number: int) -> Take:
    return _begins(rng, in_turn(pools.noise, number // 2, seconds(10), rng, ONSET_LEVELS_DB[number % 2]), number)


def _music_begins(pools: Pools, rng: np.random.Generator, number: int) -> Take:
    return _begins(rng, in_turn(pools.music, number // 2, seconds(10), rng, ONSET_LEVELS_DB[number % 2]), number)


def _begins(rng: np.random.Generator, sound: np.ndarray, number: int) -> Take:
    led_up = seconds(LED_UP_S)
    samples = room_noise(led_up + len(sound), rng, ROOM_DB)
    samples[led_up:] += faded(sound)
    return Take(mixing.clip_protect(samples), judged_from=led_up, kind=f"{ONSET_LEVELS_DB[number % 2]:.0f} dBFS")


def _noise_ends(pools: Pools, rng: np.random.Generator, number: int) -> Take:
    led_up, pool = seconds(LED_UP_S), pools.music if number % 4 == 3 else pools.noise
    samples = room_noise(led_up + seconds(15), rng, ROOM_DB)
    samples[:led_up] += faded(in_turn(pool, number, led_up, rng, -25))
    return Take(mixing.clip_protect(samples), judged_from=led_up)


def _level_steps(pools: Pools, rng: np.random.Generator, number: int) -> Take:
    """A noise that is turned up and down by 6 to 25 dB every 2 to 6 s."""
    n, level_db, position = seconds(40), -40.0, 0
    sound, gain = in_turn(pools.noise, number, n, rng, 0), np.zeros(n, np.float32)
    while position < n:
        end = position + seconds(rng.uniform(2, 6))
        gain[position:end] = 10 ** (level_db / 20)
        position = end
        step_db = rng.uniform(6, 25)
        level_db += (
            step_db if level_db - step_db < -65 or (level_db + step_db < -20 and rng.random() < 0.5) else -step_db
        )
    smooth = np.ones(seconds(0.005)) / seconds(0.005)
    return Take(mixing.clip_protect(sound * np.convolve(gain, smooth, "same")), judged_from=seconds(1))


def _tone_of_a_telephone(rng: np.random.Generator, number: int, rate: int) -> Take:
    """15 s of one kind, after 2 s of the open line, and again 1 to 3 s later."""
    kinds = telephone_sounds()
    name, make = kinds[number % len(kinds)]
    samples = noises.at_level(noises.quiet_room(30 * rate, rate, rng), rng.uniform(-70, -50))
    level, position = 10 ** (rng.uniform(-30, -10) / 20), 2 * rate
    while position < len(samples):
        end = min(position + 12 * rate, len(samples))
        samples[position:end] += level * make(end - position, rate, rng)
        position = end + round(rng.uniform(1, 3) * rate)
    return Take(mixing.clip_protect(samples), kind=name, sample_rate=rate)


def _tones(_: Pools, rng: np.random.Generator, number: int) -> Take:
    return _tone_of_a_telephone(rng, number, RATE)


def _tones_at_8_khz(_: Pools, rng: np.random.Generator, number: int) -> Take:
    take = _tone_of_a_telephone(rng, number, lines.TELEPHONE_RATE)
    return Take(lines.mu_law(take.samples, take.sample_rate), kind=take.kind, sample_rate=take.sample_rate)


def _hold_music(pools: Pools, rng: np.random.Generator, number: int) -> Take:
    """Music in a telephone's band and codec, which stops for a second now and then, as if something were announced."""
    n = seconds(40)
    sound = mixing.band_limit(in_turn(pools.music, number, n, rng, rng.uniform(-30, -16)), 250, 3500, RATE)
    position = seconds(rng.uniform(8, 14))
    while position < n:
        end = position + seconds(rng.uniform(0.5, 2))
        sound[position:end] *= 0
        position = end + seconds(rng.uniform(8, 14))
    codec = (lines.mu_law, lines.gsm)[number % 2]
    return Take(
        lines.telephone(mixing.clip_protect(sound), RATE, codec), kind=codec.__name__, sample_rate=lines.TELEPHONE_RATE
    )


def _repeated(
    make: Callable[[int, np.random.Generator], np.ndarray], pause_s: tuple[float, float], level_db: tuple[float, float]
) -> Callable[[Pools, np.random.Generator, int], Take]:
    """30 s of a quiet room and one short sound after the other."""

    def compose(_: Pools, rng: np.random.Generator, number: int) -> Take:
        n, position = seconds(30), seconds(rng.uniform(1, 2))
        samples, around_db = room_noise(n, rng, rng.uniform(-72, -55)), rng.uniform(*level_db)
        while position < n:
            sound = noises.at_level(make(RATE, rng), around_db + rng.normal(0, 3))[: n - position]
            samples[position : position + len(sound)] += sound
            position += seconds(rng.uniform(*pause_s)) + (len(sound) if pause_s[0] > 0.3 else 0)
        return Take(mixing.clip_protect(samples))

    return compose


def _coughs(pools: Pools, rng: np.random.Generator, number: int) -> Take:
    """Coughs by computation, and sneezes and coughs that were recorded, where there are some."""
    take = _repeated(noises.cough, (0.6, 4.0), (-40, -20))(pools, rng, number)
    if number % 2 and pools.bodies:
        recorded = in_turn(pools.bodies, number // 2, seconds(30), rng, rng.uniform(-38, -22))
        return Take(mixing.clip_protect(room_noise(seconds(30), rng, -65) + recorded), kind="recorded")
    return Take(take.samples, kind="computed")


def _plain(pool_name: str) -> Callable[[Pools, np.random.Generator, int], Take]:
    """A minute of one recording after the other, each for 10 s at a level of its own, faded into the next."""

    def compose(pools: Pools, rng: np.random.Generator, number: int) -> Take:
        pool, n, fade = getattr(pools, pool_name), seconds(60), 0.5
        samples, each = np.zeros(n + seconds(fade), np.float32), seconds(10)
        for part in range(n // each):
            sound = in_turn(pool, number * (n // each) + part, each + seconds(fade), rng, rng.uniform(-45, -18))
            samples[part * each : part * each + len(sound)] += faded(sound, fade)
        return Take(mixing.clip_protect(samples[:n]), judged_from=seconds(1))

    return compose


def _line_noise_after_mute(_: Pools, rng: np.random.Generator, number: int) -> Take:
    """20 s of digital silence, then the room of somebody who says nothing, at 8 kHz."""
    rate = lines.TELEPHONE_RATE
    led_up, level_db = 20 * rate, (-60.0, -50.0, -40.0)[number % 3]
    samples = np.zeros(led_up + 20 * rate, np.float32)
    samples[led_up:] = noises.at_level(noises.quiet_room(20 * rate, rate, rng), level_db)
    return Take(lines.mu_law(samples, rate), judged_from=led_up, kind=f"{level_db:.0f} dBFS", sample_rate=rate)


WITHOUT_SPEECH = (
    Situation("noise-begins", "10 s of a quiet room at -60 dBFS, then noise at -38 or -25", _noise_begins, 20),
    Situation("music-begins", "10 s of a quiet room at -60 dBFS, then music at -38 or -25", _music_begins, 20),
    Situation("noise-ends", "10 s of noise or music at -25 dBFS, then a quiet room", _noise_ends, 25),
    Situation("level-steps", "noise turned up and down by 6 to 25 dB", _level_steps, 40),
    Situation("telephone-tones", "keys, dial tones, ringing, busy, beeps, faxes", _tones, 30),
    Situation("telephone-tones-8k", "the same at 8 kHz, mu-law", _tones_at_8_khz, 30),
    Situation("hold-music", "music at 8 kHz, mu-law or GSM, with gaps", _hold_music, 40),
    Situation("breaths", "breaths close to a microphone", _repeated(noises.breath, (0.5, 2.5), (-52, -32)), 30),
    Situation("coughs", "coughs and sneezes", _coughs, 30),
    Situation("typing", "keys of a keyboard", _repeated(noises.keystroke, (0.08, 0.3), (-42, -22)), 30),
    Situation("clicks", "clicks of switches and mice", _repeated(noises.click, (0.4, 2.0), (-30, -12)), 30),
    Situation("mute-then-room-8k", "20 s of digital silence, then a room at 8 kHz", _line_noise_after_mute, 40),
    Situation("noise", "noise, one recording after the other", _plain("noise"), 60),
    Situation("music", "music, one recording after the other", _plain("music"), 60),
)

__all__ = ["WITHOUT_SPEECH"]
