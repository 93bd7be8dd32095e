"""Layers under the contract, to be put together by Chain and Residual."""

from streamrnn.layers.chain import Chain, Residual
from streamrnn.layers.convolution import CausalConv, depthwise_separable_conv
from streamrnn.layers.delay import Delay, Lookahead
from streamrnn.layers.masking import SpecAugment
from streamrnn.layers.pointwise import Apply, Dense, Dropout, LayerNorm, RMSNorm
from streamrnn.layers.pytorch import from_torch, to_torch
from streamrnn.layers.recurrent import Recurrent
from streamrnn.layers.subsample import StackFrames

__all__ = [
    "Apply",
    "CausalConv",
    "Chain",
    "Delay",
    "Dense",
    "Dropout",
    "LayerNorm",
    "Lookahead",
    "RMSNorm",
    "Recurrent",
    "Residual",
    "SpecAugment",
    "StackFrames",
    "depthwise_separable_conv",
    "from_torch",
    "to_torch",
]
