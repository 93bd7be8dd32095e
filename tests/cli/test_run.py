"""`streamrnn run` on files: what it prints, what it writes, and what it says of bad input."""

import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from streamrnn.audio import write_audio
from streamrnn.cli.display import BAR_CELLS, Meter, bar, level_db
from streamrnn.cli.run import DecisionFlags, Run
from streamrnn.decisions import Event, SpeechSettings, as_text, audacity_labels, srt
from streamrnn.pretrained import load
from streamrnn.runtime import run_file_events

EVERYTHING_IS_SPEECH = ("--threshold", "0.02", "--off-threshold", "0.01", "--padding-ms", "0")


@dataclass(frozen=True)
class KeywordSettings:
    threshold: float = 0.5
    refractory_ms: float = 500.0


def expected_events(model_path: Path, sound_path: Path) -> list[Event]:
    settings = {"threshold": 0.02, "off_threshold": 0.01, "padding_ms": 0.0}
    return run_file_events(load(model_path), sound_path, **settings)


def test_every_event_is_a_line_and_a_summary_follows(streamrnn, capsys, model_path, sound_path):
    assert streamrnn("run", model_path, sound_path, *EVERYTHING_IS_SPEECH) == 0
    printed = capsys.readouterr()
    expected = [as_text(event) for event in expected_events(model_path, sound_path)]
    assert len(expected) == 2
    assert printed.out.splitlines() == expected
    assert printed.err.startswith("2.0 s of audio; 2.0 s of speech; real-time factor 0.")
    assert "latency 40 ms + compute" in printed.err
    assert len(printed.err.splitlines()) == 1


def test_json_lines_hold_the_events(streamrnn, capsys, model_path, sound_path):
    assert streamrnn("run", model_path, sound_path, "--json", *EVERYTHING_IS_SPEECH) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    expected = [event.to_dict() for event in expected_events(model_path, sound_path)]
    assert printed == [pytest.approx(event, abs=1e-5) for event in expected]


def test_segments_are_written_as_subtitles_and_as_labels(streamrnn, model_path, sound_path, tmp_path):
    files = ("--srt", tmp_path / "a.srt", "--labels", tmp_path / "a.txt")
    assert streamrnn("run", model_path, sound_path, *files, *EVERYTHING_IS_SPEECH) == 0
    events = expected_events(model_path, sound_path)
    assert (tmp_path / "a.srt").read_text() == srt(events)
    assert (tmp_path / "a.txt").read_text() == audacity_labels(events)


def test_a_silent_run_writes_empty_files(streamrnn, capsys, model_path, sound_path, tmp_path):
    assert streamrnn("run", model_path, sound_path, "--srt", tmp_path / "a.srt", "--threshold", "1") == 0
    assert capsys.readouterr().out == ""
    assert (tmp_path / "a.srt").read_text() == ""


def test_a_recording_without_samples_is_heard_to_its_end(streamrnn, capsys, model_path, tmp_path):
    write_audio(tmp_path / "none.wav", np.zeros(0, np.float32), 16_000)
    assert streamrnn("run", model_path, tmp_path / "none.wav") == 0
    assert capsys.readouterr().err.startswith("0.0 s of audio; 0.0 s of speech; real-time factor -")


def test_sound_that_cannot_be_used_is_named_with_its_file_and_not_summed_up(streamrnn, capsys, model_path, tmp_path):
    for name, samples, rate in (("fast.wav", np.zeros(1000), 192_000), ("loud.wav", np.full(20_000, 3535.0), 16_000)):
        soundfile.write(tmp_path / name, samples, rate, subtype="FLOAT")
        assert streamrnn("run", model_path, tmp_path / name) == 2
        told = capsys.readouterr().err
        assert told.startswith(f"streamrnn: {tmp_path / name}: ") and "s of audio" not in told


def test_a_cut_off_recording_is_used_and_the_loss_told(streamrnn, capsys, model_path, sound_path, tmp_path):
    whole, cut = tmp_path / "whole.flac", tmp_path / "cut.flac"
    write_audio(whole, np.random.default_rng(0).uniform(-0.3, 0.3, 32_000).astype(np.float32), 16_000)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert streamrnn("run", model_path, cut, *EVERYTHING_IS_SPEECH) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 2
    assert printed.err.startswith(f"streamrnn: warning: {cut} is cut off")


def test_flags_that_are_not_given_leave_the_decision_to_the_model():
    assert Run("vad", "-").overrides(SpeechSettings) == {}
    given = Run("vad", "-", decision=DecisionFlags(threshold=0.7, padding_ms=0.0))
    assert given.overrides(SpeechSettings) == {"threshold": 0.7, "padding_ms": 0.0}


def test_settings_that_a_model_lacks_are_refused():
    run = Run("keywords", "-", decision=DecisionFlags(padding_ms=0.0))
    with pytest.raises(ValueError, match="keywords has no setting padding_ms; it has refractory_ms, threshold"):
        run.overrides(KeywordSettings)


def bad_files(folder: Path) -> dict[str, Path]:
    files = {name: folder / f"{name}.wav" for name in ("empty", "corrupt", "text", "missing")}
    files["empty"].write_bytes(b"")
    files["corrupt"].write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(40))
    files["text"].write_text("no sound at all")
    return files


@pytest.mark.parametrize("name", ["empty", "corrupt", "text", "missing"])
def test_a_bad_recording_is_one_clear_line(name, streamrnn, capsys, model_path, tmp_path):
    path = bad_files(tmp_path)[name]
    assert_refused(streamrnn("run", model_path, path), capsys, str(path))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--threshold", "7"), "threshold=7.0; it must be a probability"),
        (("--off-threshold", "0.9"), "off_threshold=0.9"),
        (("--min-speech-ms", "-1"), "min_speech_ms=-1.0"),
        (("--device", "3"), "--device is for the source mic; this is a file"),
        (("--sample-rate", "8000"), "--sample-rate is for the source mic or -"),
        (("--channels", "2"), "--channels is for the source -"),
        (("--srt", "missing/folder/a.srt"), "missing/folder/a.srt: cannot write (No such file or directory)"),
        (("--labels", "."), ".: cannot write (Is a directory)"),
        (("--plot", "a.gif"), "End it in .png, .svg, .pdf"),
    ],
)
def test_a_bad_flag_is_one_clear_line(flags, said, streamrnn, capsys, model_path, sound_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused(streamrnn("run", model_path, sound_path, *flags), capsys, said)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_model_is_one_clear_line(streamrnn, capsys, sound_path):
    assert_refused(
        streamrnn("run", "no-such-model", sound_path), capsys, "There is no model 'no-such-model'. Shipped are"
    )


def test_outputs_are_checked_before_the_model_is_loaded(streamrnn, capsys, sound_path):
    assert_refused(streamrnn("run", "no-such-model", sound_path, "--srt", "missing/a.srt"), capsys, "cannot write")


def test_two_outputs_are_two_files(streamrnn, capsys, sound_path, tmp_path):
    named = ("--srt", tmp_path / "a.txt", "--labels", tmp_path / "sub" / ".." / "a.txt")
    (tmp_path / "sub").mkdir()
    assert_refused(streamrnn("run", "no-such-model", sound_path, *named), capsys, "is named for two outputs")


def test_the_recording_itself_is_never_overwritten(streamrnn, capsys, model_path, sound_path):
    before = sound_path.read_bytes()
    assert_refused(streamrnn("run", model_path, sound_path, "--srt", sound_path), capsys, "would be overwritten")
    assert sound_path.read_bytes() == before


def test_an_output_that_existed_is_left_alone_when_the_run_fails(streamrnn, tmp_path, sound_path):
    (tmp_path / "a.srt").write_text("mine")
    assert streamrnn("run", "no-such-model", sound_path, "--srt", tmp_path / "a.srt") == 2
    assert (tmp_path / "a.srt").read_text() == "mine"


def test_running_a_model_imports_no_training_and_no_plotting(model_path, sound_path, tmp_path):
    code = (
        "import sys; from streamrnn.cli import main; status = main(sys.argv[1:]); "
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr); sys.exit(status)"
    )
    command = [sys.executable, "-c", code, "run", str(model_path), str(sound_path)]
    environment = {"JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": str(tmp_path)}
    root = Path(__file__).parents[2]
    run = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=60, check=True)
    loaded = set(run.stderr.splitlines()[-1].split())
    assert loaded & {"librosa", "matplotlib", "numba", "orbax", "sounddevice"} == set()
    assert list((tmp_path / "streamrnn").iterdir()), "compiled programs are kept for the next start"


def test_the_meter_shows_time_level_and_probability_and_events_scroll_by():
    screen = io.StringIO()
    start = Event("speech_start", "speech", 0.5, None, 0.9, 0.6)
    with Meter(Console(file=screen, force_terminal=True, width=80)) as meter:
        meter.show([start])
        meter.move(1.25, np.full(160, 0.1, np.float32), np.array([0.2, 0.75], np.float32))
    shown = screen.getvalue()
    assert as_text(start) in shown
    for part in ("1.2 s", "-20 dB", "0.75"):
        assert part in shown


def test_a_bar_is_filled_by_its_share_and_never_overflows():
    for share, filled in ((-1.0, 0), (0.5, BAR_CELLS // 2), (7.0, BAR_CELLS)):
        drawn = bar(share, "red")
        assert len(drawn) == BAR_CELLS
        assert sum(span.end - span.start for span in drawn.spans if span.style == "red") == filled


def test_levels_are_in_decibels_of_full_scale():
    assert level_db(np.ones(100, np.float32)) == pytest.approx(0.0)
    assert level_db(np.full(100, 0.01, np.float32)) == pytest.approx(-40.0, abs=1e-4)
    assert level_db(np.zeros(100, np.float32)) == -60.0


def assert_refused(status: int, capsys, said: str) -> None:
    printed = capsys.readouterr()
    assert status == 2
    assert printed.out == ""
    assert printed.err.startswith("streamrnn: ") and len(printed.err.splitlines()) == 1
    assert said in printed.err
