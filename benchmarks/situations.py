"""Voice activity detectors in the situations that `streamrnn compose situations` writes, ours beside others."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.installed import made_or_missing, print_missing
from benchmarks.peers import PEERS, Detector, Peer, version_of
from streamrnn import __version__
from streamrnn.audio import resample
from streamrnn.cli.situations import situations_table
from streamrnn.compat.silero import neg_threshold_of
from streamrnn.decisions import SpeechSettings
from streamrnn.evaluation.situations import SpeechJudge, judge_situations
from streamrnn.evaluation.situations.speech import speech_judge
from streamrnn.pretrained import load

# Names of situations, of detectors and seven figures.
WIDTH = 112


class HeardByPeer:
    """A detector by others as a judge asks it: at its own rate, with scores from 0 to 1."""

    def __init__(self, peer: Peer, detector: Detector, durations: SpeechSettings):
        self._detector, self._highest = detector, peer.highest
        self.frame_s = detector.frame_s
        self.decision = replace(durations, threshold=peer.threshold, off_threshold=neg_threshold_of(peer.threshold))

    def hear(self, samples: np.ndarray, sample_rate: int) -> np.ndarray:
        scores = self._detector.scores(resample(samples, sample_rate, self._detector.sample_rate))
        return np.asarray(scores, float) / self._highest


def compare_in_situations(
    situations: Path,
    models: Sequence[str] = ("vad",),
    only: Sequence[str] = (),
    peers: Sequence[Peer] = PEERS,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The figures of our models and of the peers that are installed, in each situation, ready for JSON.

    All hear the same recordings. Each has its own threshold; durations and padding of the peers' decisions are those of
    our first model, so that nobody finds more speech by adding more around it. Our models run live at a recording's
    rate; peers hear it resampled offline to theirs.

    Args:
        situations: a folder as `streamrnn compose situations` writes it.
        models: shipped models by name, or saved ones by path.
        only: names of situations; default: all.
        peers: what to compare with.
        progress: called with (situations done, situations) after each.

    Returns:
        situations; detectors: by name and version, figures by situation (see SpeechJudge.row); missing: name, error and
        install of other peers.

    Raises:
        FileNotFoundError: no such model, or no situations.
        ValueError: a model of another task, or `only` names a situation that is not there.
    """
    loaded = {name: load(name) for name in models}
    durations = next((model.decision for model in loaded.values()), SpeechSettings())
    made, missing = made_or_missing(peers, lambda peer: (peer, HeardByPeer(peer, peer.make(), durations)))
    judges = {f"{name} {__version__}": speech_judge(model) for name, model in loaded.items()}
    judges |= {f"{peer.name} {version_of(peer)}".strip(): SpeechJudge(detector) for peer, detector in made}
    rows = judge_situations(judges, situations, only, progress)
    detectors = {name: {situation: row[name] for situation, row in rows.items()} for name in judges}
    return {"situations": str(situations), "detectors": detectors, "missing": missing}


def show(comparison: dict[str, Any], console: Console) -> None:
    """Prints what compare_in_situations returned as a table, and how to install the peers that are missing."""
    wide = Console(width=max(WIDTH, console.width), file=console.file)
    wide.print(situations_table(comparison["situations"], comparison["detectors"]))
    print_missing(comparison["missing"], console)


__all__ = ["HeardByPeer", "compare_in_situations", "show"]
