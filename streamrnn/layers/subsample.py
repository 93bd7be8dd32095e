"""Fewer frames per second."""

from streamrnn.contract import Layer, split_blocks
from streamrnn.shapes import Block, Frames, OutputFrame, State


class StackFrames(Layer):
    """Joins `stride` frames into one wide frame: x[batch, time, in] -> y[batch, time/stride, stride * in].

    Nothing is lost; the layers after it run `stride` times less often (Sak et al. 2015, "Fast and accurate recurrent
    neural network acoustic models").

    Raises:
        ValueError: stride is below 1; in scan, time is not a multiple of stride.
    """

    def __init__(self, stride: int):
        if stride < 1:
            raise ValueError(f"StackFrames got stride={stride}; it must be 1 or more.")
        self.stride = stride

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        return self.scan(state, x)

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        blocks = split_blocks(self, x)
        batch, time, stride, features = blocks.shape
        return state, blocks.reshape(batch, time, stride * features)


__all__ = ["StackFrames"]
