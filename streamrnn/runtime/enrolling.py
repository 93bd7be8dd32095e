"""Voices that a speaker model is to know."""

import dataclasses
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.models import Model, Speaker
from streamrnn.runtime.files import Recording, run_file

# A voice is the mean of vectors over at least this time.
LEAST_S = 1.0


def enrol(
    model: Model, voices: Mapping[str, Recording | Sequence[Recording]], sample_rate: int | None = None
) -> Speaker:
    """A model that knows who is speaking: the same encoder, these names as labels, and its decision settings.

    Voices that the model knew are forgotten. Five to ten seconds of each are enough, about two are needed.

    Args:
        model: with or without speakers.
        voices: name -> a recording of that voice alone, or several: paths, or arrays with a sample_rate.
        sample_rate: of arrays.

    Raises:
        FileNotFoundError, AudioError: as run_file does.
        TypeError: it is no speaker model.
        ValueError: a recording holds too little speech, a name is empty, or there are none.
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
            f"enrol knows the voice of {name!r} during {heard_s:.1f} s of its sound, and needs {LEAST_S:.0f} s beyond "
            f"the first {encoder.settings.least_frames} frames of speech. Record five to ten seconds of it alone."
        )
    mean = spoken.mean(axis=0)
    return mean / np.linalg.norm(mean)


__all__ = ["enrol"]
