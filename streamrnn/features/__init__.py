"""From raw audio to what recurrent models read: spectra, mel features, normalisation. Every one is a `Layer`."""

from streamrnn.features.mel import DCT, Decibels, Deltas, MelFilterbank, PowerSpectrum, log_mel, mfcc
from streamrnn.features.normalise import PCEN, RunningNormalise, Statistics
from streamrnn.features.stft import STFT, InverseSTFT

__all__ = [
    "DCT",
    "PCEN",
    "STFT",
    "Decibels",
    "Deltas",
    "InverseSTFT",
    "MelFilterbank",
    "PowerSpectrum",
    "RunningNormalise",
    "Statistics",
    "log_mel",
    "mfcc",
]
