"""One model for all that is measured."""

import jax
import numpy as np
import pytest
from flax import nnx

from streamrnn.models import VoiceActivity, VoiceActivitySettings


@pytest.fixture(scope="session")
def model() -> VoiceActivity:
    """Biases start at zero, which would hide mistakes in their order: here they are drawn like all other weights."""
    model = VoiceActivity(VoiceActivitySettings(mels=20, channels=8, hidden=8), rngs=nnx.Rngs(0))
    draw = np.random.default_rng(1).normal
    drawn = jax.tree.map(lambda w: w + draw(0, 0.2, w.shape).astype(np.float32), nnx.state(model, nnx.Param))
    nnx.update(model, drawn)
    model.eval()
    return model
