"""Your own layer: write its step; training on all frames at once and streaming block by block come with it.

python examples/04_your_own_layer.py

The layer is the needle of a level meter, which rises fast and falls slowly; one behind each band of a mel spectrum is
an analyser. From what another analyser showed, ours learns how fast to move its needles, and then it runs live.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from streamrnn import Layer, aligned
from streamrnn.audio import read_audio
from streamrnn.features import log_mel
from streamrnn.layers import Chain

SAMPLE_RATE, HOP_SAMPLES, FRAME_MS, MELS = 16_000, 160, 10, 40


class Needle(Layer):
    """y[t] = y[t-1] + (1 - exp(-frame / time)) (x[t] - y[t-1]), with one time for rising and one for falling."""

    def __init__(self, rise_ms: float, fall_ms: float):
        self.log_times = nnx.Param(jnp.log(jnp.array([rise_ms, fall_ms])))

    def init_state(self, batch_size: int) -> jax.Array:
        return jnp.full((batch_size, MELS), -100.0)  # digital silence, in dB

    def step(self, state: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        rise, fall = -jnp.expm1(-FRAME_MS / jnp.exp(self.log_times[...]))
        state += jnp.where(x[:, 0] > state, rise, fall) * (x[:, 0] - state)
        return state, state[:, None]


samples, _ = read_audio(Path(__file__).parents[1] / "audio_samples/conversation.flac", SAMPLE_RATE, stop=48_000)
sound = jnp.asarray(samples).reshape(1, -1, HOP_SAMPLES)
spectrum = log_mel(SAMPLE_RATE, 400, HOP_SAMPLES, MELS)
shown = aligned(Chain(*spectrum, Needle(rise_ms=20, fall_ms=300)), sound)

needle = Needle(rise_ms=100, fall_ms=100)
model = Chain(*spectrum, needle)
gradients = nnx.grad(lambda model: jnp.mean((aligned(model, sound) - shown) ** 2))
optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)
train_step = nnx.jit(lambda model, optimizer: optimizer.update(model, gradients(model)))
for _ in range(100):
    train_step(model, optimizer)
print("Learned: rises in {:.0f} ms, falls in {:.0f} ms".format(*np.exp(needle.log_times[...])))

step, state, live = jax.jit(model.step), model.init_state(1), []
for block in np.split(np.asarray(sound), sound.shape[1], axis=1):
    state, y = step(state, block)
    live.append(y)
difference_db = np.abs(np.concatenate(live, axis=1) - aligned(model, sound)).max()
print(f"Block by block and at once differ by {difference_db:.6f} dB at most.")
