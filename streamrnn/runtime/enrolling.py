"""Enrolling the voices that a speaker model recognises."""

import dataclasses
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.models import Model, Speaker
from streamrnn.runtime.files import Recording, run_file

# A voiceprint is the mean of vectors over at least this time.
LEAST_S = 1.0


def enrol(
    model: Model, voices: Mapping[str, Recording | Sequence[Recording]], sample_rate: int | None = None
) -> Speaker:
    """A model that recognises these speakers: the same encoder and decision settings, with their names as labels.

    Voices enrolled before are forgotten. About two seconds of each voice are required; five to ten are enough.

    Args:
        model: a speaker model, with or without enrolled speakers.
        voices: name -> one or several recordings of that voice alone: paths, or arrays with a sample_rate.
        sample_rate: of arrays, in Hz.

    Raises:
        FileNotFoundError, AudioError: as for run_file.
        TypeError: model is not a speaker model.
        ValueError: a recording contains too little speech, a name is empty, or there are no voices.
    """
    if not isinstance(model, Speaker):
        raise TypeError(
            f"enrol got a {type(model).__name__}; it needs a speaker model (`streamrnn convert resemblyzer`)."
        )
    if not voices:
        raise ValueError("enrol got no voices. Pass {'ada': 'ada.wav'}.")
    encoder = _with(model, ())
    known = np.stack([_voice(encoder, name, of, sample_rate) for name, of in voices.items()])
    enrolled = _with(model, tuple(voices))
    enrolled.voices[...] = jnp.asarray(known)
    return enrolled


def _with(model: Speaker, speakers: tuple[str, ...]) -> Speaker:
    settings = dataclasses.replace(model.settings, speakers=speakers)
    made = Speaker(settings, model.decision, rngs=nnx.Rngs(0))
    nnx.update(made.voiceprint, nnx.state(model.voiceprint))
    made.eval()
    return made


def _voice(encoder: Speaker, name: str, of: Recording | Sequence[Recording], sample_rate: int | None) -> np.ndarray:
    several = of if isinstance(of, list | tuple) else [of]
    vectors = np.concatenate([run_file(encoder, recording, sample_rate) for recording in several])
    spoken = vectors[np.any(vectors, axis=1)]
    heard_s = len(spoken) * encoder.frame_s
    if heard_s < LEAST_S:
        raise ValueError(
            f"enrol found {heard_s:.1f} s of speech for {name!r}; it needs {LEAST_S:.0f} s "
            f"beyond the first {encoder.settings.least_frames} frames. Record five to ten seconds of that voice alone."
        )
    mean = spoken.mean(axis=0)
    return mean / np.linalg.norm(mean)


__all__ = ["enrol"]
