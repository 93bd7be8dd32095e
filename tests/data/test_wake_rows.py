"""Rows of sound for wake words, and phrases said by voices."""

import csv

import numpy as np

from streamrnn.data import Augment, AugmentSettings
from streamrnn.data.said import say_phrases
from streamrnn.data.voices import Said
from streamrnn.data.wake_rows import WakeRows

RATE = 2000
STILL = AugmentSettings(
    speed=(1.0, 1.0), room_share=0, noise_share=0, music_share=0, babble_share=0, band_limit_share=0, gain_db=(0, 0)
)
WORD = np.concatenate([np.zeros(300), 0.3 * np.sin(np.arange(800)), np.zeros(500)]).astype(np.float32)


def rows(**pools) -> WakeRows:
    given = {"words": [WORD], "near": [], "talk": [], "sounds": [], **pools}
    return WakeRows(augment=Augment([], [], [], [], RATE, STILL), length=4 * RATE, sample_rate=RATE, **given)


def test_a_row_tells_where_its_words_are():
    row = rows().with_word(np.random.default_rng(0), 0)
    assert len(row.samples) == 4 * RATE and row.spans
    said = np.zeros(4 * RATE, bool)
    for start, end in row.spans:
        said[start:end] = True
        assert abs(end - start - 800) <= 40 and np.std(row.samples[start:end]) > 0.01
    assert np.abs(row.samples[~said]).max() < 0.1 * np.abs(row.samples).max()


def test_sound_as_recorded_is_all_there_in_its_order():
    lengths = [3000, 9000, 17000, 100]
    sounds = [np.full(n, n / 32768, np.float32) for n in lengths]
    made = np.concatenate([row.samples for row in rows().as_recorded(sounds)])
    assert len(made) % (4 * RATE) == 0
    heard = made[np.flatnonzero(np.diff(made, prepend=0) * (made != 0))]
    np.testing.assert_allclose(heard * 32768, lengths, rtol=1e-4)
    assert [int(np.sum(np.isclose(made * 32768, n, rtol=1e-4))) for n in (3000, 9000, 17000, 100)] == [
        3000,
        9000,
        17000,
        100,
    ]


def test_rows_of_sound_as_recorded_tell_which_recording_is_where():
    lengths = [3000, 9000, 17000, 100]
    sounds = [np.full(n, n / 32768, np.float32) for n in lengths]
    made = list(rows().as_recorded(sounds))
    for row in made:
        for (begin, index), (following, _) in zip(
            row.recorded, [*row.recorded[1:], (len(row.samples), 0)], strict=True
        ):
            heard = row.samples[max(begin, 0) : min(begin + lengths[index], following)]
            np.testing.assert_allclose(heard * 32768, lengths[index], rtol=1e-4)
    assert [index for _, index in made[0].recorded] == [0, 1]
    assert {index for row in made for _, index in row.recorded} == {0, 1, 2, 3}


def test_rows_without_the_word_are_full_of_what_sounds_alike():
    row = rows(near=[WORD[300:1100]]).near_word(np.random.default_rng(0), 0)
    assert not row.spans and np.mean(np.abs(row.samples) > 0.005) > 0.3


class Talker:
    name = "talker"
    missing = ""
    calls = 0

    def say(self, rng, text, sample_rate, *, held_out=False):
        self.calls += 1
        return Said(np.full(100, 0.1, np.float32), "held" if held_out else "heard")


def test_phrases_are_said_once_and_kept(tmp_path):
    talker, told = Talker(), []
    say_phrases(["a", "b"], 30, [talker], tmp_path, 8000, told=lambda done, total: told.append((done, total)))
    listed = list(csv.DictReader((tmp_path / "manifest.csv").read_text().splitlines()))
    assert len(listed) == 30 and {row["transcript"] for row in listed} == {"a", "b"} and told[-1] == (30, 30)
    assert {(row["speaker"], row["split"]) for row in listed} == {("held", "valid"), ("heard", "train")}
    say_phrases(["a", "b"], 32, [talker], tmp_path, 8000)
    whole = (tmp_path / "manifest.csv").read_text()
    assert talker.calls == 32 and len(whole.splitlines()) == 33
    # A full disk took the end of the last row.
    (tmp_path / "manifest.csv").write_text(whole[:-9])
    say_phrases(["a", "b"], 32, [talker], tmp_path, 8000)
    assert talker.calls == 33 and (tmp_path / "manifest.csv").read_text() == whole
