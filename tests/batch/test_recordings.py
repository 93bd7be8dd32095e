"""What a batch is to hear: folders, patterns, lists and manifests, each recording once."""

import json
import os

import pytest

from streamrnn.audio import AudioWarning
from streamrnn.batch import Shard, find_batch


@pytest.fixture
def names(tmp_path):
    """names(*inputs) -> the names that a batch gives its recordings."""
    return lambda *inputs, **options: [found.name for found in find_batch(inputs, tmp_path / "out", **options)]


def test_a_folder_is_searched_with_all_below_it(names, calls):
    assert names(calls) == ["a.wav", "b.flac", "broken.wav", "june/a.wav", "june/empty.wav"]


def test_hidden_folders_are_left_out_unless_they_are_named(names, calls):
    (calls / "june").rename(calls / ".AppleDouble")
    assert names(calls) == ["a.wav", "b.flac", "broken.wav"]
    assert names(calls / ".AppleDouble") == ["a.wav", "empty.wav"]


def test_other_inputs_are_named_by_their_path_below_the_folder_they_share(names, calls):
    assert names(calls / "a.wav", calls / "june" / "a.wav") == ["a.wav", "june/a.wav"]
    assert names(calls / "june" / "a.wav") == ["a.wav"]


def test_patterns_lists_and_manifests_name_recordings(names, calls):
    assert names(str(calls / "**" / "a.*")) == ["a.wav", "june/a.wav"]
    (calls / "some.txt").write_text("# of June\njune/a.wav\n\nb.flac\n")
    assert names(calls / "some.txt") == ["b.flac", "june/a.wav"]
    (calls / "wav.scp").write_text("call-1 june/a.wav\n")
    assert names(calls / "wav.scp") == ["a.wav"]
    (calls / "some.csv").write_text("speaker,path\nanna,june/a.wav\n")
    assert names(calls / "some.csv") == ["a.wav"]
    (calls / "some.jsonl").write_text('{"audio_filepath": "june/a.wav", "duration": 1.0}\n')
    assert names(calls / "some.jsonl") == ["a.wav"]


@pytest.mark.parametrize("sign", ["\u2028", "\u0085", "\x0b"])
def test_texts_of_a_manifest_may_hold_signs_that_end_lines_elsewhere(names, calls, sign):
    rows = [{"path": "a.wav", "text": f"one{sign}two"}, {"path": "b.flac"}]
    lines = [json.dumps(row, ensure_ascii=sign == "\x0b") for row in rows]
    (calls / "some.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert names(calls / "some.jsonl") == ["a.wav", "b.flac"]


def test_a_name_in_a_list_may_begin_as_a_comment_does(names, calls):
    (calls / "a.wav").rename(calls / "#1 call.wav")
    (calls / "some.txt").write_text("# of June\nb.flac\n#1 call.wav\n#2 call.wav\n")
    assert names(calls / "some.txt") == ["#1 call.wav", "b.flac"]


def test_a_recording_that_is_named_twice_is_heard_once(names, calls):
    assert names(calls, calls) == names(calls)


def test_two_recordings_of_one_name_are_refused(names, calls):
    with pytest.raises(ValueError, match=r"would both be written as a\.wav"):
        names(calls, calls / "june")


def test_a_folder_that_leads_back_to_itself_is_entered_once(names, calls):
    (calls / "june" / "back").symlink_to(calls, target_is_directory=True)
    with pytest.warns(AudioWarning, match="leads back"):
        assert names(calls) == ["a.wav", "b.flac", "broken.wav", "june/a.wav", "june/empty.wav"]


def test_outputs_inside_an_input_are_refused(calls):
    with pytest.raises(ValueError, match="lies in"):
        find_batch([calls], calls / "heard")
    with pytest.raises(ValueError, match="lies in"):
        find_batch([calls], calls)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name,length\na.wav,1\n", "needs one of path"),
        ("path\nmissing.wav\ngone.wav\n", r"names 2 recordings, of which none is there; the first is missing\.wav"),
        ("path,speaker\n,anna\n", "line 2: the path is ''"),
    ],
)
def test_a_manifest_that_names_no_recordings_is_refused(names, calls, content, said):
    (calls / "some.csv").write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        names(calls / "some.csv")


def test_what_is_not_there_is_named(names, calls, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        names(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no recordings"):
        names(str(calls / "*.opus"))
    (calls / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not in UTF-8"):
        names(calls / "list.txt")


def test_a_name_may_have_an_end_of_a_line_in_it_and_no_zero(names, calls):
    (calls / "a.wav").rename(calls / "a\nb.wav")
    assert "a\nb.wav" in names(calls)
    (calls / "some.txt").write_text("b.flac\n" + "\0".join("b.flac\n"))
    with pytest.raises(ValueError, match=r"some\.txt: the path is .*Save the list as UTF-8"):
        names(calls / "some.txt")


def test_names_that_are_no_text_are_found(names, calls):
    os.rename(os.fsencode(calls / "b.flac"), os.fsencode(calls) + b"/\xff.flac")
    assert "\udcff.flac" in names(calls)
    assert sum(len(names(calls, shard=Shard(i, 2))) for i in range(2)) == 5


def test_every_recording_is_in_one_shard_and_stays_there(names, calls):
    shards = [set(names(calls, shard=Shard(i, 3))) for i in range(3)]
    assert set.union(*shards) == set(names(calls))
    assert sum(map(len, shards)) == 5
    (calls / "b.flac").unlink()
    assert [set(names(calls, shard=Shard(i, 3))) for i in range(3)] == [shard - {"b.flac"} for shard in shards]


@pytest.mark.parametrize("text", ["3", "3/3", "-1/3", "a/b", "0/0", ""])
def test_a_shard_that_does_not_exist_is_refused(text):
    with pytest.raises(ValueError, match="shard is"):
        Shard.parse(text)
