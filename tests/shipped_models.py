"""The names of the models that come with the package, by what they take."""

from streamrnn.pretrained import describe, locate, shipped
from streamrnn.tasks import task_of


def _reads_lines(name: str) -> bool:
    return task_of(describe(locate(name))["task"]).lines is not None


OF_LINES = tuple(name for name in shipped() if _reads_lines(name))
OF_SOUND = tuple(name for name in shipped() if name not in OF_LINES)
