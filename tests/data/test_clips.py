"""Manifests, clips in memory, and batches made ahead of time."""

import threading
import warnings
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from streamrnn.audio import AudioError, AudioWarning, write_audio
from streamrnn.data import Clip, ClipStore, prefetch, read_clips, read_manifest, read_table, reading_outside

RATE = 8000


@pytest.fixture
def recording(tmp_path) -> np.ndarray:
    """half.wav, 800 samples of noise, as int16[n]."""
    samples = np.random.default_rng(0).integers(-9000, 9000, 800, dtype=np.int16)
    write_audio(tmp_path / "half.wav", samples, RATE)
    return samples


def write_manifest(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    (folder / "manifest.csv").write_text(text, encoding=encoding)
    return folder


def test_a_manifest_of_paths_alone_gives_whole_recordings(tmp_path):
    clips = read_manifest(write_manifest(tmp_path, "path\na.wav\nmore/b.wav\n"))
    assert clips == [Clip(tmp_path / "a.wav"), Clip(tmp_path / "more/b.wav")]


def test_every_column_of_a_manifest_is_read_and_unknown_ones_are_left_alone(tmp_path):
    columns = "path,licence,start,end,speaker,label,transcript,split"
    write_manifest(tmp_path, f'{columns}\na.wav,CC0,8,90,x,yes,"A, B",test\n')
    assert read_manifest(tmp_path) == [Clip(tmp_path / "a.wav", 8, 90, "x", "yes", "A, B", "test")]


def test_a_manifest_that_a_spreadsheet_wrote_reads_as_any_other(tmp_path):
    write_manifest(tmp_path, "path,speaker\r\na.wav,Zoë\r\n", encoding="utf-8-sig")
    assert read_manifest(tmp_path) == [Clip(tmp_path / "a.wav", speaker="Zoë")]


def test_a_split_is_its_clips_in_order(tmp_path):
    write_manifest(tmp_path, "path,split\na.wav,train\nb.wav,test\nc.wav,train\n")
    assert [clip.path.name for clip in read_manifest(tmp_path, "train")] == ["a.wav", "c.wav"]


@pytest.mark.parametrize(("splits", "known"), [("test,train,test", "test, train"), (",,", "none")])
def test_an_unknown_split_names_the_known_ones(tmp_path, splits, known):
    rows = "".join(f"{number}.wav,{split}\n" for number, split in enumerate(splits.split(",")))
    write_manifest(tmp_path, f"path,split\n{rows}")
    with pytest.raises(ValueError, match=rf"no clip of split 'valid'; its splits are: {known}\."):
        read_manifest(tmp_path, "valid")


def test_a_missing_manifest_is_named_with_the_columns_that_it_needs(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"manifest\.csv is missing\. It is a CSV file with the columns path\."):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["", "file,split\na.wav,train\n"])
def test_missing_columns_are_named(tmp_path, text):
    write_manifest(tmp_path, text)
    with pytest.raises(ValueError, match=r"lacks the column path\. Its first line must name them"):
        read_manifest(tmp_path)
    with pytest.raises(ValueError, match="lacks the columns path, end"):
        read_table(tmp_path / "manifest.csv", ("path", "end"))


def test_a_manifest_without_rows_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has no rows; add at least one recording"):
        read_manifest(write_manifest(tmp_path, "path,split\n"))


@pytest.mark.parametrize("column", ["start", "end"])
@pytest.mark.parametrize("wrong", ["1.5", "ten", "0x10"])
def test_a_bound_that_is_no_whole_number_is_named_with_its_line(tmp_path, column, wrong):
    write_manifest(tmp_path, f"path,{column}\na.wav,1\nb.wav,{wrong}\n")
    with pytest.raises(ValueError, match=rf"manifest\.csv, line 3: start and end are whole numbers.*'{wrong}'"):
        read_manifest(tmp_path)


def test_a_row_without_a_path_is_named_with_its_line(tmp_path):
    with pytest.raises(ValueError, match=r"manifest\.csv, line 2: the path is missing"):
        read_manifest(write_manifest(tmp_path, "start,path\n7,\n"))


@pytest.mark.parametrize("bounds", ["5,5", "5,4", "-1,4"])
def test_bounds_that_leave_nothing_are_named_with_their_line(tmp_path, bounds):
    with pytest.raises(ValueError, match=r"manifest\.csv, line 2: start is .* 0 <= start < end is needed"):
        read_manifest(write_manifest(tmp_path, f"path,start,end\na.wav,{bounds}\n"))


@pytest.mark.parametrize(("row", "fields"), [("b.wav,yes", 2), ("b.wav,yes, no,train", 4)])
def test_a_row_with_more_or_fewer_fields_than_columns_is_named_with_its_line(tmp_path, row, fields):
    with pytest.raises(ValueError, match=rf"manifest\.csv, line 3: {fields} fields .* names 3 columns"):
        read_manifest(write_manifest(tmp_path, f"path,transcript,split\na.wav,yes,train\n{row}\n"))


def test_spaces_after_commas_are_no_part_of_a_field(tmp_path):
    write_manifest(tmp_path, "path, label, split\na.wav, yes, train\n")
    assert read_manifest(tmp_path) == [Clip(tmp_path / "a.wav", label="yes", split="train")]


def test_spaces_around_fields_and_names_of_columns_are_no_part_of_them(tmp_path):
    write_manifest(tmp_path, "path , label,split\na.wav ,yes ,train\nb.wav, yes,train\t\nc.wav,\u00a0yes ,train\n")
    clips = read_manifest(tmp_path)
    assert {(clip.label, clip.split) for clip in clips} == {("yes", "train")}
    assert [clip.path.name for clip in clips] == ["a.wav", "b.wav", "c.wav"]


def test_letters_with_accents_are_equal_however_they_were_typed(tmp_path):
    write_manifest(tmp_path, "path,label,speaker\na.wav,caf\u00e9,Zoe\u0308\nb.wav,cafe\u0301,Zo\u00eb\n")
    assert {(clip.label, clip.speaker) for clip in read_manifest(tmp_path)} == {("caf\u00e9", "Zo\u00eb")}


def test_a_line_is_counted_as_an_editor_counts_it(tmp_path):
    write_manifest(tmp_path, 'path,transcript,end\r\n\r\na.wav,"one\r\ntwo",9\r\nb.wav,,x\r\n')
    with pytest.raises(ValueError, match=r"manifest\.csv, line 5: start and end are whole numbers"):
        read_manifest(tmp_path)


def test_a_column_that_is_named_twice_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"manifest\.csv has more than one column label\."):
        read_manifest(write_manifest(tmp_path, "path,label,label\na.wav,yes,no\n"))


@pytest.mark.parametrize("path", ["/etc/hostname", "../a.wav", "more/../../a.wav"])
def test_a_path_out_of_its_folder_is_refused_unless_asked_for(tmp_path, path):
    folder = write_manifest(tmp_path, f"path\na.wav\n{path}\n")
    with pytest.raises(ValueError, match=r"manifest\.csv, line 3: the path .* leads out of .*--read-outside"):
        read_manifest(folder)
    with reading_outside():
        assert read_manifest(folder)[1].path == folder / path
    with pytest.raises(ValueError, match="leads out of"):
        read_manifest(folder)


def test_what_is_wrong_with_a_recording_is_said_with_its_line(tmp_path, recording):
    (tmp_path / "empty.wav").touch()
    write_manifest(tmp_path, "path,start\nhalf.wav,0\ngone.wav,0\nempty.wav,0\nhalf.wav,9000\n")
    lines = [
        r"manifest\.csv, line 3: there is no audio file .*gone\.wav",
        r"manifest\.csv, line 4: .*empty\.wav is empty",
        r"manifest\.csv, line 5: .*half\.wav has no samples",
    ]
    for read in (lambda clips: read_clips(clips, RATE), lambda clips: ClipStore(clips, RATE)):
        with pytest.warns(AudioWarning, match="3 of 4 clips could not be read and are skipped: .*" + ".*".join(lines)):
            assert len(list(read(read_manifest(tmp_path)))) == 1


def test_a_quote_that_is_not_closed_is_an_error_and_swallows_no_rows(tmp_path):
    with pytest.raises(ValueError, match=r"manifest\.csv, line \d+ is no row of a CSV file .*quotes"):
        read_manifest(write_manifest(tmp_path, 'path,label\na.wav,"yes\nb.wav,no\n'))


def test_a_table_in_another_encoding_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"manifest\.csv is not in UTF-8: byte 7 is 0xeb\. Save it as UTF-8"):
        read_manifest(write_manifest(tmp_path, "path\nZoë.wav\n", encoding="latin-1"))


def test_columns_that_are_parted_by_something_else_are_shown(tmp_path):
    with pytest.raises(ValueError, match=r"lacks the column path.* separated by commas; it is 'path;label'"):
        read_manifest(write_manifest(tmp_path, "path;label\na.wav;yes\n"))


def test_clips_are_read_in_order_and_exactly_to_a_rounding(tmp_path, recording):
    clips = [Clip(tmp_path / "half.wav", start, start + 100) for start in range(0, 800, 100)]
    read = read_clips(clips, RATE)
    assert [clip for clip, _ in read] == clips
    assert all(samples.dtype == np.int16 for _, samples in read)
    joined = np.concatenate([samples for _, samples in read]).astype(int)
    assert np.abs(joined - recording).max() <= 1


def test_a_clip_of_another_rate_is_resampled(tmp_path, recording):
    ((_, samples),) = read_clips([Clip(tmp_path / "half.wav")], RATE // 2)
    assert len(samples) == 400


def test_unreadable_clips_are_skipped_counted_and_named(tmp_path, recording):
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "void.wav").touch()
    good = Clip(tmp_path / "half.wav")
    clips = [Clip(tmp_path / "gone.wav"), good, Clip(tmp_path / "text.wav"), Clip(tmp_path / "void.wav"), good]
    with pytest.warns(AudioWarning, match=r"3 of 5 clips could not be read and are skipped") as caught:
        read = read_clips(clips, RATE)
    assert [clip for clip, _ in read] == [good, good]
    assert all(name in str(caught[0].message) for name in ("gone.wav", "text.wav", "void.wav"))


def test_a_warning_of_many_unreadable_clips_stays_short(tmp_path, recording):
    clips = [Clip(tmp_path / f"gone{number}.wav") for number in range(50)]
    with pytest.warns(AudioWarning, match="50 of 51 clips") as caught:
        read_clips([*clips, Clip(tmp_path / "half.wav")], RATE)
    assert str(caught[0].message).count("gone") == 3


def test_clips_that_can_all_not_be_read_are_an_error_that_names_the_first(tmp_path):
    with pytest.raises(AudioError, match=r"None of 2 clips could be read\. The first: there is no audio file .*a\.wav"):
        read_clips([Clip(tmp_path / "a.wav"), Clip(tmp_path / "b.wav")], RATE)


def test_no_clips_are_read_as_none():
    assert read_clips([], RATE) == []


def test_recordings_that_are_cut_off_count_as_far_as_they_go(tmp_path):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 40_000)
    write_audio(tmp_path / "whole.flac", noise, RATE)
    (tmp_path / "cut.flac").write_bytes((tmp_path / "whole.flac").read_bytes()[:40_000])
    ((_, samples),) = read_clips([Clip(tmp_path / "cut.flac")], RATE)
    assert 0 < len(samples) < 40_000
    np.testing.assert_allclose(samples, noise[: len(samples)] * 32767, atol=2)


@pytest.mark.parametrize("samples", [np.zeros(800), 0.1 * np.ones(79)], ids=["silent", "short"])
def test_clips_in_which_there_is_nothing_to_hear_are_named_and_used(tmp_path, recording, samples):
    write_audio(tmp_path / "nothing.wav", samples.astype(np.float32), RATE)
    clips = [Clip(tmp_path / "half.wav"), Clip(tmp_path / "nothing.wav")]
    with pytest.warns(AudioWarning, match=r"In 1 of 2 clips there is nothing to hear.*nothing\.wav"):
        assert [clip for clip, _ in read_clips(clips, RATE)] == clips


def test_reading_in_threads_leaves_the_filters_of_warnings_as_they_were(tmp_path, recording):
    before = list(warnings.filters)
    read_clips([Clip(tmp_path / "half.wav")] * 200, RATE)
    assert warnings.filters == before


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(("start", "stop"), [(0, 20), (7, 9), (5, 5)])
def test_batches_made_ahead_come_in_order(workers, start, stop):
    assert list(prefetch(lambda step: step**2, start, stop, workers)) == [step**2 for step in range(start, stop)]


def test_order_is_kept_where_later_batches_are_ready_first():
    second_is_made = threading.Event()

    def make(step: int) -> int:
        assert step > 0 or second_is_made.wait(60)
        if step == 1:
            second_is_made.set()
        return step

    assert list(prefetch(make, 0, 4, workers=2)) == [0, 1, 2, 3]


def test_batches_are_made_only_a_little_ahead_and_none_after_closing():
    made: list[int] = []
    threads = threading.active_count()
    batches = prefetch(lambda step: made.append(step) or step, 0, 1000, workers=2)
    assert made == [] and next(batches) == 0
    batches.close()
    assert threading.active_count() == threads
    assert len(made) <= 1 + 4


def test_batches_that_wait_for_a_thread_are_given_up_when_closing(monkeypatch):
    begun: list[int] = []
    cancelled = threading.Event()

    def make(step: int) -> None:
        begun.append(step)
        if step > 0:
            cancelled.wait(5)

    def cancel(future: Future) -> bool:
        if done := really_cancel(future):
            cancelled.set()
        return done

    really_cancel = Future.cancel
    monkeypatch.setattr(Future, "cancel", cancel)
    batches = prefetch(make, 0, 1000)
    next(batches)
    batches.close()
    assert begun in ([0], [0, 1])


def test_a_batch_that_fails_raises_in_its_place_and_ends_the_threads():
    def make(step: int) -> int:
        if step == 2:
            raise AudioError("no sound in batch 2")
        return step

    threads = threading.active_count()
    batches = prefetch(make, 0, 1000, workers=2)
    assert [next(batches), next(batches)] == [0, 1]
    with pytest.raises(AudioError, match="no sound in batch 2"):
        next(batches)
    assert threading.active_count() == threads
    assert list(batches) == []
