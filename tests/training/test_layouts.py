"""Folders as they are found in the world, read as clips."""

import warnings
from pathlib import Path

import pytest

from streamrnn.audio import AudioWarning
from streamrnn.training import Clip, find_folders, read_folder


def make(folder: Path, *files: str, **texts: str) -> Path:
    """Empty files, and text files by name ("." is written as "__")."""
    contents = dict.fromkeys(files, "") | {name.replace("__", "."): text for name, text in texts.items()}
    for name, text in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_a_manifest_comes_before_all_else(tmp_path):
    make(tmp_path, "yes/a.wav", manifest__csv="path,label,split\nyes/a.wav,oui,train\n")
    assert read_folder(tmp_path) == [Clip(tmp_path / "yes/a.wav", label="oui", split="train")]


def test_a_folder_per_class_gives_its_name_to_its_clips_in_order(tmp_path):
    make(
        tmp_path,
        "yes/b.wav",
        "yes/a.FLAC",
        "no/c.ogg",
        "no/d.mp3",
        "no/notes.txt",
        "no/._c.ogg",
        ".cache/e.wav",
        "f.wav",
    )
    clips = [(clip.path.relative_to(tmp_path).as_posix(), clip.label) for clip in read_folder(tmp_path)]
    assert clips == [("no/c.ogg", "no"), ("no/d.mp3", "no"), ("yes/a.FLAC", "yes"), ("yes/b.wav", "yes")]


def test_background_noise_is_a_class_like_others(tmp_path):
    make(tmp_path, "_background_noise_/pink_noise.wav", "yes/a.wav")
    assert {clip.label for clip in read_folder(tmp_path)} == {"_background_noise_", "yes"}


# Of the lists that Speech Commands comes with: these speakers are in the split that stands with them.
@pytest.mark.parametrize(
    ("speaker", "split"),
    [
        ("004ae714", "train"),
        ("0132a06d", "train"),
        ("060cd039", "valid"),
        ("1a9afd33", "valid"),
        ("1b4c9b89", "test"),
        ("2c6d3924", "test"),
    ],
)
def test_speakers_without_lists_are_split_as_speech_commands_does_it(tmp_path, speaker, split):
    make(tmp_path, f"yes/{speaker}_nohash_0.wav", f"no/{speaker}_nohash_3.wav")
    assert {(clip.speaker, clip.split) for clip in read_folder(tmp_path)} == {(speaker, split)}


def test_files_without_a_speaker_are_split_by_their_name_about_as_speakers_are(tmp_path):
    make(tmp_path, *(f"{label}/{number}.wav" for label in ("yes", "no") for number in range(300)))
    clips = read_folder(tmp_path)
    assert {clip.speaker for clip in clips} == {""}
    splits = [clip.split for clip in clips]
    assert all(40 <= splits.count(split) <= 80 for split in ("valid", "test"))
    by_name = {(clip.path.name, clip.split) for clip in clips}
    assert len(by_name) == 300


def test_the_lists_of_a_folder_decide_its_splits(tmp_path):
    make(
        tmp_path,
        *(f"yes/{speaker}_nohash_0.wav" for speaker in "abc"),
        validation_list__txt="yes/b_nohash_0.wav\n",
        testing_list__txt="yes/c_nohash_0.wav\nno/gone_nohash_1.wav\n",
    )
    splits = {clip.speaker: clip.split for clip in read_folder(tmp_path)}
    assert splits == {"a": "train", "b": "valid", "c": "test"}


@pytest.mark.parametrize(
    ("part", "split"),
    [("train-clean-100", "train"), ("dev-other", "valid"), ("test-clean", "test"), ("dev-clean-2", "valid")],
)
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "one part"])
def test_librispeech_is_read_with_speakers_transcripts_and_splits(tmp_path, part, split, whole):
    chapter = tmp_path / part / "84" / "121123"
    make(chapter, "84-121123-0000.flac", "84-121123-0001.flac")
    make(chapter, **{"84-121123__trans__txt": "84-121123-0000 GO ON\n84-121123-0001 DON'T\n"})
    about = {"speaker": "84", "split": split}
    assert read_folder(tmp_path if whole else tmp_path / part) == [
        Clip(chapter / "84-121123-0000.flac", transcript="GO ON", **about),
        Clip(chapter / "84-121123-0001.flac", transcript="DON'T", **about),
    ]


def test_parts_of_other_names_are_split_by_speaker(tmp_path):
    for speaker in range(60):
        make(tmp_path / "mine" / str(speaker) / "1", **{f"{speaker}-1__trans__txt": f"{speaker}-1-0000 A\n"})
    assert {clip.split for clip in read_folder(tmp_path)} == {"train", "valid", "test"}


@pytest.mark.parametrize("files", [[], ["readme.txt"], ["yes/notes.txt"], ["x/y/z/a.wav"]])
def test_a_folder_without_recordings_in_a_layout_says_what_was_looked_for(tmp_path, files):
    make(tmp_path, *files)
    for read in (read_folder, lambda folder: find_folders([folder])):
        with pytest.raises(ValueError, match=r"no recordings in a known layout.*manifest\.csv; .*LABEL.*trans\.txt"):
            read(tmp_path)


def test_librispeech_with_empty_transcripts_is_refused_as_a_folder_without_recordings(tmp_path):
    make(tmp_path / "dev-clean" / "1" / "2", **{"1-2__trans__txt": "\n"})
    with pytest.raises(ValueError, match="no recordings in a known layout"):
        read_folder(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    for read in (read_folder, lambda folder: find_folders([folder])):
        with pytest.raises(FileNotFoundError, match="gone is no folder"):
            read(tmp_path / "gone")


@pytest.mark.parametrize("count", [1, 5])
def test_speakers_in_more_than_one_split_are_warned_of(tmp_path, count):
    rows = "".join(f"a.wav,s{n},train\nb.wav,s{n},test\n" for n in range(count))
    make(tmp_path, manifest__csv=f"path,speaker,split\n{rows}c.wav,,train\nd.wav,,test\n")
    named = r"s0\." if count == 1 else r"s0, s1, s2 and 2 more\."
    with pytest.warns(AudioWarning, match=rf"more than one split, {count} in all: {named}"):
        assert len(read_folder(tmp_path)) == 2 * count + 2


def test_recordings_that_are_listed_with_different_splits_or_labels_are_named(tmp_path):
    rows = "a.wav,yes,train\na.wav,yes,valid\nb.wav,yes,train\nb.wav,no,train\nc.wav,no,train\nc.wav,no,train\n"
    (tmp_path / "manifest.csv").write_text(f"path,label,split\n{rows}")
    with pytest.warns(AudioWarning, match=r"more than once, with different .*, 2 in all: a\.wav, b\.wav\."):
        assert len(read_folder(tmp_path)) == 6


def test_lists_of_a_folder_in_another_encoding_are_named(tmp_path):
    (tmp_path / "yes").mkdir()
    (tmp_path / "yes" / "a.wav").touch()
    (tmp_path / "testing_list.txt").write_bytes("yes/ä.wav\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"testing_list\.txt is not in UTF-8"):
        read_folder(tmp_path)


def test_speakers_in_one_split_are_not_warned_of(tmp_path):
    make(tmp_path, manifest__csv="path,speaker,split\na.wav,x,train\nb.wav,x,train\nc.wav,y,test\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_folder(tmp_path)


def test_folders_are_found_as_named_and_right_inside_of_one(tmp_path):
    words = make(tmp_path / "words", "yes/a.wav")
    make(tmp_path / "many" / "talk", manifest__csv="path\na.wav\n")
    make(tmp_path / "many" / "LibriSpeech" / "dev-clean" / "1" / "2", **{"1-2__trans__txt": ""})
    make(tmp_path / "many" / "noise", "rain/a.ogg")
    make(tmp_path / "many" / "empty")
    many = tmp_path / "many"
    assert find_folders([words, many]) == [words, many / "LibriSpeech", many / "noise", many / "talk"]
    assert find_folders([many, many / "talk"]) == [many / "LibriSpeech", many / "noise", many / "talk"]


def test_recordings_right_in_a_folder_have_no_label_and_no_split(tmp_path):
    make(tmp_path / "noise", "b.wav", "a.ogg", "._a.ogg", "readme.txt")
    clips = [Clip(tmp_path / "noise/a.ogg"), Clip(tmp_path / "noise/b.wav")]
    assert find_folders([tmp_path / "noise"]) == [tmp_path / "noise"] and read_folder(tmp_path / "noise") == clips


def test_words_and_noise_beside_each_other_are_no_classes(tmp_path):
    make(tmp_path, "words/yes/a.wav", "words/no/b.wav", "noise/rain.wav", "talk/c.flac")
    assert find_folders([tmp_path]) == [tmp_path / name for name in ("noise", "talk", "words")]


def test_folders_with_manifests_are_not_taken_for_classes(tmp_path):
    for name in ("a", "b"):
        make(tmp_path / name, "1.wav", manifest__csv="path\n1.wav\n")
    assert find_folders([tmp_path]) == [tmp_path / "a", tmp_path / "b"]
