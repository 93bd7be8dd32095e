"""Forced alignment against the best of all paths, and words cut with it against where they were spoken."""

import csv
import itertools
import subprocess
import sys
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from scipy.signal import resample_poly

from streamrnn.audio import read_audio, write_audio
from streamrnn.decisions import forced_alignment
from streamrnn.models.transcription import DIGITS

ROOT = Path(__file__).parents[2]
SPOKEN = ROOT / "audio_samples/digits.flac"


def read_as(path: tuple[int, ...]) -> list[int]:
    return [symbol for symbol, _ in itertools.groupby(path) if symbol]


def runs(path: tuple[int, ...]) -> list[tuple[int, int]]:
    """(first frame, one past the last) of each symbol of a path."""
    found, frame = [], 0
    for symbol, run in itertools.groupby(path):
        end = frame + len(list(run))
        if symbol:
            found.append((frame, end))
        frame = end
    return found


@hypothesis.settings(deadline=None)
@hypothesis.given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 2), max_size=4))
def test_it_is_the_likeliest_path_of_all(seed, ids):
    frames = 6
    logs = np.log(np.random.default_rng(seed).dirichlet(np.ones(3), size=frames))
    paths = [path for path in itertools.product(range(3), repeat=frames) if read_as(path) == ids]
    hypothesis.assume(paths)
    best = max(paths, key=lambda path: sum(logs[range(frames), path]))
    assert forced_alignment(logs, ids) == runs(best)


def test_nothing_said_has_no_frames():
    assert forced_alignment(np.zeros((3, 2)), []) == []
    assert forced_alignment(np.zeros((0, 2)), []) == []


def test_too_few_frames_and_unknown_symbols_are_refused():
    with pytest.raises(ValueError, match="2 symbols need 3 frames, but there are 2"):
        forced_alignment(np.zeros((2, 2)), [1, 1])
    with pytest.raises(ValueError, match="got id 2; ids must be from 1 to 1"):
        forced_alignment(np.zeros((9, 2)), [1, 2])


def cut_words(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "scripts/cut_words.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_the_script_cuts_words_where_they_were_spoken(tmp_path):
    samples, rate = read_audio(SPOKEN, 16_000)
    with (ROOT / "audio_samples/truth.csv").open() as file:
        spans = [(int(row["start"]), int(row["end"])) for row in csv.DictReader(file) if row["path"] == SPOKEN.name]
    recordings, out = tmp_path / "recordings", tmp_path / "words"
    recordings.mkdir()
    write_audio(recordings / "a.flac", samples, rate)
    # A part of a recording, at another rate than the model's.
    part = np.concatenate([samples[-8000:], samples[: spans[1][1] + 4000]])
    write_audio(recordings / "b.flac", resample_poly(part, 2, 1).astype(np.float32), 2 * rate)
    (recordings / "manifest.csv").write_text(
        f"path,start,end,speaker,transcript,split\na.flac,0,{len(samples)},somebody,{' '.join(DIGITS)},train\n"
        f"b.flac,16000,{2 * len(part)},somebody,nine one,train\n",
        encoding="utf-8",
    )
    done = cut_words(recordings, out)
    wrong, wrote = done.stdout.splitlines()
    assert wrong == "b.flac: 'nine one', and the model hears 'zero one'", done.stderr
    assert wrote == f"wrote 11 of 12 words to {out}"
    with (out / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["transcript"] for row in rows] == [*DIGITS, "one"]
    assert {(row["speaker"], row["split"]) for row in rows} == {("somebody", "train")}
    edges = [(0, 0), *spans, (len(samples), len(samples))]
    for row, (_, before), (start, end), (after, _) in zip(rows[:10], edges, edges[1:], edges[2:], strict=False):
        piece, _ = read_audio(out / row["path"], rate)
        at = int(np.argmax(np.correlate(samples, piece, mode="valid")))
        margin = 0.03 * rate
        assert before - margin < at < start + margin and end - margin < at + len(piece) < after + margin


def test_the_script_refuses_a_model_that_does_not_align(tmp_path):
    done = cut_words(tmp_path, tmp_path / "out", "--model", "vad")
    assert done.returncode == 1 and "vad is a VoiceActivity; words are aligned by a CTC model." in done.stderr
