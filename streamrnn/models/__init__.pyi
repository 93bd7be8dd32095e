from .choices import Choices, ChoicesSettings
from .classifier import Classifier, ClassifierSettings
from .cores import CORES, CoreSettings, matched
from .denoising import Denoising, DenoisingSettings
from .forecast import Forecast, ForecastSettings
from .guard import guarded
from .keywords import Keywords, KeywordsSettings
from .model import Model
from .music import Music, MusicSettings
from .next_item import NextItem, NextItemSettings
from .of_layers import LayerModel, builder
from .phonemes import Phonemes, PhonemesSettings
from .speaker import Speaker, SpeakerSettings
from .speller import Speller, SpellerSettings
from .transcription import CTC, CTCSettings, Transducer, TransducerSettings
from .voice_activity import VoiceActivity, VoiceActivitySettings
from .wake import Wake, WakeSettings

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
    "guarded",
    "matched",
]
