"""One recipe per task."""

from streamrnn.recipes.choices import ChoicesRecipe
from streamrnn.recipes.classifier import EmotionRecipe, IntentRecipe, PenRecipe
from streamrnn.recipes.compact import CompactVoiceActivityRecipe
from streamrnn.recipes.denoising import DenoisingRecipe
from streamrnn.recipes.forecast import ForecastRecipe, ForecastTraining
from streamrnn.recipes.keywords import KeywordsRecipe, KeywordsTraining
from streamrnn.recipes.music import MusicRecipe
from streamrnn.recipes.next_item import TypingRecipe
from streamrnn.recipes.phonemes import PhonemesRecipe
from streamrnn.recipes.recipe import Recipe, like
from streamrnn.recipes.speller import SayRecipe
from streamrnn.recipes.transcription import CTCRecipe, TransducerRecipe
from streamrnn.recipes.voice_activity import VoiceActivityRecipe

__all__ = [
    "CTCRecipe",
    "ChoicesRecipe",
    "CompactVoiceActivityRecipe",
    "DenoisingRecipe",
    "EmotionRecipe",
    "ForecastRecipe",
    "ForecastTraining",
    "IntentRecipe",
    "KeywordsRecipe",
    "KeywordsTraining",
    "MusicRecipe",
    "PenRecipe",
    "PhonemesRecipe",
    "Recipe",
    "SayRecipe",
    "TransducerRecipe",
    "TypingRecipe",
    "VoiceActivityRecipe",
    "like",
]
