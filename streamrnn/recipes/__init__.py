"""One recipe per task. RECIPES is the one table of tasks."""

from streamrnn.recipes.recipe import Recipe
from streamrnn.recipes.voice_activity import VoiceActivityRecipe

RECIPES: dict[str, type[Recipe]] = {"vad": VoiceActivityRecipe}

__all__ = ["RECIPES", "Recipe", "VoiceActivityRecipe"]
