"""What lies in folders of recordings, and what of it is held out."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from streamrnn.audio import AudioWarning, write_audio
from streamrnn.data import Clip
from streamrnn.data.layouts import read_folder
from streamrnn.data.recordings import (
    balanced_sounds_of,
    find_recordings,
    held_out,
    recordings_to_train_on,
    sounds_of,
    without,
)


def valid_names(clips):
    return [clip.path.name for clip in clips if clip.split == "valid"]


def test_every_tenth_speaker_is_held_out():
    clips = [Clip(Path(f"{n}.wav"), speaker=f"s{n % 20}", label="a", split="train") for n in range(60)]
    held = held_out(clips)
    assert {clip.speaker for clip in held if clip.split == "valid"} == {"s0", "s10"}
    assert [clip.path for clip in held] == [clip.path for clip in clips]


@pytest.mark.parametrize("speakers", [("", ""), ("x", "y")])
def test_of_few_speakers_every_tenth_clip_of_a_label_is_held_out(speakers):
    clips = [Clip(Path(f"{n}.wav"), speaker=speakers[n % 2], label="ab"[n % 2], split="train") for n in range(24)]
    only = Clip(Path("only.wav"), label="c", split="train")
    assert valid_names(held_out([*clips, only])) == ["0.wav", "1.wav", "20.wav", "21.wav"]


def test_what_has_a_valid_split_is_left_as_it_is():
    clips = [Clip(Path(f"{n}.wav"), split="valid" if n == 7 else "train") for n in range(9)]
    assert held_out(clips) == clips


def test_folders_that_say_nothing_of_splits_have_some_held_out(tmp_path):
    for name in ("noise", "talk"):
        (tmp_path / name).mkdir()
        for number in range(12):
            (tmp_path / name / f"{number:02}.wav").touch()
    (tmp_path / "told").mkdir()
    (tmp_path / "told" / "manifest.csv").write_text("path,split\na.wav,train\nb.wav,\nc.wav,test\n")
    found = find_recordings([tmp_path])
    assert valid_names(found.noise) == valid_names(found.speech[tmp_path / "talk"]) == ["00.wav", "10.wav"]
    assert [clip.split for clip in found.speech[tmp_path / "told"]] == ["train", "train", "test"]


def test_folders_of_noise_are_known_in_any_case_from_inside_and_by_the_name_of_a_link(tmp_path, monkeypatch):
    for name in ("Noise", "MUSIC-1", "esc"):
        (tmp_path / name).mkdir()
        write_audio(tmp_path / name / "a.wav", np.zeros(100, np.float32), 16_000)
    (tmp_path / "noise-more").symlink_to(tmp_path / "esc")
    found = find_recordings([tmp_path / "Noise", tmp_path / "MUSIC-1", tmp_path / "noise-more"])
    assert (len(found.noise), len(found.music), found.speech) == (2, 1, {})
    monkeypatch.chdir(tmp_path / "Noise")
    assert len(find_recordings([Path()]).noise) == 1


def test_splits_that_training_does_not_know_are_counted_and_named(tmp_path):
    (tmp_path / "manifest.csv").write_text("path,split\na.wav,train\nb.wav,dev\nc.wav,dev\nd.wav,test2\ne.wav,test\n")
    for name in "abcde":
        (tmp_path / f"{name}.wav").touch()
    with pytest.warns(
        AudioWarning, match=r"3 recordings are not used, .*: dev \(2\), test2 \(1\)\. Training knows train, "
    ):
        recordings_to_train_on([tmp_path])


def test_recordings_to_leave_out_are_named_with_or_without_their_ending(tmp_path):
    for folder in ("talk", "noise"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "manifest.csv").write_text("path,split\na.wav,train\nb.wav,train\nc.wav,valid\n")
        for name in "abc":
            (tmp_path / folder / f"{name}.wav").touch()
    found = recordings_to_train_on([tmp_path], ["a", "c.wav"])
    assert [clip.path.name for clip in (*found.speech[tmp_path / "talk"], *found.noise)] == ["b.wav", "b.wav"]
    with pytest.raises(ValueError, match=r"exclude names d\.wav, but there is no such recording.*such as a\.wav"):
        recordings_to_train_on([tmp_path], ["a", "d.wav"])
    with pytest.raises(ValueError, match="exclude leaves none of 6 recordings"):
        recordings_to_train_on([tmp_path], ["a", "b", "c"])


def test_a_clip_of_a_recording_that_holds_many_is_left_out_by_its_place(tmp_path):
    write_audio(tmp_path / "a@b.wav", np.zeros(16_000, np.float32), 8000)
    (tmp_path / "manifest.csv").write_text("path,start,end\na@b.wav,0,6000\na@b.wav,6000,12000\na@b.wav,12000,\n")
    for names, kept in ((["a@b@1.6"], [0, 6000]), (["a@b.wav@0", "a@b@1.9"], [6000]), (["a@b@0.75"], [0, 12_000])):
        assert [clip.start for clip in without(read_folder(tmp_path), names)] == kept
    for name in ("a@b@x", "a@b@", "b@1"):
        with pytest.raises(ValueError, match=f"exclude names {name}, but there is no such recording"):
            without(read_folder(tmp_path), [name])
    with pytest.raises(ValueError, match="exclude leaves none of 3"):
        without(read_folder(tmp_path), ["a@b"])


def test_recordings_that_are_not_there_are_left_out_at_once_and_named_with_their_lines(tmp_path):
    (tmp_path / "manifest.csv").write_text("path,split\ngone.wav,valid\na.wav,train\nb.wav,valid\n")
    with pytest.raises(FileNotFoundError, match=r"None of 3 recordings is there: .*gone\.wav \(.*csv, line 2\), "):
        recordings_to_train_on([tmp_path])
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).touch()
    with pytest.warns(AudioWarning, match=r"1 of 3 recordings are not there .*gone\.wav \(.*manifest\.csv, line 2\)\."):
        found = recordings_to_train_on([tmp_path])
    assert [clip.path.name for clip in found.speech[tmp_path]] == ["a.wav", "b.wav"]


def write_words(folder: Path, **rows: str) -> Path:
    """One recording, of its own sound, and row of a manifest ("label,split") for each name."""
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(rows, start=1):
        write_audio(folder / f"{name}.wav", np.full(100, number / 8, np.float32), 8000)
    lines = "".join(f"{name}.wav,{row}\n" for name, row in rows.items())
    (folder / "manifest.csv").write_text(f"path,label,split\n{lines}")
    return folder


def test_recordings_are_told_apart_by_their_sound_and_by_all_that_is_said_of_them(tmp_path):
    def digest(folder: Path) -> str:
        return find_recordings([folder]).digest

    words = write_words(tmp_path / "words", a="yes,train", b="no,train", c="no,valid")
    moved = tmp_path / "moved"
    shutil.copytree(words, moved)
    before = digest(words)
    assert digest(moved) == before
    sound = (moved / "b.wav").read_bytes()
    (moved / "b.wav").write_bytes(sound[:-2] + b"\1\1")  # the same name, length and header, another last sample
    assert digest(moved) != before
    (moved / "b.wav").write_bytes(sound)
    assert digest(moved) == before
    (moved / "vad_segments.csv").write_text("path,start,end\na.wav,0,50\n")
    labelled = digest(moved)
    (moved / "vad_segments.csv").write_text("path,start,end\na.wav,0,60\n")
    assert len({before, labelled, digest(moved)}) == 3
    (moved / "b.wav").unlink()
    assert digest(moved) not in (before, labelled)


def test_of_many_recordings_of_one_sound_some_are_named(tmp_path):
    words = write_words(tmp_path / "words", **{f"r{n}": "yes,train" if n else "yes,valid" for n in range(9)})
    for n in range(1, 9):
        shutil.copy(words / "r0.wav", words / f"r{n}.wav")
    with pytest.warns(AudioWarning, match=r"r0\.wav \(valid\) is .*r2\.wav \(train\) and so are 6 more\. Figures"):
        recordings_to_train_on([words])


def test_recordings_of_one_sound_in_two_splits_are_named_whatever_they_are_called(tmp_path):
    words = write_words(tmp_path / "words", a="yes,train", b="no,train", c="no,test", d="no,train")
    shutil.copy(words / "a.wav", words / "c.wav")
    shutil.copy(words / "b.wav", words / "d.wav")
    twins = r"1 recordings are in more than one split .*a\.wav \(train\) is .*c\.wav \(test\)\. Figures"
    with pytest.warns(AudioWarning, match=twins):
        recordings_to_train_on([words])


def test_sounds_join_and_share_what_was_decoded(tmp_path, monkeypatch):
    for number in range(3):
        write_audio(tmp_path / f"{number}.wav", np.full(100, (number + 1) / 8, np.float32), 8000)
    decoded, read = [], Clip.read
    monkeypatch.setattr(Clip, "read", lambda clip, rate: decoded.append(clip.path.stem) or read(clip, rate))
    noise, music = (sounds_of([Clip(tmp_path / f"{n}.wav") for n in of], 8000) for of in ((0, 1), (2,)))
    both = noise + music
    assert (len(both), len(sounds_of([], 8000))) == (3, 0)
    drawn = [both[2], noise[1], both[1], music[0]]
    assert [int(samples[0]) for samples in drawn] == [12288, 8192, 8192, 12288]
    assert len(decoded) == len({*decoded})


def test_small_folders_of_noise_are_drawn_as_often_as_the_root_of_their_length_says(tmp_path):
    large, small = tmp_path / "noise_games" / "engines", tmp_path / "noise"
    clips = []
    for folder, count in ((large, 64), (small, 4)):
        folder.mkdir(parents=True)
        for number in range(count):
            clips.append(Clip(folder / f"{number}.wav"))
            write_audio(clips[-1].path, np.full(8000, 0.1 if folder == small else 0.2, np.float32), 8000)
    sounds = balanced_sounds_of(clips, 8000)
    of_small = sum(1 for samples in sounds if np.abs(samples).max() < 5000)
    # 64 s against 4 s: each recording of the small folder stands for 16 / 4 of those of the large one.
    assert (of_small, len(sounds) - of_small) == (16, 64)
    assert len(balanced_sounds_of([], 8000)) == 0
