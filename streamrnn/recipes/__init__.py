"""One recipe per task. RECIPES is the table of tasks that can be trained."""

from streamrnn.recipes.recipe import Recipe
from streamrnn.recipes.voice_activity import VoiceActivityRecipe

RECIPES: dict[str, type[Recipe]] = {"vad": VoiceActivityRecipe}

__all__ = ["RECIPES", "Recipe", "VoiceActivityRecipe"]
