"""Evaluation of models of music: the likelihood of unseen pieces."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.data.music import read_pieces
from streamrnn.evaluation.judging import OnProgress, unfit
from streamrnn.models import Model, Music
from streamrnn.runtime import Stream, run_file


def evaluate_music(
    model: Model, places: Sequence[Path], split: str = "test", progress: OnProgress | None = None
) -> dict[str, Any]:
    """The lines, streaming and offline entries of streamrnn.evaluation.evaluate. Each piece is a stream.

    Figures: nats_per_frame, minus the log-probability of all keys of a frame together, of every frame but each piece's
    first; repeat, the share of frames that are as the one before.

    Raises:
        ValueError: it is not a model of music, there is no such part, or its pieces have one frame each.
    """
    if not isinstance(model, Music):
        raise unfit("evaluate music", model, "a model of music")
    pieces, stream, live = read_pieces(places).part(split), Stream(model), []
    for number, piece in enumerate(pieces, start=1):
        live.append(stream.process(piece))
        stream.reset()
        if progress is not None:
            progress(number, len(pieces))
    offline = [run_file(model, piece) for piece in pieces]
    return {
        "lines": sum(map(len, pieces)),
        "streaming": _figures(model, live, pieces),
        "offline": _figures(model, offline, pieces),
    }


def _figures(model: Music, outputs: Sequence[np.ndarray], pieces: Sequence[np.ndarray]) -> dict[str, Any]:
    before, comes = (np.concatenate(of) for of in zip(*((p[:-1], p[1:]) for p in pieces), strict=True))
    nats = -model.log_probability(np.concatenate([y[:-1] for y in outputs]), comes)
    return {"nats_per_frame": float(nats.mean()), "repeat": float((before == comes).all(axis=1).mean())}


__all__ = ["evaluate_music"]
