"""`streamrnn record`: what is kept, what is asked for again, and the review."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest

from streamrnn.audio import AudioError, read_audio, write_audio
from streamrnn.audio.source import Source
from streamrnn.cli.record import Clips, Take, review

WORDS = Path(__file__).parents[2] / "audio_samples" / "two_words"
RATE = 16_000


def word(number: int = 0) -> np.ndarray:
    """A word of a synthetic voice, at half of full scale."""
    samples = read_audio(sorted(WORDS.rglob("*.ogg"))[number])[0]
    return samples * (0.5 / np.abs(samples).max())


def loud_part(samples: np.ndarray) -> np.ndarray:
    loud = np.flatnonzero(np.abs(samples) > 0.1)
    return samples[loud[0] : loud[-1]]


def said(*words: np.ndarray, room: float = 1e-4) -> np.ndarray:
    """The words with pauses between, in a room with this much noise."""
    pause = np.zeros(RATE, np.float32)
    sound = np.concatenate([pause, *(part for one in words for part in (one, pause))])
    return (sound + room * np.random.default_rng(0).standard_normal(len(sound))).clip(-1, 1).astype(np.float32)


@pytest.fixture
def recorded(tmp_path):
    def write(sound: np.ndarray) -> Path:
        write_audio(tmp_path / "said.wav", sound, RATE)
        return tmp_path / "said.wav"

    return write


def test_each_word_is_a_clip_and_recording_ends_with_the_last(streamrnn, capsys, recorded, tmp_path):
    source = recorded(said(*(word(i) for i in range(4))))
    assert streamrnn("record", "yes", tmp_path / "mine", "--count", "3", "--source", source) == 0
    files = sorted((tmp_path / "mine" / "yes").iterdir())
    assert [file.name for file in files] == ["0000.wav", "0001.wav", "0002.wav"]
    for number, file in enumerate(files):
        samples, rate = read_audio(file)
        assert rate == RATE
        assert 0.3 < len(samples) / RATE < len(word(number)) / RATE + 0.5
    printed = capsys.readouterr()
    assert "3/3" in printed.out
    assert printed.err == f"3 clips in {tmp_path / 'mine' / 'yes'}\n"


def test_clips_that_are_there_stay_and_the_speaker_is_in_the_name(streamrnn, recorded, tmp_path):
    source = recorded(said(word()))
    for _ in range(2):
        assert streamrnn("record", "yes", tmp_path, "--speaker", "ada", "--source", source) == 0
    assert sorted(p.name for p in (tmp_path / "yes").iterdir()) == ["ada_nohash_0000.wav", "ada_nohash_0001.wav"]


@pytest.mark.parametrize(
    ("sound", "told"),
    [
        (said(word().clip(-0.02, 0.02) * 50), "too loud, it was clipped"),
        (said(word() * 0.004, room=1e-6), "too soft"),
        (said(word(), room=0.03), "dB louder than the room"),
        (said(np.tile(loud_part(word()), 12)), "too long"),
    ],
    ids=["clipped", "soft", "noise", "long"],
)
def test_what_is_no_good_is_asked_for_again_and_not_kept(streamrnn, capsys, recorded, tmp_path, sound, told):
    assert streamrnn("record", "yes", tmp_path, "--longest-s", "1.5", "--source", recorded(sound)) == 2
    printed = capsys.readouterr()
    assert told in printed.out
    assert "no clip was kept" in printed.err
    assert not (tmp_path / "yes").exists()


def test_a_microphone_that_fails_keeps_what_was_recorded(streamrnn, capsys, monkeypatch, tmp_path):
    class Unplugged(Source):
        sample_rate = RATE

        def __iter__(self):
            yield from np.split(np.concatenate([np.zeros(3 * RATE, np.float32), said(word(), word())])[: 6 * RATE], 300)
            raise AudioError("the microphone stopped delivering sound.")

        def close(self) -> None:
            pass

    monkeypatch.setattr("streamrnn.cli.record.Microphone", lambda device: Unplugged())
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert streamrnn("record", "yes", tmp_path) == 2
    printed = capsys.readouterr()
    assert "Be quiet for 3 seconds" in printed.out
    assert printed.err.endswith("streamrnn: the microphone stopped delivering sound.\n")
    assert len(list((tmp_path / "yes").iterdir())) == int(printed.out.splitlines()[-1].split("/")[0]) > 0


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("a/b", "OUT"), "without slashes"),
        (("yes", "OUT", "--count", "0"), "must be at least 1"),
        (("yes", "OUT", "--longest-s", "0.1"), "it must be above 0.2"),
        (("yes", "OUT", "--speaker", "a b"), "letters, digits and hyphens"),
        (("yes", "OUT", "--source", "-", "--device", "1"), "--device is for the source mic"),
        (("yes", "OUT", "--source", "none.wav"), "none.wav"),
    ],
)
def test_flags_that_mean_nothing_are_refused(streamrnn, capsys, tmp_path, flags, told):
    out = tmp_path / "out"
    assert streamrnn("record", *(out if flag == "OUT" else flag for flag in flags)) == 2
    assert told in capsys.readouterr().err
    assert not out.exists()


def test_clips_are_played_and_deleted_by_their_numbers(capsys, tmp_path):
    clips, played = Clips(tmp_path, ""), []
    for _ in range(3):
        clips.keep(Take(word(), 0.5, -20.0, 40.0, 0), RATE)
    answers = iter(["p 2", "9", "²", "2 2", "p 3", ""])
    review(clips, lambda _: next(answers), played.append)
    assert [path.name for path in played] == ["0001.wav", "0002.wav"]
    assert (
        sorted(path.name for path in tmp_path.iterdir())
        == ["0000.wav", "0002.wav"]
        == [path.name for path in clips.kept.values()]
    )
    assert "the clips are 1, 2, 3" in capsys.readouterr().out


def test_the_end_of_the_input_keeps_all_clips(tmp_path):
    def end(_):
        raise EOFError

    clips = Clips(tmp_path, "")
    clips.keep(Take(word(), 0.5, -20.0, 40.0, 0), RATE)
    review(clips, end, lambda path: None)
    assert [path.name for path in tmp_path.iterdir()] == ["0000.wav"]


def test_a_folder_that_is_a_file_is_refused_before_a_word_is_said(streamrnn, recorded, tmp_path, capsys):
    (tmp_path / "mine").write_text("notes")
    assert streamrnn("record", "yes", tmp_path / "mine", "--source", recorded(said(word()))) == 2
    told = capsys.readouterr()
    assert "mine: it is a file, and a folder is needed" in told.err and "1/20" not in told.out
