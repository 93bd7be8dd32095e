"""The comparison with other detectors, with stand-ins whose answers are known."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.peers import (
    PEERS,
    FramewisePeer,
    Peer,
    away_from_borders,
    bench_pool_beside_peers,
    best_shift,
    compare_vad_peers,
    shifted,
    show,
    show_pool,
)
from streamrnn.audio import write_audio
from streamrnn.evaluation import evaluate

RATE = 16_000


class Loudness(FramewisePeer):
    """Hears speech where frames of 10 ms are loud, a number of frames late."""

    frame_samples = 160

    def __init__(self, delay_frames: int = 0):
        self.delay_frames = delay_frames

    def fresh(self):
        heard = [0.0] * self.delay_frames

        def score(frame: np.ndarray) -> float:
            heard.append(float(np.mean(frame**2)))
            return heard[-1 - self.delay_frames]

        return score


def stand_in(make) -> Peer:
    return Peer("stand-in", make, (), "pip install stand-in")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Recordings that are loud exactly where they are labelled as speech, one of them at 8 kHz."""
    folder = tmp_path_factory.mktemp("data")
    manifest, segments = "path,split\n", "path,start,end\n"
    for name, rate in (("a.wav", RATE), ("b.wav", RATE), ("c.wav", RATE // 2)):
        samples = 0.001 * np.random.default_rng(ord(name[0])).standard_normal(rate)
        samples[rate // 4 : rate // 2] *= 300
        write_audio(folder / name, samples, rate)
        manifest, segments = manifest + f"{name},{rate} Hz\n", segments + f"{name},{rate // 4},{rate // 2}\n"
    (folder / "manifest.csv").write_text(manifest)
    (folder / "vad_segments.csv").write_text(segments)
    return folder


def test_a_detector_that_is_right_and_on_time_needs_no_shift(data):
    (entry,) = compare_vad_peers(data, (), peers=[stand_in(Loudness)])["detectors"]
    assert (entry["roc_auc"], entry["eer"], entry["best_f1"], entry["best_shift_ms"]) == (1, 0, 1, 0)


def test_a_collar_forgives_a_detector_that_is_late_by_less(data):
    (entry,) = compare_vad_peers(data, (), peers=[stand_in(lambda: Loudness(9))])["detectors"]
    assert entry["roc_auc"] < 1 and entry["collared"]["roc_auc"] == 1


def test_the_collar_leaves_out_ten_cells_on_both_sides_of_a_border():
    truth = np.arange(100) >= 40
    assert np.flatnonzero(~away_from_borders(truth)).tolist() == list(range(30, 50))
    assert away_from_borders(truth[:40]).all()


@pytest.mark.parametrize("delay_frames", [1, 4, 10])
def test_a_late_detector_gets_the_shift_that_makes_up_for_it(data, delay_frames):
    (entry,) = compare_vad_peers(data, (), peers=[stand_in(lambda: Loudness(delay_frames))])["detectors"]
    assert entry["roc_auc"] < 1
    assert (entry["best_shift_ms"], entry["shifted"]["roc_auc"]) == (10 * delay_frames, 1)


def test_every_recording_starts_afresh(data):
    peer = Loudness(5)
    loud = np.ones(10 * 160, np.float32)
    assert peer.scores(loud).tolist() == peer.scores(loud).tolist() == [0] * 5 + [1] * 5


def test_our_models_are_judged_as_evaluation_judges_them(data, model_path):
    (entry,) = compare_vad_peers(data, [model_path], split="16000 Hz", peers=[])["detectors"]
    streaming = evaluate("vad", data, model_path, "16000 Hz")["streaming"]
    # Peers are compared on the same recordings, so each detector's own interval would say too little.
    del streaming["roc_auc_interval"]
    assert {name: entry[name] for name in streaming} == streaming
    assert entry["shifted"]["roc_auc"] >= entry["roc_auc"]


def test_a_peer_that_is_not_installed_is_named_with_the_command_that_installs_it(data):
    def make():
        raise ModuleNotFoundError("No module named 'other'", name="other")

    answer = compare_vad_peers(data, (), peers=[stand_in(make), stand_in(Loudness)])
    assert answer["missing"] == [
        {"name": "stand-in", "error": "No module named 'other'", "install": "pip install stand-in"}
    ]
    assert [entry["name"] for entry in answer["detectors"]] == ["stand-in"]


def test_each_known_peer_runs_or_says_what_is_missing():
    loud = np.random.default_rng(0).uniform(-0.5, 0.5, 4000).astype(np.float32)
    for peer in PEERS:
        try:
            detector = peer.make()
        except ImportError as error:
            assert error.name in {"onnxruntime", "silero_vad", "webrtcvad", "earshot", "ten_vad"}
        else:
            scores = detector.scores(loud)
            assert len(scores) == -(-4000 // round(detector.frame_s * detector.sample_rate))
            assert detector.scores(loud).tolist() == scores.tolist()
            assert scores.min() >= 0 and scores.max() <= peer.highest and 0 < peer.threshold <= 1


def test_the_answer_is_json_and_its_table_shows_every_detector_and_every_missing_peer(data):
    def make():
        raise ModuleNotFoundError("No module named 'other'")

    answer = json.loads(json.dumps(compare_vad_peers(data, (), peers=[stand_in(Loudness), stand_in(make)])))
    page = io.StringIO()
    show(answer, Console(file=page, width=80))
    assert "3 recordings, 0.1 min" in page.getvalue()
    assert "stand-in" in page.getvalue() and "Install it: pip install stand-in" in page.getvalue()
    assert "1.000" in page.getvalue()


def test_shifting_holds_the_last_or_the_first_score():
    scores = np.array([1, 2, 3, 4])
    assert shifted(scores, 2).tolist() == [3, 4, 4, 4]
    assert shifted(scores, -1).tolist() == [1, 1, 2, 3]
    assert shifted(scores[:0], 1).tolist() == []


def test_of_shifts_that_do_equally_well_the_shortest_is_best():
    truth, known = [np.array([False] * 20 + [True] * 20)], [np.ones(40, bool)]
    assert best_shift([np.zeros(40)], truth, known) == 0
    assert best_shift([np.array([0.0] * 17 + [1.0] * 23)], truth, known) == -3


def test_segments_of_kind_unknown_count_for_nothing(data, tmp_path):
    samples = 0.001 * np.ones(2 * RATE)
    # Loud twice: the first is labelled as speech, of the second nobody knows.
    samples[4_000:10_000] = samples[20_000:24_000] = 0.3
    write_audio(tmp_path / "a.wav", samples, RATE)
    (tmp_path / "manifest.csv").write_text("path\na.wav\n")
    (tmp_path / "vad_segments.csv").write_text(
        "path,start,end,kind\na.wav,4000,10000,speech\na.wav,19200,25600,unknown\n"
    )
    (entry,) = compare_vad_peers(tmp_path, (), peers=[stand_in(Loudness)])["detectors"]
    assert [entry["roc_auc"], entry["shifted"]["roc_auc"], entry["collared"]["roc_auc"]] == [1, 1, 1]


class Deaf(FramewisePeer):
    """Hears nothing, in no time."""

    def scores(self, samples: np.ndarray) -> np.ndarray:
        return np.zeros(len(samples) // 160)


def absent() -> Deaf:
    raise ImportError("No module named 'absent'")


def test_detectors_that_run_are_measured_beside_pools_and_others_are_named(monkeypatch):
    monkeypatch.setattr("streamrnn.bench.pool.configure", lambda threads: None)
    others = (Peer("deaf", Deaf, (), "pip install deaf"), Peer("absent", absent, (), "pip install absent"))
    report = bench_pool_beside_peers((2,), 1, peers=others)
    assert [row["name"] for row in report["beside"]] == ["lone Stream", "deaf"]
    console = Console(record=True, width=160, file=io.StringIO())
    show_pool(report, console)
    printed = console.export_text()
    assert "deaf / pool" in printed and "absent is missing" in printed and "pip install absent" in printed
