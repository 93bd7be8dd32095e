"""A task of a package whose models are made by Model.of."""

from flax import nnx

import streamrnn
from streamrnn.features import log_mel
from streamrnn.layers import Chain, Dense
from streamrnn.tasks import Task


@streamrnn.builder
def layers(mels: int = 4, *, rngs: nnx.Rngs) -> Chain:
    return Chain(*log_mel(8000, 200, 80, mels, amin=1e-8), Dense(mels, 1, rngs=rngs))


MARKED = Task("marked", model="marked:layers", decision="streamrnn.decisions:SpeechSettings")
