"""Situations that detectors meet, each composed from recordings and by computation, with the truth about it."""

from streamrnn.recipes.test_sets.situations.situation import RATE, Pools, Situation, Take, Word
from streamrnn.recipes.test_sets.situations.write import SITUATIONS, read_pools, write_situations

__all__ = ["RATE", "SITUATIONS", "Pools", "Situation", "Take", "Word", "read_pools", "write_situations"]
