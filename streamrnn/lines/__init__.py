"""Streams as text, both ways: one file per kind of line. Training reads its examples by the code of live streams."""

from streamrnn.lines.choices import Bandit, ChoiceLines
from streamrnn.lines.forecast import ForecastLines
from streamrnn.lines.labels import LabelLines, PenLines, QueryLines, WordLines, hashed, labels_of
from streamrnn.lines.line import Feeding, LineError, Lines, numbers_of
from streamrnn.lines.music import REST, MusicLines, midi_of, name_of, sound_of
from streamrnn.lines.spelling import SpellingLines, searched
from streamrnn.lines.text import TextLines

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
