"""A model of phonemes without weights: its sound holds the log probabilities that it gives."""

import jax
import numpy as np
from flax import nnx

import streamrnn
from streamrnn import Model
from streamrnn.contract import Layer
from streamrnn.decisions import PhraseSettings
from streamrnn.layers import Apply, Chain, Lookahead
from tests.decisions.spoken_phonemes import FRAME_S, LABELS

RATE = 8000
HOP = round(RATE * FRAME_S)
# Nats of full scale: sound is from -1 to 1.
SCALE = 25.0


@streamrnn.builder
def read_out(*, rngs: nnx.Rngs) -> Layer:
    return Chain(Apply(lambda x: jax.nn.log_softmax(SCALE * x[..., : len(LABELS)])), Lookahead(2))


def phoneme_model(phrases: tuple[str, ...] = ()) -> Model:
    layer = read_out(rngs=nnx.Rngs(0))
    return Model.of(layer, sample_rate=RATE, hop_samples=HOP, labels=LABELS, decision=PhraseSettings(phrases))


def as_sound(log_p: np.ndarray) -> np.ndarray:
    """float32[samples] of log probabilities [frames, labels]."""
    frames = np.zeros((len(log_p), HOP), np.float32)
    frames[:, : len(LABELS)] = log_p / SCALE
    return frames.ravel()
