"""Scenes: what is asked for is what is heard, and the labels lie where the speech is.

The sounds are chosen so that a scene can be taken apart again: noise is a constant, speech swings around it.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.data.clips import pick_speed
from streamrnn.data.mixtures import Scene, Scenes, SceneSettings, Utterance, recorded_background

RATE = 1000
SPOKEN = ((200, 500), (700, 900))
PLAIN = {"music_share": 0.0, "room_share": 0.0, "silent_share": 0.0}


def utterance(amplitude: int, spoken: tuple[tuple[int, int], ...] = SPOKEN) -> Utterance:
    """A second of zeros in which, where somebody speaks, the samples are a, a, -a, -a, ..."""
    samples = np.zeros(1000, np.int16)
    for start, end in spoken:
        samples[start:end] = amplitude * np.resize([1, 1, -1, -1], end - start)
    return Utterance(samples, spoken)


CONSTANT = np.full(30 * RATE, 4000, np.int16)
SPEECH = [(1.0, [utterance(9000), utterance(100)])]


def scenes(speech=SPEECH, noise=(CONSTANT,), music=(-CONSTANT,), rooms=(), **settings) -> Scenes:
    return Scenes(speech, noise, music, rooms, RATE, SceneSettings(**(PLAIN | settings)))


def drawn(source: Scenes, count: int = 10, duration_s: float = 10.0) -> Iterator[Scene]:
    return (source.draw(np.random.default_rng(seed), duration_s) for seed in range(count))


def parts(scene: Scene) -> tuple[np.ndarray, np.ndarray, float]:
    """(where somebody speaks, bool[n]; speech, float[n]; the level of the constant noise)."""
    mask = np.zeros(len(scene.samples), bool)
    for start, end in scene.segments:
        mask[start:end] = True
    noise = float(np.median(scene.samples[~mask]))
    return mask, scene.samples - noise, abs(noise)


def rms_db(samples: np.ndarray) -> float:
    return 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)))


def test_a_scene_is_float32_of_the_asked_length_and_never_clips():
    for scene in drawn(scenes(level_db=(-3.0, 0.0)), duration_s=7.3):
        assert scene.samples.dtype == np.float32 and scene.samples.shape == (7300,)
        assert np.abs(scene.samples).max() <= 0.991


def test_segments_lie_exactly_where_the_speech_is():
    for scene in drawn(scenes(snr_db=(10.0, 10.0))):
        mask, speech, noise = parts(scene)
        assert scene.segments and all(0 <= start < end <= 10 * RATE for start, end in scene.segments)
        np.testing.assert_array_equal(np.abs(speech) > 0.01 * noise, mask)


def test_the_snr_is_that_of_the_speech_where_there_is_speech():
    for scene in drawn(scenes(snr_db=(-8.0, 25.0))):
        mask, speech, noise = parts(scene)
        assert rms_db(speech[mask]) - 20 * np.log10(noise) == pytest.approx(scene.snr_db, abs=0.1)


def test_snrs_fill_their_range():
    snrs_db = [scene.snr_db for scene in drawn(scenes(snr_db=(-8.0, 25.0)), 100, 3.0)]
    assert -8 <= min(snrs_db) < -6 and 23 < max(snrs_db) <= 25


def test_utterances_are_about_equally_loud_however_they_were_recorded_and_however_much_they_pause():
    loud, sparse = utterance(9000, ((0, 900),)), utterance(100, ((0, 20),))
    levels_db: dict[int, list[float]] = {900: [], 20: []}
    for scene in drawn(scenes(speech=[(1.0, [loud, sparse])], snr_db=(60.0, 60.0)), 10, 20.0):
        mask, speech, _ = parts(scene)
        for start, end in scene.segments:
            if end - start in levels_db:
                levels_db[end - start].append(rms_db(speech[start:end]) - rms_db(speech[mask]))
    # As recorded, they are 39 dB apart; whole recordings made equally loud would leave 17 dB.
    assert abs(np.mean(levels_db[900]) - np.mean(levels_db[20])) < 3


def test_the_level_of_the_whole_scene_is_in_its_range():
    levels_db = [rms_db(scene.samples) for scene in drawn(scenes(level_db=(-50.0, -30.0)), 60, 3.0)]
    assert -50.001 < min(levels_db) < -46 and -34 < max(levels_db) < -29.999


def test_the_same_generator_gives_the_same_scene_and_another_one_another():
    noise = np.random.default_rng(0).integers(-3000, 3000, 5000, dtype=np.int16)
    shares = {"room_share": 0.5, "second_noise_share": 0.5, "synthetic_noise_share": 0.5, "telephone_share": 0.5}
    settings = SceneSettings(speed=(0.8, 1.2), **shares)
    source = Scenes(SPEECH, [noise], [noise], [np.float32([0, 1, 0.5])], 8000, settings)
    first, again, other = (source.draw(np.random.default_rng([7, step]), 5.0) for step in (1, 1, 2))
    np.testing.assert_array_equal(first.samples, again.samples)
    assert (first.segments, first.snr_db, first.description) == (again.segments, again.snr_db, again.description)
    assert np.any(first.samples != other.samples)


@pytest.mark.parametrize(("share", "lowest", "highest"), [(0.0, 0, 0), (0.3, 0.2, 0.4), (1.0, 1, 1)])
def test_the_share_of_silent_scenes_is_as_asked(share, lowest, highest):
    silent = [not scene.segments for scene in drawn(scenes(silent_share=share), 200, 4.0)]
    assert lowest <= np.mean(silent) <= highest


def test_a_silent_scene_is_its_background_alone_and_in_no_room():
    (scene,) = drawn(scenes(silent_share=1.0, room_share=1.0, rooms=[np.float32([1, 0.5])]), 1)
    assert np.all(scene.samples == scene.samples[0]) and scene.samples[0] > 0
    assert (scene.segments, scene.description) == ((), "noise")


@pytest.mark.parametrize(
    ("music_share", "room_share", "description"),
    [(0.0, 0.0, "noise"), (1.0, 0.0, "music"), (0.0, 1.0, "noise in a room")],
)
def test_the_description_says_what_is_heard(music_share, room_share, description):
    source = scenes(music_share=music_share, room_share=room_share, rooms=[np.float32([1, 0.5])])
    assert {scene.description for scene in drawn(source, 5)} == {description}


def test_music_takes_the_place_of_noise_as_often_as_asked():
    heard = [
        (scene.description, scene.samples[0] < 0)
        for scene in drawn(scenes(music_share=0.3, silent_share=1.0), 200, 0.1)
    ]
    assert set(heard) == {("music", True), ("noise", False)}
    assert np.mean([music for _, music in heard]) == pytest.approx(0.3, abs=0.07)


@pytest.mark.parametrize("room", [[0.3], [0] * 40 + [-0.9] + [0] * 60 + [0.2, 0.1]], ids=["dry", "late"])
def test_a_room_leaves_the_direct_sound_where_the_label_is(room):
    for scene in drawn(scenes(room_share=1.0, rooms=[np.float32(room)], snr_db=(10.0, 10.0))):
        _, speech, noise = parts(scene)
        heard = np.flatnonzero(np.abs(speech) > 0.1 * noise)
        assert heard[0] == scene.segments[0][0]
        assert all(np.abs(speech[start:end]).min() > 0.1 * noise for start, end in scene.segments)


def test_without_room_responses_no_scene_is_in_a_room():
    assert {scene.description for scene in drawn(scenes(room_share=1.0), 5)} == {"noise"}


@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_labels_follow_the_speed(speed):
    for scene in drawn(scenes(speed=(speed, speed), snr_db=(20.0, 20.0))):
        mask, speech, noise = parts(scene)
        heard = np.abs(speech) > noise
        # Resampling smears the edges a little, and the wave passes through zero.
        assert not heard[~np.convolve(mask, np.ones(41), "same").astype(bool)].any()
        for start, end in scene.segments[:2]:
            assert end - start in {round(300 / speed), round(200 / speed)}
            assert heard[start + 10 : end - 10].mean() > 0.6


def top_band_db(samples: np.ndarray) -> float:
    """The highest tenth of the frequencies against all, which slower playing leaves without sound."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    return 10 * np.log10(np.mean(power[-len(power) // 10 :]) / np.mean(power))


def test_noise_is_played_at_other_speeds_as_often_as_speech_is():
    white = np.random.default_rng(0).integers(-3000, 3000, 8000, dtype=np.int16)
    source = partial(scenes, noise=[white], speed=(0.7, 0.7), silent_share=1.0)
    lost = {
        share: [top_band_db(each.samples) < -6 for each in drawn(source(speed_share=share), 60)] for share in (0, 1)
    }
    assert not any(lost[0]) and all(lost[1])
    some = [top_band_db(each.samples) < -6 for each in drawn(source(speed_share=0.5), 200, 1.0)]
    assert np.mean(some) == pytest.approx(0.5, abs=0.1)


@given(st.integers(1, 400), st.integers(1, 900), st.floats(0.5, 2.0))
def test_a_background_is_as_long_as_asked_at_any_speed(there, wanted, speed):
    background = recorded_background(np.random.default_rng(0), np.ones(there, np.float32), wanted, (speed, speed), 1.0)
    assert background.shape == (wanted,)


def test_a_share_of_the_speeds_is_drawn_and_the_others_are_one():
    rng = np.random.default_rng(0)
    speeds = np.array([pick_speed(rng, (0.8, 1.25), 0.4) for _ in range(500)])
    assert np.mean(speeds == 1) == pytest.approx(0.6, abs=0.07)
    assert 0.8 <= speeds.min() < 0.82 and 1.23 < speeds.max() <= 1.25


def test_speed_one_leaves_the_samples_of_speech_alone():
    for scene in drawn(scenes(snr_db=(40.0, 40.0)), 3):
        _, speech, _ = parts(scene)
        start, end = scene.segments[0]
        np.testing.assert_allclose(np.abs(speech[start:end]), np.abs(speech[start]), rtol=1e-4)


def test_utterances_are_drawn_by_the_share_of_their_pool_however_large_it_is():
    long, short = (Utterance(np.full(n, 5000, np.int16), ((0, n),)) for n in (200, 100))
    source = scenes(speech=[(0.75, [long]), (0.25, [short] * 50)])
    lengths = [end - start for scene in drawn(source, 20, 30.0) for start, end in scene.segments if end < 30 * RATE]
    assert set(lengths) == {200, 100}
    assert np.mean(np.array(lengths) == 200) == pytest.approx(0.75, abs=0.07)


def test_pauses_are_long_as_often_as_asked():
    short, long = (scenes(long_pause_share=share) for share in (0.0, 1.0))
    pauses_s = [
        (after[0] - before[1]) / RATE
        for scene in drawn(long, 5, 60.0)
        for before, after in zip(scene.segments[1::2], scene.segments[2::2], strict=False)
    ]
    # 0.3 s of each pause are the silence at the ends of the recordings.
    assert pauses_s and all(2.29 <= pause_s <= 8.31 for pause_s in pauses_s)
    spoken = [sum(len(scene.segments) for scene in drawn(source, 5, 60.0)) for source in (short, long)]
    assert spoken[0] > 2 * spoken[1]


def test_a_second_noise_makes_another_background():
    noises = [CONSTANT, np.resize(np.int16([4000, -4000]), 30 * RATE)]
    backgrounds = drawn(scenes(noise=noises, silent_share=1.0, second_noise_share=1.0), 20, 2.0)
    levels = [len(np.unique(np.abs(scene.samples).round(6))) for scene in backgrounds]
    assert max(levels) == 2


def test_synthetic_noise_takes_the_place_of_recordings():
    (scene,) = drawn(scenes(noise=[], silent_share=1.0, synthetic_noise_share=1.0), 1)
    assert np.std(scene.samples) > 0 and scene.description == "noise"


def test_a_telephone_cuts_the_highest_sounds():
    hiss = np.random.default_rng(0).integers(-9000, 9000, 160_000, dtype=np.int16)
    settings = SceneSettings(silent_share=1.0, music_share=0.0, telephone_share=1.0)
    (scene,) = drawn(Scenes(SPEECH, [hiss], [], [], 16_000, settings), 1)
    power = np.abs(np.fft.rfft(scene.samples)) ** 2
    assert power[(4500 * 10) :].sum() < 1e-3 * power.sum()


def test_a_scene_too_short_for_its_first_word_is_background_alone():
    for scene in drawn(scenes(room_share=1.0, rooms=[np.float32([1.0])]), 5, 0.05):
        assert scene.samples.shape == (50,)
        assert scene.segments == () and scene.description == "noise"
