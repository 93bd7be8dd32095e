"""Classification guarded by a second network, without whose detection nothing is found."""

import jax
import jax.numpy as jnp
from flax import nnx

from streamrnn.contract import Frozen, Layer
from streamrnn.layers.chain import Chain, require_layer
from streamrnn.layers.running import RecentMax
from streamrnn.shapes import Block, Frames, OutputFrame, State


class Guarded(Chain):
    """Layers in series that end in logits of classes; class 0, "nothing", rises where a guard detects nothing.

        y_0 += weight x max(0, threshold - m),  m: the maximum of the guard's logit over its last `frames` frames

    The guard processes the same input, x[batch, time, in] -> logit[batch, time, 1]. Two networks that were trained
    separately make different errors: music that one takes for a word rarely sounds like speech to the other. The
    correction is continuous in m, so rounding cannot flip a decision. `model.train()` switches it off, and the guard's
    weights are `Frozen`: they come from a training of their own.

    The state is (states of the layers, state of the guard, the guard's last logits).

    Args:
        layers: in series, see Chain.
        guard: one output per input frame, known no later than that of the layers.
        threshold: logit of the guard at and above which it changes nothing.
        weight: nats added to class 0 per nat that m is below the threshold; above 0.
        frames: number of the guard's latest logits that count, 1 or more. With layers that look ahead, the latest
            ones lie after the frames that an output belongs to.

    Raises:
        TypeError: something is no layer.
        ValueError: the guard has a stride, or looks further ahead than the layers; weight or frames is out of range.
    """

    def __init__(self, *layers: Layer, guard: Layer, threshold: float, weight: float, frames: int):
        super().__init__(*layers)
        require_layer("Guarded", guard)
        if guard.stride != 1 or guard.lookahead > self.lookahead:
            raise ValueError(
                f"Guarded got a guard of stride {guard.stride} and look-ahead {guard.lookahead}, for layers with "
                f"look-ahead {self.lookahead}; it needs a stride of 1 and no longer look-ahead. Put Lookahead in front "
                "of the layers, or choose another guard."
            )
        if not weight > 0:
            raise ValueError(f"Guarded got weight={weight}; it needs a number above 0.")
        self.guard, self.recent = _frozen(guard), RecentMax(frames, 1)
        self.threshold, self.weight = threshold, weight
        # By this name `model.train()` and `model.eval()` know what to switch.
        self.deterministic = True

    def init_state(self, batch_size: int) -> State:
        return super().init_state(batch_size), self.guard.init_state(batch_size), self.recent.init_state(batch_size)

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        of_layers, y = super().step(state[0], x)
        return self._guarded((of_layers, *state[1:]), x, y)

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        of_layers, y = super().scan(state[0], x)
        return self._guarded((of_layers, *state[1:]), x, y)

    def _guarded(self, state: State, x: Frames, y: Frames) -> tuple[State, Frames]:
        if not self.deterministic:
            return state, y
        of_layers, of_guard, last = state
        run = self.guard.step if x.shape[1] == 1 else self.guard.scan
        of_guard, logits = run(of_guard, x)
        last, recent = self.recent.scan(last, logits)
        # Of each block the last frame, which knows most.
        missing = jax.nn.relu(self.threshold - recent[:, self.stride - 1 :: self.stride])
        nothing = y[..., :1] + self.weight * missing.astype(y.dtype)
        return (of_layers, of_guard, last), jnp.concatenate([nothing, y[..., 1:]], axis=-1)


def _frozen(layer: Layer) -> Layer:
    """The layer, with weights that no training changes."""
    for _, node in nnx.iter_graph(layer):
        if isinstance(node, nnx.Module):
            for name, value in list(vars(node).items()):
                if isinstance(value, nnx.Param):
                    setattr(node, name, Frozen(value[...]))
    return layer


__all__ = ["Guarded"]
