"""Layers of the contract, for composition by Chain and Residual."""

from streamrnn.layers.attention import CausalAttention, Recomputed, grow
from streamrnn.layers.chain import Chain, Residual
from streamrnn.layers.convolution import CausalConv, depthwise_separable_conv
from streamrnn.layers.delay import Delay, Lookahead
from streamrnn.layers.dilated import Dilated
from streamrnn.layers.each import PerFeature
from streamrnn.layers.embedding import Embedding, EmbeddingBag
from streamrnn.layers.made import MADE
from streamrnn.layers.masking import SpecAugment
from streamrnn.layers.phrase_scores import PhraseScores
from streamrnn.layers.pointwise import Apply, Dense, Dropout, LayerNorm, RMSNorm
from streamrnn.layers.pytorch import from_torch, to_torch
from streamrnn.layers.recurrent import Recurrent, run_recurrences
from streamrnn.layers.running import RecentMax, RunningMax, RunningMean, Window
from streamrnn.layers.subsample import StackFrames

__all__ = [
    "MADE",
    "Apply",
    "CausalAttention",
    "CausalConv",
    "Chain",
    "Delay",
    "Dense",
    "Dilated",
    "Dropout",
    "Embedding",
    "EmbeddingBag",
    "LayerNorm",
    "Lookahead",
    "PerFeature",
    "PhraseScores",
    "RMSNorm",
    "RecentMax",
    "Recomputed",
    "Recurrent",
    "Residual",
    "RunningMax",
    "RunningMean",
    "SpecAugment",
    "StackFrames",
    "Window",
    "depthwise_separable_conv",
    "from_torch",
    "grow",
    "run_recurrences",
    "to_torch",
]
