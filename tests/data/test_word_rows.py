"""Rows of running sound for keywords: what is said in them, where it may be decided, and what is surely no word."""

from pathlib import Path

import numpy as np
import pytest

from streamrnn.audio import write_audio
from streamrnn.data.clips import Clip
from streamrnn.data.live_scenes import NOISE, SPEECH, LiveScene
from streamrnn.data.store import ClipStore
from streamrnn.data.word_rows import TALK, UNWRITTEN, UNWRITTEN_WEIGHT, after_clip, label_of, utterances_of, word_row

FRAME_S = 0.02
NUMBERS = {"yes": 2, "no": 3, "shut_down": 4}


def scene(*said: tuple[int, int, int], cells: int = 600, heard: bool = True) -> LiveScene:
    truth = np.full(cells, NOISE, np.int8)
    for first, last, _ in said:
        truth[max(first, 0) : max(last, 0)] = SPEECH if heard else NOISE
    return LiveScene(np.zeros(cells * 10, np.float32), truth, ("a", "b"), said)


def test_a_word_may_be_decided_from_its_first_third_to_some_time_behind_its_end():
    row = word_row(scene((60, 120, 3)), 2, FRAME_S, 0)
    assert row.words == ((3, 40, 60 + 18),)
    assert (row.weights[:30] == 1).all() and (row.weights[30:78] == 0).all() and (row.weights[78:] == 1).all()
    assert row.quiet[:30].all() and not row.quiet[30:60].any() and row.quiet[60:].all()


def test_talk_that_nobody_wrote_down_teaches_nothing_of_the_word_before_it():
    row = word_row(scene((60, 120, 3), (130, 400, UNWRITTEN)), 2, FRAME_S, 0)
    assert (row.weights[30:78] == 0).all() and (row.weights[78:200] == UNWRITTEN_WEIGHT).all()


def test_neighbours_do_not_share_a_frame():
    (_, _, ends), (_, begins, _) = word_row(scene((60, 120, 3), (124, 184, 2)), 2, FRAME_S, 0).words
    assert ends == begins == 72


@pytest.mark.parametrize("said", [(-20, 40, 2), (560, 620, 2), (540, 580, 2)])
def test_words_that_are_cut_or_decided_in_the_next_row_are_neither_words_nor_alarms(said):
    row = word_row(scene(said), 2, FRAME_S, 5)
    assert row.words == () and (row.weights[max(said[0], 0) // 2 : said[1] // 2] == 0).all()


def test_a_word_that_nobody_can_hear_is_not_asked_for():
    row = word_row(scene((60, 120, 3), heard=False), 2, FRAME_S, 0)
    assert row.words == () and (row.weights[30:60] == 0).all()


def test_other_words_are_told_from_the_words_and_raise_alarms():
    row = word_row(scene((60, 120, 1)), 2, FRAME_S, 0)
    assert [word[0] for word in row.words] == [1] and (row.weights == 1).all()


def test_talk_raises_alarms_less_surely_where_nobody_wrote_down_what_is_said():
    row = word_row(scene((60, 120, 0), (200, 300, -1)), 2, FRAME_S, 0)
    assert row.words == () and (row.weights[:100] == 1).all() and (row.weights[100:150] == 0.5).all()


def test_a_clip_comes_before_the_row():
    row = after_clip(np.ones(100, np.float32), 2, word_row(scene((60, 120, 3)), 2, FRAME_S, 0), 8, 20)
    assert row.words == ((2, 0, 5), (3, 48, 86)) and len(row.weights) == len(row.quiet) == 308
    assert (row.weights[:8] == 0).all() and row.samples[:160].sum() == 100
    silence = after_clip(np.ones(100, np.float32), 0, word_row(scene(), 2, FRAME_S, 0), 8, 20)
    assert silence.words == () and silence.weights[:5].all() and silence.quiet[:5].all()


def clip(label: str = "", transcript: str = "") -> Clip:
    return Clip(Path("a.wav"), label=label, transcript=transcript)


@pytest.mark.parametrize(
    ("said", "is_of_words", "label"),
    [
        (clip("no", "NO"), True, 3),
        (clip("house"), True, 1),
        (clip("speech"), False, -1),
        (clip("names", "A house"), False, 0),
        (clip("names", "I said NO!"), False, None),
        (clip("names", "He said “no” to me"), False, None),
        (clip("names", "Well: shut, down it goes"), False, None),
        (clip("other", "HOUSE"), False, 1),
    ],
)
def test_what_is_said_in_a_clip_follows_from_its_label_and_transcript(said, is_of_words, label):
    assert label_of(said, NUMBERS, is_of_words) == label


def test_words_are_drawn_alike_however_many_recordings_there_are(tmp_path):
    clips = []
    for number, label in enumerate(["yes", "yes", "yes", "no", "house"]):
        tone = np.concatenate([np.zeros(400), 0.3 * np.sin(np.arange(600)), np.zeros(600)]).astype(np.float32)
        write_audio(tmp_path / f"{number}.wav", tone, 2000)
        clips.append(Clip(tmp_path / f"{number}.wav", label=label))
    pools = utterances_of([clips], ClipStore(clips, 2000), ("yes", "no"), 20, 2000)
    assert [(round(share, 2), pool.label, len(pool)) for share, pool in pools] == [
        (0.33, 2, 3),
        (0.33, 3, 1),
        (0.23, 1, 1),
    ]
    talk = [*clips, Clip(tmp_path / "4.wav", transcript="well I said no such thing at all")]
    few = utterances_of([clips, talk[-1:]], ClipStore(talk, 2000), ("yes", "maybe"), 20, 2000, talk_share=0.6)
    assert {pool.label: round(share, 3) for share, pool in few}[TALK] == 0.6
    assert sum(share for share, _ in few) == pytest.approx(1.0)
    short, whole = pools[0][1][0], pools[0][1][1]
    assert len(short.samples) < 1100 and len(whole.samples) == 1600
    for spoken in (short, whole):
        loud = np.square(spoken.samples.astype(float).reshape(-1, 20)).mean(1) > 1e4
        np.testing.assert_array_equal(loud, spoken.cells == SPEECH)
