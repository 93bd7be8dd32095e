"""Features of raw audio for recurrent models: spectra, mel features, normalisation. Each is a `Layer`."""

from streamrnn.features.floor import QUIET_DB, AboveFloor, scaled_levels
from streamrnn.features.mel import DCT, Decibels, Deltas, MelFilterbank, PowerSpectrum, log_mel, mfcc
from streamrnn.features.normalise import PCEN, RunningNormalise, Statistics
from streamrnn.features.stft import STFT, InverseSTFT

__all__ = [
    "DCT",
    "PCEN",
    "QUIET_DB",
    "STFT",
    "AboveFloor",
    "Decibels",
    "Deltas",
    "InverseSTFT",
    "MelFilterbank",
    "PowerSpectrum",
    "RunningNormalise",
    "Statistics",
    "log_mel",
    "mfcc",
    "scaled_levels",
]
