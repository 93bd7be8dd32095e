"""Scenes whose backgrounds begin and end, and lines that mute, gate and lose packets."""

import dataclasses

import numpy as np
import pytest

from streamrnn.data import lines, tones
from streamrnn.data.live_scenes import (
    NOISE,
    SPEECH,
    UNKNOWN,
    LiveScenes,
    LiveSettings,
    Spoken,
    trimmed,
    whispered,
)
from streamrnn.data.melodies import music
from streamrnn.data.textures import breaths, clicks, engine, texture

RATE, CELL = 8000, 80
PLAIN = LiveSettings(
    whisper_share=0.0,
    far_share=0.0,
    silent_share=0.0,
    speed_share=0.0,
    room_share=0.0,
    steady_share=0.0,
    events_s=1e9,
    floor_db=(-90.0, -89.0),
    gain_db=(0.0, 0.0),
    colour_share=0.0,
    telephone_share=0.0,
    codec_share=0.0,
    clip_share=0.0,
    mute_share=0.0,
    gate_share=0.0,
    loss_share=0.0,
)


def spoken() -> Spoken:
    """Half a second of a vowel between quarters of silence."""
    t = np.arange(RATE) / RATE
    says = (t >= 0.25) & (t < 0.75)
    vowel = sum(np.sin(2 * np.pi * 130 * h * t) / h for h in range(1, 8)) * says
    return Spoken((6000 * vowel).astype(np.int16), says[CELL // 2 :: CELL].astype(np.int8), "vowel")


def scenes(**settings) -> LiveScenes:
    rng = np.random.default_rng(0)
    noise = (3000 * rng.standard_normal(3 * RATE)).astype(np.int16)
    music = (5000 * np.sin(np.arange(2 * RATE) / 5)).astype(np.int16)
    room = np.float32([0.9, 0, 0, 0.3, 0, 0.1])
    return LiveScenes([(1.0, [spoken()])], [noise], [music], [room], RATE, CELL, dataclasses.replace(PLAIN, **settings))


def power_of(scene) -> np.ndarray:
    return np.square(scene.samples.reshape(-1, CELL)).mean(-1)


def test_speech_is_where_the_cells_say_it_is():
    for seed in range(5):
        scene = scenes().draw(np.random.default_rng(seed), 600)
        loud = power_of(scene) > 1e-4
        assert np.mean(loud == (scene.cells == SPEECH)) > 0.98
        assert set(scene.names) == {"vowel"}


def test_the_same_generator_gives_the_same_scene():
    every = dataclasses.asdict(LiveSettings())
    one, same = (scenes(**every).draw(np.random.default_rng(3), 800) for _ in range(2))
    np.testing.assert_array_equal(one.samples, same.samples)
    np.testing.assert_array_equal(one.cells, same.cells)


def test_scenes_with_everything_are_finite_sound_within_full_scale():
    drawn = scenes(
        **{name: 0.5 for name in dataclasses.asdict(LiveSettings()) if name.endswith("_share")}, events_s=0.5
    )
    for seed in range(40):
        scene = drawn.draw(np.random.default_rng(seed), 300)
        assert scene.samples.dtype == np.float32 and len(scene.samples) == 300 * CELL
        assert np.isfinite(scene.samples).all() and np.abs(scene.samples).max() <= 1
        assert scene.cells.shape == (300,) and set(np.unique(scene.cells)) <= {NOISE, SPEECH, UNKNOWN}


def test_backgrounds_are_louder_where_nobody_speaks_and_nowhere_else():
    rest = {"steady_share": 1.0, "snr_db": (20.0, 20.0)}
    for silent_share, louder_db in ((1.0, 15.0), (0.0, 0.0)):
        plain, raised = (
            scenes(**rest, silent_share=silent_share, alone_db=(db, db)).draw(np.random.default_rng(4), 600)
            for db in (0.0, 15.0)
        )
        background = plain.cells == NOISE
        ratio = power_of(raised)[background].mean() / power_of(plain)[background].mean()
        assert 10 * np.log10(ratio) == pytest.approx(louder_db, abs=2.0)


def test_backgrounds_are_of_the_kinds_asked_for():
    drawn = scenes(silent_share=1.0, steady_share=1.0, kinds={"tones": 2.0, "clicks": 0.0})
    only = scenes(silent_share=1.0, steady_share=1.0, kinds={"tones": 1.0})
    for seed in range(5):
        one, other = (some.draw(np.random.default_rng(seed), 300).samples for some in (drawn, only))
        np.testing.assert_array_equal(one, other)


def test_backgrounds_begin_and_end_within_a_scene():
    drawn = scenes(silent_share=1.0, events_s=5.0, snr_db=(-10.0, 0.0))
    rises = 0
    for seed in range(20):
        power_db = 10 * np.log10(power_of(drawn.draw(np.random.default_rng(seed), 1000)) + 1e-12)
        loud = power_db > -60
        rises += loud.any() and not loud.all()
    assert rises > 8


def is_cry(sound: np.ndarray) -> bool:
    """Whether nearly all of its power lies at 1.3 radians per sample."""
    power = np.square(np.abs(np.fft.rfft(sound * np.hanning(len(sound)))))
    place = round(1.3 / (2 * np.pi) * len(sound))
    return bool(power[place - 2 : place + 3].sum() > 0.8 * power.sum())


def test_cries_are_heard_apart_from_noise_and_as_often_as_their_share_says():
    cry = (8000 * np.sin(1.3 * np.arange(RATE))).astype(np.int16)
    drawn = dataclasses.replace(scenes(), cries=[cry])
    heard = [is_cry(drawn._sound(np.random.default_rng(seed), RATE)) for seed in range(400)]
    # Of 400 with a share of 0.05: 20, with a deviation of 4.4.
    assert 8 <= sum(heard) <= 34
    without = [is_cry(scenes()._sound(np.random.default_rng(seed), RATE)) for seed in range(400)]
    assert not any(without)


def test_nobody_speaks_in_scenes_without_speech_whatever_else_sounds():
    scene = scenes(silent_share=1.0, steady_share=1.0, gate_share=0.5).draw(np.random.default_rng(1), 500)
    assert not scene.cells.any() and scene.names == ()


def test_speech_that_noise_drowns_is_unknown():
    scene = scenes(steady_share=1.0, snr_db=(-40.0, -40.0)).draw(np.random.default_rng(2), 600)
    assert not (scene.cells == SPEECH).any() and (scene.cells == UNKNOWN).any()


def test_nobody_speaks_while_the_line_is_muted():
    scene = scenes(mute_share=1.0).draw(np.random.default_rng(5), 2000)
    assert not (scene.cells[power_of(scene) == 0] == SPEECH).any()


def test_a_gate_leaves_speech_as_it_is_and_nothing_between():
    closed, opened = (scenes(gate_share=share).draw(np.random.default_rng(7), 1500) for share in (1.0, 0.0))
    says = np.repeat(opened.cells == SPEECH, CELL)
    np.testing.assert_allclose(closed.samples[says], opened.samples[says], atol=1e-4)
    assert len(np.unique(closed.samples[~says])) > 1


def test_what_was_lost_for_a_whole_cell_is_unknown_and_silent():
    scene = scenes(loss_share=1.0).draw(np.random.default_rng(4), 1500)
    lost = (power_of(scene) == 0) & (scene.cells != NOISE)
    assert lost.any() and (scene.cells[lost] == UNKNOWN).all()


def test_a_recording_is_trimmed_to_its_speech():
    short = trimmed(spoken(), CELL)
    assert np.flatnonzero(short.cells == SPEECH)[0] == 10
    assert len(short.cells) == 70 and len(short.samples) == 70 * CELL


def test_whispers_have_no_pitch_and_stay_finite_where_loud_sound_ends():
    rng = np.random.default_rng(0)
    loud = np.r_[rng.standard_normal(4000), np.zeros(4000)].astype(np.float32)
    assert np.isfinite(whispered(rng, loud)).all()
    t = np.arange(RATE) / RATE
    vowel = np.float32(sum(np.sin(2 * np.pi * 150 * h * t) / h for h in range(1, 20)))
    lag = round(RATE / 150)
    alike = [np.corrcoef(x[:-lag], x[lag:])[0, 1] for x in (vowel, whispered(rng, vowel))]
    assert alike[0] > 0.9 and abs(alike[1]) < 0.5


@pytest.mark.parametrize("make", [*dict.fromkeys(tones.KINDS), breaths, clicks, texture, engine, music])
@pytest.mark.parametrize("n", [80, 400, 2 * RATE])
def test_sounds_of_machines_and_bodies_are_finite_and_as_long_as_asked(make, n):
    for seed in range(5):
        sound = make(np.random.default_rng(seed), n, RATE)
        assert sound.shape == (n,) and sound.dtype == np.float32 and np.isfinite(sound).all()


def test_a_push_button_sounds_as_two_tones():
    sound = tones.keypad(np.random.default_rng(0), 4 * RATE, RATE)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    frequencies = np.fft.rfftfreq(len(sound), 1 / RATE)
    heard = {round(frequencies[k]) for k in np.argsort(spectrum)[-6:]}
    known = (*tones.DTMF_ROWS_HZ, *tones.DTMF_COLUMNS_HZ)
    assert all(min(abs(f - k) for k in known) < 12 for f in heard)


@pytest.mark.parametrize(("codec", "correlation"), [("ulaw", 0.99), ("alaw", 0.99), ("gsm", 0.8), ("opus", 0.8)])
def test_a_codec_moves_nothing_in_time_and_keeps_the_sound(codec, correlation):
    t = np.arange(2 * RATE) / RATE
    sound = np.float32(0.2 * np.sin(2 * np.pi * 300 * t) * (1 + np.sin(2 * np.pi * 3 * t)))
    through = lines.coded(sound, RATE, codec)
    assert through.shape == sound.shape and np.corrcoef(through, sound)[0, 1] > correlation


def test_packets_are_lost_as_often_as_asked_and_nothing_else_changes():
    sound = np.ones(500 * 160, np.float32)
    heard, lost = lines.losing_packets(np.random.default_rng(0), sound, RATE, 0.1)
    assert 0.05 < lost.mean() < 0.15
    np.testing.assert_array_equal(heard, np.where(lost, 0, 1))
