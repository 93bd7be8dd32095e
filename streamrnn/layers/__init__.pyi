from .attention import CausalAttention, Recomputed, grow
from .chain import Chain, Residual
from .convolution import CausalConv, depthwise_separable_conv
from .delay import Delay, Lookahead
from .dilated import Dilated
from .each import PerFeature
from .embedding import Embedding, EmbeddingBag
from .guarded import Guarded
from .made import MADE
from .masking import SpecAugment
from .phrase_scores import PhraseScores
from .pointwise import Apply, Dense, Dropout, LayerNorm, RMSNorm
from .pytorch import from_torch, to_torch
from .recurrent import Recurrent, run_recurrences
from .running import RecentMax, RunningMax, RunningMean, Window
from .subsample import StackFrames

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
    "Guarded",
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
