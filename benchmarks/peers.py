"""Other voice activity detectors on the same recordings, judged by the same figures.

The peers are no dependency: those that are installed are measured, the others named with the command that installs
them.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module, metadata
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rich.console import Console

from benchmarks.installed import made_or_missing, print_missing
from streamrnn import __version__
from streamrnn.audio import read_audio, resample
from streamrnn.bench.pool import bench_pool, print_report
from streamrnn.bench.tables import figures_table
from streamrnn.data import read_manifest
from streamrnn.data.speech_labels import TABLE, read_speech_labels
from streamrnn.decisions import roc_auc
from streamrnn.evaluation.voice_activity import CELL_S, UNLABELLED, cell_scores, speech_figures, speech_truth
from streamrnn.models import Model
from streamrnn.pretrained import load
from streamrnn.runtime import Stream

PEER_RATE = 16_000
MAX_SHIFT_CELLS = 10
COLLAR_CELLS = 10
MODEL_CHUNK_SAMPLES = 1600


class Detector(Protocol):
    """Scores one recording at a time."""

    @property
    def frame_s(self) -> float:
        """Seconds per score."""
        ...

    @property
    def sample_rate(self) -> int:
        """Samples per second of the recordings that it takes."""
        ...

    def scores(self, samples: np.ndarray) -> np.ndarray:
        """float32[n] in [-1, 1] -> float[ceil(n / frame)], higher where speech is likelier. Each call starts afresh."""
        ...


class FramewisePeer:
    """A detector that hears one frame after the other; the last one is padded with zeros. Subclasses write the rest."""

    sample_rate = PEER_RATE
    frame_samples: int

    @property
    def frame_s(self) -> float:
        return self.frame_samples / self.sample_rate

    def scores(self, samples: np.ndarray) -> np.ndarray:
        padded = np.pad(samples, (0, -len(samples) % self.frame_samples))
        score = self.fresh()
        return np.array([score(frame) for frame in padded.reshape(-1, self.frame_samples)])

    def fresh(self) -> Callable[[np.ndarray], float]:
        """For a new recording: the function that takes its frames, float32[frame_samples], in order."""
        raise NotImplementedError(f"{type(self).__name__} defines no fresh")


class SileroVad(FramewisePeer):
    """Silero VAD's ONNX file, run as the package's OnnxWrapper runs it: one thread, 64 samples of context."""

    frame_samples = 512
    context_samples = 64

    def __init__(self):
        runtime = import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = runtime.InferenceSession(_silero_file(), options, providers=["CPUExecutionProvider"])
        self._rate = np.array(self.sample_rate, np.int64)

    def fresh(self) -> Callable[[np.ndarray], float]:
        state = np.zeros((2, 1, 128), np.float32)
        context = np.zeros(self.context_samples, np.float32)

        def score(frame: np.ndarray) -> float:
            nonlocal state, context
            heard = np.concatenate([context, frame])[None]
            probability, state = self._session.run(None, {"input": heard, "state": state, "sr": self._rate})
            context = frame[-self.context_samples :]
            return float(probability[0, 0])

        return score


def _silero_file() -> Path:
    # Importing the package would import torch, which its ONNX file does not need.
    spec = find_spec("silero_vad")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'silero_vad'", name="silero_vad")
    return Path(spec.origin).parent / "data" / "silero_vad.onnx"


class WebRtcVad(FramewisePeer):
    """WebRTC's Gaussian mixtures: the score is how many of the four modes, lenient to strict, hear speech."""

    # 10 ms: of the three lengths that it takes, the one with the highest ROC-AUC on scenes of the test split.
    frame_samples = 160

    def __init__(self):
        self._webrtcvad = import_module("webrtcvad")

    def fresh(self) -> Callable[[np.ndarray], float]:
        modes = [self._webrtcvad.Vad(mode) for mode in range(4)]

        def score(frame: np.ndarray) -> float:
            pcm = _int16(frame).tobytes()
            return sum(mode.is_speech(pcm, self.sample_rate) for mode in modes)

        return score


class Earshot(FramewisePeer):
    """pykeio's detector in Rust, through its own Python bindings."""

    frame_samples = 256

    def __init__(self):
        self._detector = import_module("earshot").Detector()

    def fresh(self) -> Callable[[np.ndarray], float]:
        self._detector.reset()
        return self._detector.predict_f32


class TenVad(FramewisePeer):
    """TEN VAD through its own Python bindings, in frames of 16 ms, the longer one of the two that it takes."""

    frame_samples = 256

    def __init__(self):
        self._make = import_module("ten_vad").TenVad
        self.fresh()

    def fresh(self) -> Callable[[np.ndarray], float]:
        detector = self._make(self.frame_samples, 0.5)
        # It says -1 while it has not heard enough.
        return lambda frame: max(0.0, detector.process(_int16(frame))[0])


class LiveModel:
    """One of our models, run live in chunks of 100 ms."""

    def __init__(self, model: Model):
        self.frame_s, self.sample_rate = model.frame_s, model.sample_rate
        self._stream = Stream(model)

    def scores(self, samples: np.ndarray) -> np.ndarray:
        self._stream.reset()
        chunks = np.split(samples, range(MODEL_CHUNK_SAMPLES, len(samples), MODEL_CHUNK_SAMPLES))
        outputs = [self._stream.process(chunk) for chunk in chunks]
        return np.concatenate([*outputs, self._stream.flush()])[:, 0]


@dataclass(frozen=True)
class Peer:
    """A detector by others: how to make it, where it comes from, and how its scores are decided on.

    Attributes:
        highest: its highest score.
        threshold: of the highest score, the part from which on it hears speech: its own default where it has one.
    """

    name: str
    make: Callable[[], Detector]
    distributions: tuple[str, ...]
    install: str
    highest: float = 1.0
    threshold: float = 0.5


PEERS = (
    Peer(
        "silero-vad", SileroVad, ("silero-vad",), "pip install onnxruntime && pip install --no-deps 'silero-vad==6.2.*'"
    ),
    # The strictest of its modes, which takes the least noise for speech.
    Peer("webrtcvad", WebRtcVad, ("webrtcvad-wheels", "webrtcvad"), "pip install webrtcvad-wheels", 4.0, 1.0),
    Peer("earshot", Earshot, ("earshot",), "pip install earshot"),
    Peer("ten-vad", TenVad, ("ten-vad",), "apt install libc++1 && pip install --no-deps ten-vad"),
)


@dataclass
class Contender:
    """A detector, its scores of the recordings so far on cells of 10 ms, and the time that they took."""

    name: str
    version: str
    detector: Detector
    scores: list[np.ndarray] = field(default_factory=list)
    compute_s: float = 0.0

    def hear(self, samples: np.ndarray, sample_rate: int, n_cells: int) -> None:
        """Scores one recording, float32[n]."""
        samples = resample(samples, sample_rate, self.detector.sample_rate)
        started = time.perf_counter()
        frames = self.detector.scores(samples)
        self.compute_s += time.perf_counter() - started
        self.scores.append(cell_scores(frames, self.detector.frame_s, n_cells))

    def figures(self, truth: Sequence[np.ndarray], known: Sequence[np.ndarray], audio_s: float) -> dict[str, Any]:
        """The detector's entry in the answer of compare_vad_peers."""
        shift, is_known, pooled = best_shift(self.scores, truth, known), np.concatenate(known), np.concatenate(truth)
        inner = is_known & np.concatenate([away_from_borders(t) for t in truth])
        return {
            "name": self.name,
            "version": self.version,
            "frame_ms": 1000 * self.detector.frame_s,
            **speech_figures(np.concatenate(self.scores)[is_known], pooled[is_known]),
            "real_time_factor": self.compute_s / audio_s,
            "best_shift_ms": round(1000 * CELL_S * shift),
            "shifted": speech_figures(
                np.concatenate([shifted(s, shift) for s in self.scores])[is_known], pooled[is_known]
            ),
            "collared": speech_figures(np.concatenate(self.scores)[inner], pooled[inner]),
        }


def compare_vad_peers(
    data: str | PathLike[str], models: Sequence[str] = ("vad",), split: str | None = None, peers: Sequence[Peer] = PEERS
) -> dict[str, Any]:
    """The figures of our models and of the peers that are installed, on one folder, ready for JSON.

    Every detector hears the same recordings, resampled offline to its rate, as one live stream each. Its scores are
    held on cells of 10 ms, each cell with the score of the frame over its centre. Detectors label sound sooner or later
    than the truth does, so each one, ours included, also gets the constant shift, within 100 ms either way, that gives
    it the highest ROC-AUC on these very recordings. Where speech begins and ends is a matter of taste, so there are
    also figures that leave out the cells within 100 ms of a border (a collar, as in diarisation). Segments of kind
    unknown are left out of all figures.

    Args:
        data: a folder as streamrnn.evaluation.evaluate reads it.
        models: shipped models by name, or saved ones by path.
        split: take the recordings of this split alone; default: all.
        peers: what to compare with.

    Returns:
        data, split, clips, audio_s; detectors: one entry each with name, version, frame_ms, roc_auc, eer, best_f1,
        best_f1_threshold, real_time_factor (one stream; reading and resampling left out), best_shift_ms (positive: the
        detector is late), shifted (the figures with that shift) and collared (unshifted, without the borders); missing:
        name, error and install of other peers.

    Raises:
        FileNotFoundError: no such model, or a table or a recording is missing.
        ValueError: a model of another task, an unknown split, or labels of one class alone.
        AudioError: a recording cannot be read.
    """
    data = Path(data)
    clips, labels = read_manifest(data, split), read_speech_labels(data / TABLE)
    present, missing = made_or_missing(peers, _contender)
    contenders = [_ours(name) for name in models] + present
    truth: list[np.ndarray] = []
    known: list[np.ndarray] = []
    audio_s = 0.0
    for clip in clips:
        samples, sample_rate = read_audio(clip.path, start=clip.start, stop=clip.end)
        duration_s = len(samples) / sample_rate
        of = labels.get(clip.path, UNLABELLED)
        truth.append(speech_truth(clip, of.speech, sample_rate, duration_s))
        known.append(~speech_truth(clip, of.unknown, sample_rate, duration_s))
        audio_s += duration_s
        # One recording, all detectors: whatever else the machine does slows all of them alike.
        for contender in contenders:
            contender.hear(samples, sample_rate, len(truth[-1]))
    entries = [contender.figures(truth, known, audio_s) for contender in contenders]
    described = {"data": str(data), "split": split, "clips": len(clips), "audio_s": audio_s}
    return {**described, "detectors": entries, "missing": missing}


def bench_pool_beside_peers(
    streams: Sequence[int], seconds: int, model_name: str = "vad", peers: Sequence[Peer] = PEERS
) -> dict[str, Any]:
    """What bench_pool measures, with the detectors beside it that are installed, each on one stream; and `missing`."""
    made, missing = made_or_missing(peers, lambda peer: (peer.name, peer.make()))
    beside = {name: (detector.sample_rate, detector.scores) for name, detector in made}
    return bench_pool(model_name, streams, seconds, beside) | {"missing": missing}


def show_pool(report: dict[str, Any], console: Console) -> None:
    """Prints what bench_pool_beside_peers returned."""
    print_report(report, console)
    print_missing(report["missing"], console)


def best_shift(scores: Sequence[np.ndarray], truth: Sequence[np.ndarray], known: Sequence[np.ndarray]) -> int:
    """The shift in cells, within 10 either way, that gives scores their highest ROC-AUC; the shortest one of equals.

    Args:
        scores, truth, known: float[cells], bool[cells] and bool[cells] of each recording. Cells that are not known
            count for nothing.
    """
    is_known, pooled = np.concatenate(known), np.concatenate(truth)
    shifts = sorted(range(-MAX_SHIFT_CELLS, MAX_SHIFT_CELLS + 1), key=abs)

    def area(shift: int) -> float:
        return roc_auc(np.concatenate([shifted(s, shift) for s in scores])[is_known], pooled[is_known])

    return max(shifts, key=area)


def away_from_borders(truth: np.ndarray) -> np.ndarray:
    """bool[cells]: which cells of one recording are at least 10 cells away from every start and end of speech."""
    borders = np.flatnonzero(np.diff(truth)) + 1
    near = np.add.outer(borders, np.arange(-COLLAR_CELLS, COLLAR_CELLS))
    keep = np.ones(len(truth), bool)
    keep[near.clip(0, len(truth) - 1)] = False
    return keep


def shifted(scores: np.ndarray, shift: int) -> np.ndarray:
    """Scores, float[cells], `shift` cells sooner (later where negative); the last or first one is held."""
    if not len(scores):
        return scores
    return scores[np.clip(np.arange(len(scores)) + shift, 0, len(scores) - 1)]


def show(comparison: dict[str, Any], console: Console) -> None:
    """Prints what compare_vad_peers returned as a table, and how to install the peers that are missing."""
    title = f"{comparison['clips']} recordings, {comparison['audio_s'] / 60:.1f} min"
    table = figures_table(
        title,
        ("detector", "AUC", "EER", "F1", "AUC shifted by", "AUC collared", "RTF"),
        left=("detector", "AUC", "EER", "F1", "AUC shifted by", "AUC collared", "RTF"),
    )
    for entry in comparison["detectors"]:
        table.add_row(
            f"{entry['name']} {entry['version']}".strip(),
            *(f"{entry[name]:.4f}" for name in ("roc_auc", "eer", "best_f1")),
            f"{entry['shifted']['roc_auc']:.4f} {entry['best_shift_ms']:+d} ms",
            f"{entry['collared']['roc_auc']:.4f}",
            f"{entry['real_time_factor']:.5f}",
        )
    console.print(table)
    print_missing(comparison["missing"], console)


def _ours(model_name: str) -> Contender:
    model = load(model_name)
    if "speech_start" not in model.outlet().kinds:
        raise ValueError(
            f"{model_name} is a {type(model).__name__}; peers are compared with voice activity models. Pass one."
        )
    return Contender(f"streamrnn {model_name}", __version__, LiveModel(model))


def _contender(peer: Peer) -> Contender:
    return Contender(peer.name, version_of(peer), peer.make())


def version_of(peer: Peer) -> str:
    """The version that is installed; "" where nobody knows."""
    for distribution in peer.distributions:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return ""


def _int16(samples: np.ndarray) -> np.ndarray:
    return np.round(samples * 32768).clip(-32768, 32767).astype(np.int16)


__all__ = [
    "PEERS",
    "Detector",
    "Peer",
    "away_from_borders",
    "bench_pool_beside_peers",
    "best_shift",
    "compare_vad_peers",
    "shifted",
    "show",
    "show_pool",
    "version_of",
]
