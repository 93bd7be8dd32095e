"""examples/10_onnx.py says what a Listener says, in a process without JAX and streamrnn."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import streamrnn
from streamrnn.decisions import KeywordSettings
from streamrnn.export import export_onnx

ROOT = Path(__file__).parents[2]
ALONE = """
import runpy, sys
sys.modules.update(jax=None, streamrnn=None)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def printed(*arguments):
    command = [sys.executable, "-c", ALONE, ROOT / "examples" / "10_onnx.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("name", "recording"), [("vad", "commands.flac"), ("vad", "conversation.flac"), ("keywords-en", "commands.flac")]
)
def test_the_example_prints_the_events_of_a_listener(name, recording, model, exported, tmp_path):
    (tmp_path / "model.onnx").write_bytes(exported(name))
    path = ROOT / "audio_samples" / recording
    events = list(streamrnn.listen(model(name), path))
    expected = [
        f"{event.decided_s:6.2f} s  {event.label if event.kind == 'keyword' else event.kind}" for event in events
    ]
    run = printed(tmp_path / "model.onnx", path)
    assert run.stdout.splitlines() == expected != [], run.stderr


def test_the_example_hears_a_word_of_a_model_that_has_no_class_of_others(tmp_path):
    # No sample has the word: the threshold is one that others reach.
    model = streamrnn.load("wake-alexa", threshold=0.0003)
    assert model.labels == ("silence", "alexa")
    export_onnx(model, tmp_path / "model.onnx")
    path = ROOT / "audio_samples" / "commands.flac"
    run = printed(tmp_path / "model.onnx", path)
    expected = [f"{event.decided_s:6.2f} s  {event.label}" for event in streamrnn.listen(model, path)]
    assert run.stdout.splitlines() == expected != [], run.stderr


DECIDED = """
import { activity, makeDecoder } from %s;
const { about, frames, duration_s } = JSON.parse(await new Response(process.stdin).text());
const decoder = makeDecoder(about);
const rows = frames.map((frame) => Float64Array.from(frame));
const events = [...rows.flatMap((row) => decoder.push(row)), ...decoder.finish(duration_s)];
console.log(JSON.stringify({ events, levels: rows.map((row) => activity(about, row)) }));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is missing")
@pytest.mark.parametrize("settle_ms", [0.0, 80.0])
@pytest.mark.parametrize(
    "labels", [("silence", "unknown", "yes", "no"), ("silence", "alexa"), ("silence", "yes", "unknown", "no")]
)
def test_the_page_decides_words_as_a_listener_does(labels, settle_ms):
    settings = KeywordSettings(0.5, smoothing_ms=50, refractory_ms=100, settle_ms=settle_ms)
    logits = np.random.default_rng(0).normal(size=(500, len(labels))).cumsum(axis=0) % 7
    posteriors = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    about = {"decision_kind": "KeywordSettings", "decision": vars(settings), "labels": labels}
    told = {"about": about | {"frame_s": 0.01, "lookahead_s": 0.03}, "frames": posteriors.tolist(), "duration_s": 5.0}
    code = DECIDED % json.dumps((ROOT / "examples/web/page/decisions.js").as_uri())
    command = ["node", "--input-type=module", "--eval", code]
    run = subprocess.run(command, input=json.dumps(told), capture_output=True, text=True, timeout=60, check=True)
    found, outlet = json.loads(run.stdout), settings.outlet(labels, 0.01, 0.03)
    expected = outlet.push(posteriors).events
    assert [event["label"] for event in found["events"]][: len(expected)] == [event.label for event in expected] != []
    assert [event["decided_s"] for event in found["events"]][: len(expected)] == pytest.approx(
        [event.decided_s for event in expected]
    )
    np.testing.assert_allclose(found["levels"], outlet.activity(posteriors))


def test_the_example_refuses_sound_of_another_rate(exported, tmp_path):
    (tmp_path / "model.onnx").write_bytes(exported("vad"))
    run = printed(tmp_path / "model.onnx", ROOT / "audio_samples" / "telephone_8k.wav")
    assert run.returncode == 1 and "8000 Hz, and the model hears 16000 Hz" in run.stderr
