"""Losses. Padding and frames of weight 0 never count, whatever stands there, NaN included.

Means over a batch are returned as a `Mean`, whose `value` is the scalar, so that a batch can be processed in parts.
"""

from streamrnn.losses.alignment import ctc_loss
from streamrnn.losses.frames import frame_binary_cross_entropy, frame_cross_entropy
from streamrnn.losses.keywords import max_pooling_loss, spotting_loss
from streamrnn.losses.loudness import disturbance_loss
from streamrnn.losses.mean import Mean
from streamrnn.losses.quantiles import pinball_loss
from streamrnn.losses.sound import (
    batch_si_sdr_db,
    compressed_spectrum_loss,
    multi_resolution_stft_loss,
    si_sdr_loss,
)
from streamrnn.losses.spectra import Resolution
from streamrnn.losses.streams import stream_binary_cross_entropy, stream_cross_entropy
from streamrnn.losses.transducer import transducer_loss

__all__ = [
    "Mean",
    "Resolution",
    "batch_si_sdr_db",
    "compressed_spectrum_loss",
    "ctc_loss",
    "disturbance_loss",
    "frame_binary_cross_entropy",
    "frame_cross_entropy",
    "max_pooling_loss",
    "multi_resolution_stft_loss",
    "pinball_loss",
    "si_sdr_loss",
    "spotting_loss",
    "stream_binary_cross_entropy",
    "stream_cross_entropy",
    "transducer_loss",
]
