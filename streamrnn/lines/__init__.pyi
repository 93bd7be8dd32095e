from .choices import Bandit, ChoiceLines
from .forecast import ForecastLines
from .labels import LabelLines, PenLines, QueryLines, WordLines, hashed, labels_of
from .line import Feeding, LineError, Lines, numbers_of
from .music import REST, MusicLines, midi_of, name_of, sound_of
from .spelling import SpellingLines, searched
from .text import TextLines

__all__ = [
    "REST",
    "Bandit",
    "ChoiceLines",
    "Feeding",
    "ForecastLines",
    "LabelLines",
    "LineError",
    "Lines",
    "MusicLines",
    "PenLines",
    "QueryLines",
    "SpellingLines",
    "TextLines",
    "WordLines",
    "hashed",
    "labels_of",
    "midi_of",
    "name_of",
    "numbers_of",
    "searched",
    "sound_of",
]
