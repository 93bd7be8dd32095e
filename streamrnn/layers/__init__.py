"""Layers under the contract, to be put together by Chain and Residual."""

from streamrnn.layers.attention import CausalAttention, Recomputed, grow
from streamrnn.layers.chain import Chain, Residual
from streamrnn.layers.convolution import CausalConv, depthwise_separable_conv
from streamrnn.layers.delay import Delay, Lookahead
from streamrnn.layers.masking import SpecAugment
from streamrnn.layers.pointwise import Apply, Dense, Dropout, LayerNorm, RMSNorm
from streamrnn.layers.pytorch import from_torch, to_torch
from streamrnn.layers.recurrent import Recurrent, run_recurrences
from streamrnn.layers.subsample import StackFrames

__all__ = [
    "Apply",
    "CausalAttention",
    "CausalConv",
    "Chain",
    "Delay",
    "Dense",
    "Dropout",
    "LayerNorm",
    "Lookahead",
    "RMSNorm",
    "Recomputed",
    "Recurrent",
    "Residual",
    "SpecAugment",
    "StackFrames",
    "depthwise_separable_conv",
    "from_torch",
    "grow",
    "run_recurrences",
    "to_torch",
]
