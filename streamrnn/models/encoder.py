"""The encoder of models that recognise speech: from sound to one frame of features per four hops."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from flax import nnx

from streamrnn.contract import Layer
from streamrnn.features import log_mel
from streamrnn.layers import Apply, CausalConv, Chain, Dropout, LayerNorm, Lookahead, SpecAugment
from streamrnn.models.cores import recurrent_layer
from streamrnn.models.front_end import levels_above_floor

if TYPE_CHECKING:
    from streamrnn.models.phonemes import PhonemesSettings
    from streamrnn.models.transcription import CTCSettings


def speech_encoder(
    s: "PhonemesSettings | CTCSettings", rngs: nnx.Rngs, dtype: str = "float32", levels: Sequence[Layer] = ()
) -> Chain:
    """Raw audio -> a frame of `hidden` features per four hops.

    Args:
        levels: layers after the log-mel spectrum, which keep its bands; default: levels and their height above each
            band's noise floor, which doubles the number of bands.
    """
    bands = s.mels if levels else 2 * s.mels
    floor = levels_above_floor(s.mels, s.sample_rate / s.hop_samples, s.floor_fall_s, s.floor_rise_s, s.silence)
    front_end = Chain(
        *log_mel(s.sample_rate, s.window_samples, s.hop_samples, s.mels, amin=s.silence),
        *(levels or floor),
        SpecAugment(bands, 2, bands // (6 if levels else 8), 2, s.masked_frames, rngs=rngs),
    )
    compute = jnp.dtype(dtype)
    convolutions = Chain(
        CausalConv(bands, s.channels, 5, stride=2, dtype=compute, rngs=rngs),
        LayerNorm(s.channels, rngs=rngs),
        Apply(jax.nn.relu),
        CausalConv(s.channels, s.hidden, 5, stride=2, dtype=compute, rngs=rngs),
        LayerNorm(s.hidden, rngs=rngs),
        Apply(jax.nn.relu),
    )
    recurrent = [
        layer
        for _ in range(s.layers)
        for layer in (Dropout(s.dropout, rngs=rngs), recurrent_layer(s.core, s.hidden, s.hidden, dtype, rngs))
    ]
    # The look-ahead is counted after the strides, in frames of four hops, so it is always a whole number of frames.
    return Chain(front_end, convolutions, Lookahead(s.lookahead_frames), *recurrent)


__all__ = ["speech_encoder"]
