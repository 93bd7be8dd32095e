"""Training, generic over tasks: the loop, its updates, checkpoints and devices."""

from streamrnn.learning.loop import fit
from streamrnn.learning.settings import TrainingSettings

__all__ = ["TrainingSettings", "fit"]
