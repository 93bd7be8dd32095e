"""What training makes small. Padding and frames of weight 0 never count, whatever stands there, NaN included."""

from streamrnn.training.losses.alignment import ctc_loss
from streamrnn.training.losses.frames import frame_binary_cross_entropy, frame_cross_entropy
from streamrnn.training.losses.keywords import max_pooling_loss
from streamrnn.training.losses.loudness import disturbance_loss
from streamrnn.training.losses.sound import (
    compressed_spectrum_loss,
    multi_resolution_stft_loss,
    si_sdr_db,
    si_sdr_loss,
)
from streamrnn.training.losses.spectra import Resolution
from streamrnn.training.losses.transducer import transducer_loss

__all__ = [
    "Resolution",
    "compressed_spectrum_loss",
    "ctc_loss",
    "disturbance_loss",
    "frame_binary_cross_entropy",
    "frame_cross_entropy",
    "max_pooling_loss",
    "multi_resolution_stft_loss",
    "si_sdr_db",
    "si_sdr_loss",
    "transducer_loss",
]
