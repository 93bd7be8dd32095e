"""A task of its own: is the tone low or high? Three files (model, recipe, evaluation) and this line."""

from streamrnn.tasks import Task

PITCH = Task(
    "pitch",
    model="three_files.model:Pitch",
    decision="streamrnn.decisions:LabelSettings",
    recipe="three_files.recipe:PitchRecipe",
    evaluate="three_files.evaluation:evaluate_pitch",
    teller="streamrnn.audit.words:LabelTeller",
)

__all__ = ["PITCH"]
