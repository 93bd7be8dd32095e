"""Hard negatives: recordings that deceive a model stand in training more often than others.

Most noise is easily told from speech, and teaches a trained model nothing more; what deceives it is a small part of the
recordings. Drawing the examples that are still wrong more often is bootstrapping (Sung and Poggio 1998), or online hard
example mining (Shrivastava et al. 2016).
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np

from streamrnn.data.recordings import Sounds
from streamrnn.models import VoiceActivity
from streamrnn.recipes.recipe import outputs

EXCERPT_S, EXCERPTS = 10.0, 32
# One recording counts for no more, so that a singer whom nobody noticed does not fill the training.
MOST_S = 3.0


def mined(sounds: Sounds, model: VoiceActivity, share: float) -> Sounds:
    """The sounds, of which those where the model hears speech stand in the result several times.

    Args:
        sounds: recordings without speech, at the model's sample rate.
        model: whose false alarms are mined.
        share: of the result, in [0, 1): how many of it stand there for what the model heard in them, each in proportion
            to the seconds heard, of which MOST_S count at most. The others are `sounds` as they are.
    """
    places = list(dict.fromkeys(sounds.places))
    heard_s = np.minimum(speech_heard_s(Sounds(tuple(places)), model), MOST_S)
    if not heard_s.any():
        return sounds
    copies = np.round(share / (1 - share) * len(sounds) * heard_s / heard_s.sum()).astype(int)
    again = [place for place, count in zip(places, copies.tolist(), strict=True) for _ in range(count)]
    return sounds + Sounds(tuple(again))


def speech_heard_s(sounds: Sequence[np.ndarray], model: VoiceActivity) -> np.ndarray:
    """Seconds that the model takes for speech in each recording, by its off threshold: float64[len(sounds)].

    Args:
        sounds: int16[n] each, at the model's sample rate; heard in excerpts of ten seconds, each by a fresh stream.
    """
    hop, heard_s = model.hop_samples, np.zeros(len(sounds))
    frames = round(EXCERPT_S * model.sample_rate / hop)
    excerpts = _excerpts(sounds, frames * hop)
    while batch := list(islice(excerpts, EXCERPTS)):
        samples = np.zeros((EXCERPTS, frames * hop), np.float32)
        for row, (_, excerpt) in enumerate(batch):
            samples[row, : len(excerpt)] = excerpt.astype(np.float32) / 32768
        logits = outputs(model, jnp.asarray(samples.reshape(EXCERPTS, frames, hop)))[..., 0]
        is_speech = np.asarray(jax.nn.sigmoid(logits)) >= model.decision.resolved_off_threshold
        for row, (number, excerpt) in enumerate(batch):
            heard_s[number] += is_speech[row, : len(excerpt) // hop].sum() * model.frame_s
    return heard_s


def _excerpts(sounds: Sequence[np.ndarray], longest: int) -> Iterator[tuple[int, np.ndarray]]:
    for number in range(len(sounds)):
        samples = sounds[number]
        for first in range(0, len(samples), longest):
            yield number, samples[first : first + longest]


__all__ = ["mined", "speech_heard_s"]
