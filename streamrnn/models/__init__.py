"""Whole models, sound in and decisions out, one file per task."""

from streamrnn.models.choices import Choices, ChoicesSettings
from streamrnn.models.classifier import Classifier, ClassifierSettings
from streamrnn.models.cores import CORES, CoreSettings, matched
from streamrnn.models.denoising import Denoising, DenoisingSettings
from streamrnn.models.forecast import Forecast, ForecastSettings
from streamrnn.models.keywords import Keywords, KeywordsSettings
from streamrnn.models.model import Model
from streamrnn.models.music import Music, MusicSettings
from streamrnn.models.next_item import NextItem, NextItemSettings
from streamrnn.models.of_layers import LayerModel, builder
from streamrnn.models.phonemes import Phonemes, PhonemesSettings
from streamrnn.models.speaker import Speaker, SpeakerSettings
from streamrnn.models.speller import Speller, SpellerSettings
from streamrnn.models.transcription import CTC, CTCSettings, Transducer, TransducerSettings
from streamrnn.models.voice_activity import VoiceActivity, VoiceActivitySettings
from streamrnn.models.wake import Wake, WakeSettings

__all__ = [
    "CORES",
    "CTC",
    "CTCSettings",
    "Choices",
    "ChoicesSettings",
    "Classifier",
    "ClassifierSettings",
    "CoreSettings",
    "Denoising",
    "DenoisingSettings",
    "Forecast",
    "ForecastSettings",
    "Keywords",
    "KeywordsSettings",
    "LayerModel",
    "Model",
    "Music",
    "MusicSettings",
    "NextItem",
    "NextItemSettings",
    "Phonemes",
    "PhonemesSettings",
    "Speaker",
    "SpeakerSettings",
    "Speller",
    "SpellerSettings",
    "Transducer",
    "TransducerSettings",
    "VoiceActivity",
    "VoiceActivitySettings",
    "Wake",
    "WakeSettings",
    "builder",
    "matched",
]
