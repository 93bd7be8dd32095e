"""One recipe per task. RECIPES is the table of tasks that can be trained."""

from streamrnn.recipes.denoising import DenoisingRecipe
from streamrnn.recipes.keywords import KeywordsRecipe, KeywordsTraining
from streamrnn.recipes.recipe import Recipe
from streamrnn.recipes.transcription import CTCRecipe, TransducerRecipe
from streamrnn.recipes.voice_activity import VoiceActivityRecipe

RECIPES: dict[str, type[Recipe]] = {
    "vad": VoiceActivityRecipe,
    "keywords": KeywordsRecipe,
    "digits": CTCRecipe,
    "digits-transducer": TransducerRecipe,
    "denoise": DenoisingRecipe,
}

__all__ = [
    "RECIPES",
    "CTCRecipe",
    "DenoisingRecipe",
    "KeywordsRecipe",
    "KeywordsTraining",
    "Recipe",
    "TransducerRecipe",
    "VoiceActivityRecipe",
]
