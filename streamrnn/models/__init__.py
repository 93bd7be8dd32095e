"""Whole models, sound in and decisions out, one file per task."""

from streamrnn.models.cores import CORES, CoreSettings, matched
from streamrnn.models.denoising import Denoising, DenoisingSettings
from streamrnn.models.keywords import Keywords, KeywordsSettings
from streamrnn.models.model import Decoder, Model
from streamrnn.models.transcription import CTC, CTCSettings, Transducer, TransducerSettings
from streamrnn.models.voice_activity import VoiceActivity, VoiceActivitySettings

__all__ = [
    "CORES",
    "CTC",
    "CTCSettings",
    "CoreSettings",
    "Decoder",
    "Denoising",
    "DenoisingSettings",
    "Keywords",
    "KeywordsSettings",
    "Model",
    "Transducer",
    "TransducerSettings",
    "VoiceActivity",
    "VoiceActivitySettings",
    "matched",
]
