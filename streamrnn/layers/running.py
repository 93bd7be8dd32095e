"""Statistics of all frames so far, for answers about a whole stream that improve with every frame."""

from functools import reduce

import jax
import jax.numpy as jnp

from streamrnn.contract import Layer, remembered
from streamrnn.shapes import Block, Frames, OutputFrame, State


class RunningMean(Layer):
    """The mean of all frames so far: y[t] = (x[0] + ... + x[t]) / (t + 1).

    The state is (mean[batch, features], frames int32[batch]).

    Args:
        features: width of a frame.
    """

    def __init__(self, features: int):
        self.features = features

    def init_state(self, batch_size: int) -> State:
        return jnp.zeros((batch_size, self.features), jnp.float32), jnp.zeros(batch_size, jnp.int32)

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        mean, frames = state
        # Not from a sum, in which new frames would lose precision over a long stream.
        mean = mean + (x[:, 0] - mean) / (frames + 1)[:, None]
        return (mean, frames + 1), mean[:, None].astype(x.dtype)

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        mean, before = state
        if not x.shape[1]:
            return state, x
        frames = before[:, None] + jnp.arange(1, x.shape[1] + 1, dtype=jnp.int32)
        y = (mean * before[:, None])[:, None] + jnp.cumsum(x.astype(jnp.float32), axis=1)
        y = y / frames[..., None]
        return (y[:, -1], frames[:, -1]), y.astype(x.dtype)


class RunningMax(Layer):
    """The maximum of each feature over all frames so far. The state is that of the previous frames, [batch, features].

    Args:
        features: width of a frame.
    """

    def __init__(self, features: int):
        self.features = features

    def init_state(self, batch_size: int) -> State:
        # Not minus infinity, which the metadata of exported models cannot represent.
        return jnp.full((batch_size, self.features), jnp.finfo(jnp.float32).min, jnp.float32)

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        # Not by scan, whose maximum over time has no ONNX operator.
        y = jnp.maximum(state, x[:, 0].astype(jnp.float32))
        return y, y[:, None].astype(x.dtype)

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        if not x.shape[1]:
            return state, x
        y = jnp.maximum(state[:, None], jax.lax.cummax(x.astype(jnp.float32), axis=1))
        return y[:, -1], y.astype(x.dtype)


class _LastFrames(Layer):
    """A function of the latest frames. The state is the frames before, [batch, frames - 1, features]."""

    # Stands for frames before the stream.
    before: float

    def __init__(self, frames: int, features: int):
        if frames < 1:
            raise ValueError(f"{type(self).__name__} got frames={frames}; it must be 1 or more.")
        self.frames, self.features = frames, features

    def init_state(self, batch_size: int) -> State:
        return jnp.full((batch_size, self.frames - 1, self.features), self.before, jnp.float32)

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        return self.scan(state, x)

    def _last(self, state: State, x: Frames) -> list[jax.Array]:
        """The latest frames at each frame, the oldest first: `frames` arrays [batch, time, features]."""
        line, time = jnp.concatenate([state, x.astype(jnp.float32)], axis=1), x.shape[1]
        return [line[:, start : start + time] for start in range(self.frames)]


class Window(_LastFrames):
    """The latest `frames` frames side by side, the oldest first: x[batch, time, n] -> [batch, time, frames n].

    Zeros stand for frames before the stream. The state is the frames before, [batch, frames - 1, features].

    Args:
        frames: number of frames, 1 or more.
        features: width of a frame.

    Raises:
        ValueError: frames is below 1.
    """

    before = 0.0

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        return remembered(state, x), jnp.concatenate(self._last(state, x), axis=-1).astype(x.dtype)


class RecentMax(_LastFrames):
    """The maximum of each feature over the latest `frames` frames. The state is the frames before, [batch, frames - 1,
    features].

    Args:
        frames: number of frames, 1 or more.
        features: width of a frame.

    Raises:
        ValueError: frames is below 1.
    """

    # See RunningMax.
    before = float(jnp.finfo(jnp.float32).min)

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        # Two at a time: see PhraseScores.
        return remembered(state, x), reduce(jnp.maximum, self._last(state, x)).astype(x.dtype)


__all__ = ["RecentMax", "RunningMax", "RunningMean", "Window"]
