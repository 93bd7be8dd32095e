"""A batch from recordings to outputs: whole or not at all, once, and each failure with its reason."""

import csv
import errno
import json
import os
import shutil

import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import read_audio, write_audio
from streamrnn.batch import DiskFull, OtherBatch, Plan, Shard, Threads, find_batch, run_batch
from streamrnn.batch import work as work_module
from streamrnn.batch.journal import Entry, Journal
from streamrnn.batch.tables import write_table
from streamrnn.batch.work import formats_of
from streamrnn.decisions import Event
from streamrnn.decisions.formats import write_events
from streamrnn.models import Denoising, DenoisingSettings, Model
from streamrnn.runtime import run_file, run_file_events


@pytest.fixture
def out(tmp_path):
    return tmp_path / "heard"


def test_outputs_are_those_of_single_files_and_failures_have_reasons(batch, model, calls, out, written):
    report = batch(calls, formats=("jsonl", "txt", "srt", "rttm"))
    assert (report.done, report.before, len(report.failed)) == (3, 0, 2)
    assert report.heard_s == pytest.approx(3.0)
    found = written(out)
    assert len(found) == 3 * 4 + 1
    lines = found["june/a.wav.jsonl"].decode().splitlines()
    assert [json.loads(line) for line in lines] == [
        e.to_dict() for e in run_file_events(model, calls / "june" / "a.wav")
    ]
    rows = list(csv.DictReader(found["failed.csv"].decode().splitlines()))
    assert [row["recording"] for row in rows] == ["broken.wav", "june/empty.wav"]
    assert "empty" in rows[1]["reason"] and rows[0]["reason"]


def test_what_a_list_names_and_is_not_there_fails_and_the_others_are_heard(batch, calls, out, monkeypatch):
    (calls / "some.csv").write_text("path\na.wav\nmissing.wav\njune\njune/a.wav\n")
    report = batch(calls / "some.csv", retries=2)
    assert (report.done, [failed.recording.name for failed in report.failed]) == (2, ["june", "missing.wav"])
    assert [failed.tries for failed in report.failed] == [1, 1]
    rows = list(csv.DictReader((out / "failed.csv").read_text().splitlines()))
    assert "missing.wav" in rows[1]["reason"] and "No such file" in rows[1]["reason"]
    assert "folder" in rows[0]["reason"] or "directory" in rows[0]["reason"]


def test_a_folder_that_may_not_be_read_fails_and_the_others_are_heard(batch, calls, monkeypatch):
    scandir = os.scandir

    def guarded(folder):
        if str(folder).endswith("june"):
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr("streamrnn.batch.recordings.os.scandir", guarded)
    report = batch(calls)
    assert (report.done, [failed.recording.name for failed in report.failed]) == (2, ["broken.wav", "june"])
    with pytest.raises(PermissionError):
        batch(calls / "june")


def test_a_second_run_does_what_is_new_or_changed_or_gone(batch, calls, out, written):
    batch(calls)
    assert (again := batch(calls)).done == 0 and again.before == 3
    write_audio(calls / "new.wav", np.zeros(1600, np.int16), 16_000)
    write_audio(calls / "a.wav", np.zeros(1600, np.int16), 16_000)
    (out / "b.flac.jsonl").unlink()
    report = batch(calls)
    assert (report.done, report.before) == (3, 1)
    # A file that somebody cut short is not whole.
    (out / "june" / "a.wav.jsonl").write_text("{")
    assert batch(calls).done == 1


def test_a_failure_that_is_mended_is_done_and_its_table_goes(batch, calls, out):
    batch(calls)
    shutil.copy(calls / "a.wav", calls / "broken.wav")
    shutil.copy(calls / "a.wav", calls / "june" / "empty.wav")
    assert batch(calls).failed == [] and not (out / "failed.csv").exists()


def test_by_content_a_copy_of_the_same_bytes_is_unchanged(batch, calls):
    batch(calls, by_content=True)
    os.utime(calls / "a.wav")
    assert batch(calls, by_content=True).before == 3
    assert batch(calls).before == 2


def test_a_new_format_is_written_for_all(batch, calls, out):
    batch(calls)
    assert batch(calls, formats=("jsonl", "rttm")).done == 3
    assert (out / "a.wav.rttm").exists()


def test_another_model_or_setting_is_refused(batch, calls):
    batch(calls)
    with pytest.raises(OtherBatch, match=r"decision is \{'threshold': 0.7\} now and was \{\}"):
        batch(calls, decision={"threshold": 0.7})


def test_two_batches_into_one_folder_are_refused_and_parts_are_not(batch, model, calls, out):
    part, other = Shard(0, 2), Shard(1, 2)
    steps = run_batch(
        Plan("small", out, ("jsonl",), shard=part), model, find_batch([calls], out, part), Threads(model, 1)
    )
    next(steps)
    batch(calls, shard=other)
    for shard in (part, Shard()):
        with pytest.raises(OtherBatch, match="another batch writes"):
            batch(calls, shard=shard)
    steps.close()
    batch(calls, shard=part)
    assert batch(calls).before == 3


def test_a_part_at_work_is_not_told_as_a_batch_that_is_gone(batch, calls, out):
    batch(calls)
    with Journal(out).held(Shard(0, 2)), pytest.raises(OtherBatch, match=r"writes to .* \(in parts, by --shard\)"):
        batch(calls)


def test_an_end_half_way_leaves_whole_outputs_and_no_others(model, calls, out, batch, written):
    steps = run_batch(Plan("small", out, ("jsonl",)), model, find_batch([calls], out), Threads(model, 1))
    while next(steps).done < 2:
        pass
    steps.close()
    assert not list((out / ".streamrnn").glob("parts*"))
    first = written(out)
    report = batch(calls)
    assert report.before >= 1 and report.done + report.before == 3
    assert {**written(out), **{name: data for name, data in first.items() if name.endswith("jsonl")}} == written(out)


def test_half_a_line_in_the_journal_is_a_recording_that_is_not_done(batch, calls, out):
    batch(calls)
    (path,) = (out / ".streamrnn" / "done").glob("*.jsonl")
    path.write_bytes(path.read_bytes()[:-10])
    assert (batch(calls).done, batch(calls).before) == (1, 3)


def test_a_damaged_journal_is_no_crash(batch, calls, out):
    batch(calls)
    (path,) = (out / ".streamrnn" / "done").glob("*.jsonl")
    entry = json.loads(path.read_bytes().splitlines()[0])
    strange = [entry | {"name": ["a"]}, entry | {"outputs": []}]
    path.write_bytes(path.read_bytes() + b"".join(json.dumps(one).encode() + b"\n" for one in strange))
    assert batch(calls).before == 3
    for content in ("", "[1]", "\xff"):
        (out / ".streamrnn" / "batch.json").write_text(content, "latin-1")
        with pytest.raises(OtherBatch, match=r"batch\.json is damaged"):
            batch(calls)


def test_what_fails_in_passing_is_tried_again(batch, calls, monkeypatch):
    tries = iter([OSError(errno.EIO, "Input/output error"), None, None, None])
    hear = work_module.run_file_events

    def shaky(*arguments, **options):
        if (error := next(tries)) is not None:
            raise error
        return hear(*arguments, **options)

    monkeypatch.setattr(work_module, "run_file_events", shaky)
    report = batch(calls, retries=1, workers=None)
    assert report.done == 3 and len(report.failed) == 2


def test_a_failure_that_stays_says_how_often_it_was_tried(batch, calls, monkeypatch):
    def broken(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(work_module, "run_file_events", broken)
    failed = batch(calls / "a.wav", retries=1).failed
    assert [(f.reason, f.tries) for f in failed] == [("Input/output error", 2)]


def test_a_full_disk_ends_the_batch_and_what_is_done_stays(batch, calls, out, monkeypatch):
    write, written_names = work_module.write_events, []

    def full(path, events, duration_s, name):
        if written_names:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        written_names.append(name)
        write(path, events, duration_s, name)

    monkeypatch.setattr(work_module, "write_events", full)
    with pytest.raises(DiskFull, match="run the same command again"):
        batch(calls)
    monkeypatch.undo()
    assert batch(calls).before == 1


def test_sound_is_written_as_files_and_never_over_recordings(calls, tmp_path):
    denoiser = Denoising(DenoisingSettings(hidden=8), rngs=nnx.Rngs(0))
    out = tmp_path / "clean"
    plan = Plan("small", out, formats_of(denoiser, ("flac",)))
    list(run_batch(plan, denoiser, find_batch([calls], out), Threads(denoiser, 1), "csv"))
    sound, rate = read_audio(out / "b.flac")
    assert (len(sound), rate) == (16_000, 16_000) and (out / "a.wav.flac").exists()
    assert (out / "recordings.csv").read_text().splitlines()[1] == "a.wav,1.0,a.wav.flac"
    # Files, and not their folder, so that the outputs are not inside an input.
    over = Plan("small", calls, ("wav",))
    with pytest.raises(ValueError, match="would be replaced"):
        next(run_batch(over, denoiser, find_batch([calls / "a.wav"], calls), Threads(denoiser, 1)))


def test_numbers_are_written_as_arrays(model, calls, tmp_path):
    numbers = Model.of(model.network, sample_rate=16_000, hop_samples=160, readout="sigmoid")
    out = tmp_path / "numbers"
    plan = Plan("small", out, formats_of(numbers, ()))
    list(run_batch(plan, numbers, find_batch([calls / "a.wav"], out), Threads(numbers, 1)))
    np.testing.assert_array_equal(np.load(out / "a.wav.npy"), run_file(numbers, calls / "a.wav"))


def test_tables_have_a_row_per_event_of_all_recordings(batch, calls, out):
    parquet = pytest.importorskip("pyarrow.parquet")
    batch(calls)
    report = batch(calls, table="csv")
    rows = list(csv.DictReader(report.table.read_text().splitlines()))
    lines = [
        line
        for path in sorted(out.rglob("*.jsonl"))
        if ".streamrnn" not in path.parts
        for line in path.read_text().splitlines()
    ]
    assert len(rows) == len(lines) > 0
    table = parquet.read_table(batch(calls, table="parquet").table).to_pylist()
    assert [(row["recording"], row["kind"], row["start_s"]) for row in table] == [
        (row["recording"], row["kind"], float(row["start_s"])) for row in rows
    ]


def test_what_failed_now_is_in_no_table_whatever_an_earlier_run_made_of_it(batch, calls, out):
    batch(calls / "a.wav", calls / "b.flac", formats=("jsonl", "txt"))
    (calls / "a.wav").write_bytes(b"no sound any more")
    for form in ("csv", "parquet"):
        report = batch(calls / "a.wav", calls / "b.flac", table=form)
        assert [failed.recording.name for failed in report.failed] == ["a.wav"]
    (out / "a.wav.jsonl").unlink()
    report = batch(calls / "a.wav", calls / "b.flac", table="csv")
    assert {row["recording"] for row in csv.DictReader(report.table.read_text().splitlines())} == {"b.flac"}


def test_the_slots_of_commands_are_in_tables_as_json(out):
    parquet = pytest.importorskip("pyarrow.parquet")
    plan, journal = Plan("small", out, ("jsonl",)), Journal(out)
    order = Event("keyword", "lights on", 0.1, 0.5, 0.9, 0.6, slots={"where": "café"})
    out.mkdir()
    write_events(out / "a.wav.jsonl", [order, Event("keyword", "stop", 1.1, 1.5, 0.9, 1.6)])
    journal.add(Entry("a.wav", 1, 1, "", 2.0, {}))
    journal.close()
    rows = list(csv.DictReader(write_table(plan, journal, ["a.wav"], "csv").read_text("utf-8").splitlines()))
    assert [row["slots"] for row in rows] == ['{"where": "café"}', ""]
    table = parquet.read_table(write_table(plan, journal, ["a.wav"], "parquet")).to_pylist()
    assert [row["slots"] for row in table] == ['{"where": "café"}', None]


def test_settings_that_are_lists_are_the_same_in_the_next_run(out):
    journal = Journal(out)
    journal.claim({"decision": {"phrases": ("lights on", "lights off")}})
    journal.claim({"decision": {"phrases": ("lights on", "lights off")}})
    with pytest.raises(OtherBatch, match="decision is"):
        journal.claim({"decision": {"phrases": ("lights on",)}})


def test_formats_that_a_model_does_not_give_are_refused(model):
    assert formats_of(model, ("rttm", "jsonl")) == ("jsonl", "rttm")
    with pytest.raises(ValueError, match=r"gives events, not wav\. Its formats are jsonl, srt, txt, rttm"):
        formats_of(model, ("wav",))
