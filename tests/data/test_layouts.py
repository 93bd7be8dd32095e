"""Folders as they are found in the world, read as clips."""

import warnings
from pathlib import Path
from unicodedata import normalize

import pytest

from streamrnn.audio import AudioWarning
from streamrnn.data import Clip, find_folders, read_folder


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
    )
    clips = [(clip.path.relative_to(tmp_path).as_posix(), clip.label) for clip in read_folder(tmp_path)]
    assert clips == [("no/c.ogg", "no"), ("no/d.mp3", "no"), ("yes/a.FLAC", "yes"), ("yes/b.wav", "yes")]


KINDS_OF_SOUND = ("wav", "WAVE", "flac", "ogg", "oga", "opus", "mp3", "aif", "AIFF", "caf", "m4a", "mp4", "webm", "amr")


def test_sound_of_every_kind_counts_whatever_its_ending_so_that_what_cannot_be_read_is_named(tmp_path):
    make(tmp_path, *(f"yes/{kind}.{kind}" for kind in KINDS_OF_SOUND), "yes/notes.txt", "yes/manifest.md", "yes/wav")
    assert {clip.path.name for clip in read_folder(tmp_path)} == {f"{kind}.{kind}" for kind in KINDS_OF_SOUND}


def test_recordings_that_lie_deeper_have_the_label_of_their_class_and_one_folder_is_in_one_split(tmp_path):
    deep = [f"{label}/{who}/{n}.wav" for label in ("yes", "no") for who in range(40) for n in ("1", "more/2")]
    make(tmp_path, "yes/top.wav", "no/top.wav", *deep)
    clips = read_folder(tmp_path)
    assert {(clip.path.relative_to(tmp_path).parts[0], clip.label) for clip in clips} == {("yes", "yes"), ("no", "no")}
    assert len(clips) == 2 + len(deep) and find_folders([tmp_path]) == [tmp_path]
    splits: dict[str, set[str]] = {}
    for clip in clips:
        splits.setdefault(clip.path.relative_to(tmp_path).parts[1], set()).add(clip.split)
    assert all(len(found) == 1 for found in splits.values()) and set.union(*splits.values()) >= {"train", "test"}


def test_links_are_followed_and_circles_of_them_end(tmp_path):
    make(tmp_path / "elsewhere", "b.wav")
    make(tmp_path / "words", "yes/a.wav", "no/c.wav")
    (tmp_path / "words" / "no" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "words" / "yes" / "circle").symlink_to(tmp_path / "words")
    (tmp_path / "words" / "yes" / "itself").symlink_to(tmp_path / "words" / "yes")
    found = [(clip.path.name, clip.label) for clip in read_folder(tmp_path / "words")]
    assert found == [("c.wav", "no"), ("b.wav", "no"), ("a.wav", "yes")]


def test_recordings_beside_classes_have_no_label_and_are_named(tmp_path):
    make(tmp_path / "words", "yes/a.wav", "b.wav")
    make(tmp_path / "noise", "rain/a.wav", "b.wav")
    with pytest.warns(AudioWarning, match=r"1 recordings lie in .*words beside the folders of its classes.*: b\.wav"):
        assert [clip.label for clip in read_folder(tmp_path / "words")] == ["yes", ""]
    # Of noise nobody asks for labels.
    assert len(read_folder(tmp_path / "noise")) == 2


def test_recordings_beside_folders_of_recordings_are_named(tmp_path):
    make(tmp_path, "words/yes/a.wav", "b.wav", "talk/c.wav")
    with pytest.warns(AudioWarning, match=r"1 recordings lie in .* \(talk, words\) and are left out: b\.wav"):
        assert find_folders([tmp_path]) == [tmp_path / "talk", tmp_path / "words"]


def test_recordings_without_a_transcript_are_named(tmp_path):
    chapter = make(tmp_path / "dev-clean" / "1" / "2", "1-2-0000.flac", "1-2-0001.flac")
    make(chapter, **{"1-2__trans__txt": "1-2-0000 GO\n"})
    with pytest.warns(AudioWarning, match=r"1 recordings .* stand in no \.trans\.txt and are left out: 1-2-0001\.flac"):
        assert len(read_folder(tmp_path)) == 1


@pytest.mark.parametrize("other", ["test", "dev", "Validation"])
def test_folders_that_are_called_by_splits_are_these_splits(tmp_path, other):
    make(tmp_path, "train/yes/a.wav", "train/no/b.wav", f"{other}/yes/c.wav")
    folders = find_folders([tmp_path])
    clips = [clip for folder in folders for clip in read_folder(folder)]
    split = "test" if other == "test" else "valid"
    found = {(clip.path.name, clip.label, clip.split) for clip in clips}
    assert found == {("a.wav", "yes", "train"), ("b.wav", "no", "train"), ("c.wav", "yes", split)}


def test_splits_without_labels_are_no_classes_and_a_split_by_itself_is_a_name_like_others(tmp_path):
    make(tmp_path, "train/a.wav", "test/b.wav", "alone/test/yes/c.wav")
    clips = [clip for name in ("test", "train") for clip in read_folder(tmp_path / name)]
    assert [(clip.label, clip.split) for clip in clips] == [("", "test"), ("", "train")]
    assert find_folders([tmp_path])[1:] == [tmp_path / "test", tmp_path / "train"]
    make(tmp_path / "alone", "test/yes/1a9afd33_nohash_0.wav")
    assert {clip.split for clip in read_folder(tmp_path / "alone" / "test")} >= {"valid"}


def test_data_sets_that_may_be_labels_with_speakers_are_named(tmp_path):
    make(tmp_path, "yes/ann/a.wav", "yes/bob/b.wav", "no/ann/c.wav", "noise/rain/d.wav")
    with pytest.warns(AudioWarning, match=r"read as 3 data sets \(no, yes\) whose folders are labels \(ann, bob\)"):
        assert len(find_folders([tmp_path])) == 3


def test_noise_among_classes_is_named(tmp_path):
    make(tmp_path, "yes/a.wav", "no/b.wav", "noise/c.wav")
    with pytest.warns(AudioWarning, match="read as a folder of classes, and noise as labels among them"):
        assert find_folders([tmp_path]) == [tmp_path]


def test_a_list_that_names_none_of_the_recordings_is_named(tmp_path):
    make(tmp_path, "yes/a.wav", testing_list__txt="\n./words/yes/a.wav\n")
    with pytest.warns(AudioWarning, match=r"testing_list\.txt names no recording .* \(\./words/yes/a\.wav\)"):
        assert [clip.split for clip in read_folder(tmp_path)] == ["train"]


def test_names_in_either_form_of_unicode_are_the_same(tmp_path):
    composed, parted = normalize("NFC", "naïve"), normalize("NFD", "naïve")
    make(tmp_path, f"{parted}/a.wav", testing_list__txt=f"{composed}/a.wav\n")
    assert [(clip.label, clip.split) for clip in read_folder(tmp_path)] == [(composed, "test")]
    make(tmp_path, manifest__csv=f"path,label\n{composed}/a.wav,{parted}\n")
    assert read_folder(tmp_path) == [Clip(tmp_path / parted / "a.wav", label=composed)]


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


@pytest.mark.parametrize("files", [[], ["readme.txt"], ["yes/notes.txt"], ["x/.y/z/a.wav"]])
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


@pytest.mark.parametrize(
    ("rows", "warned"),
    [
        ("a.wav,0,9,train\na.wav,8,20,test", True),
        ("a.wav,,,train\na.wav,5,8,test", True),
        ("a.wav,0,30,train\na.wav,3,9,train\na.wav,20,25,test", True),
        ("a.wav,0,9,train\na.wav,9,20,test\na.wav,20,,valid", False),
        ("a.wav,0,9,train\na.wav,5,12,train\nb.wav,5,12,test", False),
    ],
    ids=["overlap", "whole and part", "inside", "beside", "same split"],
)
def test_parts_of_a_recording_that_are_in_two_splits_are_warned_of(tmp_path, rows, warned):
    (tmp_path / "manifest.csv").write_text(f"path,start,end,split\n{rows}\n")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        read_folder(tmp_path)
    assert ["the same part is in more than one split, 1 in all: a.wav." in str(told.message) for told in said] == (
        [True] * warned
    )


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
